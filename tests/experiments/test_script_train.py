"""scripts/train.py: the command line and its errors."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.step=3"], "the config has no field 'step'; did you mean 'steps'?"),
        (["--config.steps=many"], "steps must be of type int"),
        (["--steps=3"], "unknown argument '--steps=3'"),
        (["--config=nowhere.py"], "there is no such file"),
    ],
)
def test_a_wrong_command_line_is_one_clear_message(arguments, message, tmp_path):
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_help_says_what_there_is(tmp_path):
    result = run("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "--config.<field>=<value>" in result.stdout and "--workdir" in result.stdout
