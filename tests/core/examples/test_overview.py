"""examples/overview.ipynb runs from its first cell to its last."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("default"),
]  # the notebook machinery warns about itself


def test_every_cell_runs(
    repository: Path, offline: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook = nbformat.read(repository / "examples" / "overview.ipynb", as_version=4)

    nbclient.NotebookClient(notebook, timeout=200, kernel_name="python3").execute(env=offline)

    printed = "".join(
        output.get("text", "") for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    )
    sequential, parallel = re.findall(r"100 models in [\d.]+ s, mean R² ([\d.]+)", printed)
    assert sequential == parallel


def test_it_is_kept_without_outputs(repository: Path) -> None:
    notebook = nbformat.read(repository / "examples" / "overview.ipynb", as_version=4)

    kept = [cell.id for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    assert kept == []
