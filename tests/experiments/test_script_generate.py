"""scripts/generate.py: the command line and its errors."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
NETWORK = str(ROOT / "tests" / "golden" / "alias_free" / "tiny_snapshot_t_nosrc.pkl")


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images", "--seeds=3-1", "--output=a.png"], "seeds: a range must run upwards"),
        (["images", "--seeds", "-3,4", "--output=a.png"], "seeds must be numbers from 0"),
        (
            ["images", "--seeds=1", "--output=a.jpg"],
            "output must end in .png, or in / for a folder",
        ),
        (["walk", "--seeds=0,1", "--output=missing/a.mp4"], "there is no folder missing"),
        (["walk", "--seeds=0,1", "--grid=2", "--output=a.mp4"], "grid must be WIDTHxHEIGHT"),
        (["sweep", "--seeds=1", "--translate=1", "--output=a.gif"], "translate must be two finite"),
        (["mix", "--rows=1", "--columns=2", "--layers=a", "--output=a.png"], "layers must be"),
        (["mix", "--rows=1", "--columns=2", "--layers=16", "--output=a.png"], "layers must lie"),
        (["images", "--seeds=1", "--class=0", "--output=a.png"], "class: the network is uncond"),
    ],
)
def test_a_wrong_command_line_is_one_clear_message(arguments, message, tmp_path):
    result = run(*arguments, "--network", NETWORK, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [["images", "--netw=x", "--seeds=1"], ["images", "--seeds=1"], []]
)
def test_what_argparse_refuses(arguments, tmp_path):
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2 and "required" in result.stderr


def test_pictures_from_the_command_line(tmp_path):
    result = run(
        *("images", "--network", NETWORK, "--seeds", "0-1,4", "--trunc", "0.7"),
        *("--translate", "-0.5,.25", "--rotate", "-30", "--output", "out/"),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "out\n"
    names = ["seed0000.png", "seed0001.png", "seed0004.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    with Image.open(tmp_path / "out" / names[0]) as image:
        assert np.asarray(image).shape == (32, 32, 3) and np.ptp(np.asarray(image)) > 0


def test_help_says_what_there_is(tmp_path):
    result = run("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert all(name in result.stdout for name in ("images", "walk", "sweep", "mix"))
