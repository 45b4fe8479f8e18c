"""scripts/report.py: the command line and its errors."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "report.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text('{"step": 1, "loss": 2.5}\n')
    return tmp_path


def test_reports_from_the_command_line(folder):
    for arguments, output in (
        (["a"], "a/report.html"),
        (["a", "b"], "report.html"),
    ):
        result = run(*arguments, cwd=folder)
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{output}\n", "")
        text = (folder / output).read_text(encoding="utf-8")
        assert text.startswith("<!DOCTYPE html>") and "2.5" in text


def test_a_wrong_command_line_is_one_clear_message(folder):
    (folder / "c").mkdir()
    for arguments, message in (
        (["c"], "c is not a run folder: expected a folder with metrics.jsonl or config.json"),
        (["a", "--output=none/c.html"], "output must be a file in a folder that exists"),
    ):
        result = run(*arguments, cwd=folder)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ") and message in result.stderr
        assert result.stderr.count("\n") == 1 and result.stdout == ""
    assert (
        sorted(path.name for path in folder.rglob("*")) == ["a", "b", "c"] + ["metrics.jsonl"] * 2
    )
    result = run(cwd=folder)
    assert result.returncode == 2 and "required" in result.stderr
