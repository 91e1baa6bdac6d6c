"""Unpacking archives that users name."""

from __future__ import annotations

import os
import shutil
import stat

from shoal.exceptions import RuntimeEnvSetupError


def unpack(archive: str, target: str, *, skip_only_folder: bool, name: str = "") -> None:
    """Unpacks a zip or tar archive.

    Args:
        archive: path of the archive.
        target: folder to make; nothing may be there.
        skip_only_folder: where all that is in the archive is one folder, what is in that becomes the target (archives of
            a repository at a code host are made so).
        name: what the user calls the archive.

    Raises:
        RuntimeEnvSetupError: it is no such archive, is damaged, or wants to write outside of the target.
    """
    # Not at the top: few sessions unpack anything, and these take a while to import.
    import tarfile
    import zipfile

    name = name or archive
    draft = f"{target}.unpacking"
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, draft)
        else:
            _unpack_tar(archive, draft)
        os.rename(_only_folder(draft) if skip_only_folder else draft, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        fix = "Give a zip or tar archive that is whole."
        raise RuntimeEnvSetupError(f"{name} cannot be unpacked: {reason}. {fix}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unpack_zip(archive: str, target: str) -> None:
    import zipfile

    with zipfile.ZipFile(archive) as file:
        os.makedirs(target)
        for info in file.infolist():
            path = file.extract(info, target)  # Takes '..' and leading slashes out of names.
            mode = info.external_attr >> 16
            if mode & stat.S_IXUSR and not info.is_dir():
                os.chmod(path, 0o755)


def _unpack_tar(archive: str, target: str) -> None:
    import tarfile

    with tarfile.open(archive) as file:
        os.makedirs(target)
        if not hasattr(tarfile, "data_filter"):
            raise OSError("this Python is too old to unpack tar archives safely; use 3.11.4 or newer, or a zip archive")
        file.extractall(target, filter="data")


def _only_folder(folder: str) -> str:
    names = [name for name in os.listdir(folder) if name != "__MACOSX"]
    path = os.path.join(folder, names[0]) if len(names) == 1 else folder
    return path if os.path.isdir(path) else folder
