"""Notebooks run from top to bottom, and are stored with the outputs of such a run."""

import os
import pathlib

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.ipynb"))
MAX_BYTES = 500_000


def name(path: pathlib.Path) -> str:
    return path.stem


def test_there_is_one():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_is_stored_with_its_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]
    # Numbered 1, 2, 3...: the outputs come from one run in order.
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    assert any("image/png" in out.get("data", {}) for cell in code for out in cell.outputs)
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_runs_from_top_to_bottom(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    # One device, as for a reader of the notebook.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    client.execute(
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "XLA_FLAGS": "", "MPLBACKEND": ""}
    )
    printed = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out for out in printed if out.output_type == "error"]
