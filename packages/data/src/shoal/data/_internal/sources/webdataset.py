"""WebDataset: tar files in which a row is the files with one key, and a column is an extension."""

from __future__ import annotations

import fnmatch
import io
import json
import os
import pickle
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_rows
from shoal.data._internal.sources.files import FileSource
from shoal.data.exceptions import FileReadError, InvalidArgumentError

KEY_COLUMN = "__key__"
URL_COLUMN = "__url__"

_ROWS_AT_ONCE = 1024
_BYTES_AT_ONCE = 32 << 20
_IMAGES = frozenset({"jpg", "jpeg", "png", "ppm", "pgm", "pbm", "pnm", "webp"})

Sample: TypeAlias = dict[str, Any]
SampleDecoder: TypeAlias = Callable[[Sample], Sample]
DecoderChoice: TypeAlias = bool | str | SampleDecoder | Sequence[bool | str | SampleDecoder] | None
NameChoice: TypeAlias = Callable[[str], bool] | Sequence[str] | str | None
Renaming: TypeAlias = Callable[[str], str] | Sequence[Callable[[str], str]] | None


@dataclass(frozen=True)
class WebDatasetReader:
    """How tar files become rows. Picklable where its functions are.

    Args:
        decoder: how bytes become values. True: by the last part of the extension (txt, cls, json, npy, jpg, png, …, mp); others stay bytes.
            'PIL': the same, with images of Pillow instead of arrays. A function from a row to a row; a list of such; None for bytes.
        fileselect: which members are read: patterns ('*.jpg', or 'jpg'), or a function of the name.
        filerename: a function from the name of a member to another, or a list of such.
        suffixes: which extensions become columns: patterns, or a function of the extension.
        expand_json: whether the fields of the column 'json' become columns as well.
        allow_pickle: whether pkl, pickle, pt and pth are decoded, too. Only for files that you trust: unpickling runs code.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
    """

    decoder: DecoderChoice = True
    fileselect: NameChoice = None
    filerename: Renaming = None
    suffixes: NameChoice = None
    expand_json: bool = False
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        self._decoders()

    def read(self, stream: Any, path: str) -> Iterator[pa.Table]:
        """Yields the rows of a tar file.

        Args:
            stream: the file, open for reading.
            path: of the file, for errors and the column `__url__`.

        Raises:
            FileReadError: if it is no tar file or damaged, members of a key are apart, or one cannot be decoded.
        """
        rows: list[Sample] = []
        size = 0
        for sample, sample_bytes in self._samples(stream, path):
            rows.append(self._decoded(sample, path))
            size += sample_bytes
            if len(rows) >= _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
                yield table_of_rows(rows)
                rows, size = [], 0
        if rows:
            yield table_of_rows(rows)

    def _decoded(self, sample: Sample, path: str) -> Sample:
        key = sample[KEY_COLUMN]
        for decode in self._decoders():
            sample = decode(sample)
        if self.expand_json:
            sample = _expanded(sample, f"{path}: sample {key!r}")
        return sample

    def _decoders(self) -> list[SampleDecoder]:
        if self.decoder is None or self.decoder is False:
            return []
        chosen = self.decoder
        choices = list(chosen) if isinstance(chosen, Sequence) and not isinstance(chosen, str) else [chosen]
        decoders: list[SampleDecoder] = []
        for choice in choices:
            if callable(choice):
                decoders.append(choice)
            elif choice is True or choice == "PIL":
                decoders.append(partial(decode_by_extension, as_pillow=choice == "PIL", allow_pickle=self.allow_pickle))
            else:
                raise InvalidArgumentError(
                    f"decoder={choice!r}: use True, 'PIL', a function from a row to a row, a list of such, or None."
                )
        return decoders

    def _samples(self, stream: Any, path: str) -> Iterator[tuple[Sample, int]]:
        """Yields the members of each key, and how many bytes they have."""
        seen: set[str] = set()
        sample: Sample = {}
        size = 0
        for name, content in self._members(stream, path):
            key, extension = _key_and_extension(name)
            if not extension:
                continue
            if sample and key != sample[KEY_COLUMN]:
                if len(sample) > 2:
                    yield sample, size
                sample, size = {}, 0
            if not sample:
                if key in seen:
                    raise FileReadError(
                        f"{path}: the members with the key {key!r} do not follow one another. Make the file again with its members "
                        "sorted by "
                        "name (`tar --sort=name`)."
                    )
                seen.add(key)
                sample = {KEY_COLUMN: key, URL_COLUMN: path}
            if not _chosen(extension, self.suffixes):
                continue
            if extension in sample:
                raise FileReadError(f"{path}: there are two members {name!r}.")
            sample[extension] = content
            size += len(content)
        if len(sample) > 2:
            yield sample, size

    def _members(self, stream: Any, path: str) -> Iterator[tuple[str, bytes]]:
        renamings = self.filerename if isinstance(self.filerename, Sequence) else [self.filerename]
        try:
            with tarfile.open(fileobj=stream, mode="r|*") as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isreg() else None
                    if file is None:
                        continue
                    name = member.name
                    for rename in renamings:
                        name = name if rename is None else rename(name)
                    if _chosen(name, self.fileselect):
                        yield name, file.read()
        except (tarfile.TarError, EOFError) as error:
            raise FileReadError(f"{path}: this is no tar file, or it is damaged: {error}.") from error


class WebDatasetSource(FileSource):
    """Reads WebDataset's tar files.

    Args:
        paths: files and directories, local or as URIs.
        decoder, fileselect, filerename, suffixes, expand_json, allow_pickle: as of `WebDatasetReader`.
        file_extensions: only such files are read, without dots; None for all.
        listing: the other arguments of `FileSource`.

    Raises:
        InvalidArgumentError: if an argument has a value that it cannot have.
        FileReadError: if there are no files.
    """

    name = "WebDataset"

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        decoder: DecoderChoice = True,
        fileselect: NameChoice = None,
        filerename: Renaming = None,
        suffixes: NameChoice = None,
        expand_json: bool = False,
        allow_pickle: bool = False,
        file_extensions: Sequence[str] | None = ("tar",),
        **listing: Any,
    ) -> None:
        self._reader = WebDatasetReader(decoder, fileselect, filerename, suffixes, expand_json, allow_pickle)
        super().__init__(paths, file_extensions=file_extensions, **listing)

    def reader(self) -> Callable[[Any, str], Iterator[pa.Table]]:
        """Reads one file."""
        return self._reader.read


def decode_by_extension(sample: Sample, as_pillow: bool = False, allow_pickle: bool = False) -> Sample:
    """Decodes each value as the last part of its extension says.

    Args:
        sample: the row.
        as_pillow: whether images become those of Pillow, instead of arrays of height × width (× channels).
        allow_pickle: whether to unpickle.

    Raises:
        FileReadError: if a value is not of its format; it names the sample.
    """
    decoded = {}
    for name, value in sample.items():
        if name.startswith("__") or not isinstance(value, bytes):
            decoded[name] = value
            continue
        try:
            decoded[name] = _decoded_value(name.rpartition(".")[2].lower(), value, as_pillow, allow_pickle)
        except Exception as error:  # libraries of formats, and pickles, raise whatever they like
            raise FileReadError(
                f"{sample.get(URL_COLUMN)}: {name!r} of the sample {sample.get(KEY_COLUMN)!r} cannot be decoded: {error}"
            ) from error
    return decoded


def _decoded_value(extension: str, value: bytes, as_pillow: bool, allow_pickle: bool) -> Any:
    if extension in {"txt", "text"}:
        return value.decode()
    if extension in {"cls", "cls2"}:
        return int(value)
    if extension in {"json", "jsn"}:
        return json.loads(value)
    if extension == "npy":
        return np.load(io.BytesIO(value), allow_pickle=False)
    if extension in _IMAGES:
        from PIL import Image

        image = Image.open(io.BytesIO(value))
        image.load()
        return image if as_pillow else np.asarray(image)
    if extension in {"mp", "msgpack"}:
        import msgspec

        return msgspec.msgpack.decode(value)
    if extension in {"pt", "pth"} and allow_pickle:
        import torch

        return torch.load(io.BytesIO(value), weights_only=False)
    if extension in {"pkl", "pickle"} and allow_pickle:
        return pickle.loads(value)
    return value


def _expanded(sample: Sample, where: str) -> Sample:
    value = sample.get("json")
    fields = json.loads(value) if isinstance(value, (bytes, str)) else value
    if not isinstance(fields, dict):
        raise FileReadError(
            f"{where} has no object in its column 'json' that could be expanded, but {str(fields)[:40]!r}."
        )
    if taken := next((name for name in fields if name in sample), None):
        raise FileReadError(f"{where} has {taken!r} as a field of 'json' and as a member. Leave expand_json out.")
    return {**sample, **fields}


def _key_and_extension(name: str) -> tuple[str, str]:
    """The name up to the first dot of its last part, and what follows."""
    directory, base = posixpath.split(name)
    stem, _, extension = base.partition(".")
    return posixpath.join(directory, stem), extension


def _chosen(name: str, choice: NameChoice) -> bool:
    if choice is None:
        return True
    if callable(choice):
        return bool(choice(name))
    patterns: Iterable[str] = [choice] if isinstance(choice, str) else choice
    for pattern in patterns:
        if "*" in pattern or "?" in pattern:
            if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f".{name}", pattern):
                return True
        elif pattern in {name, f".{name}"}:
            return True
    return False
