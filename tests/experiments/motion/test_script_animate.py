"""scripts/animate.py: from an mp4 to an mp4, and its errors."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from aa_jax.data.video import read_video
from aa_jax.training.writing import write_film
from experiments.motion import networks
from tests.experiments.motion.tiny_motion import SIDE, frames, tiny_motion
from tests.training.runs import ROOT, environment

INPUTS = {"--model": "model.safetensors", "--source": "source.png", "--driving": "driving.mp4"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("animate")
    networks.save(tiny_motion(), folder / "model.safetensors")
    Image.fromarray(frames(1, seed=2)[0]).save(folder / "source.png")
    write_film(folder / "driving.mp4", frames(6, seed=1), 8)
    np.savez(folder / "classifier.npz", weight=np.zeros(3))
    return folder


def animate(folder, *arguments, **inputs):
    given = INPUTS | {f"--{name}": value for name, value in inputs.items()}
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "animate.py"), *sum(given.items(), ()), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=environment(devices=1),
        check=False,
    )


def test_a_film_becomes_a_film(folder):
    result = animate(folder, "--best-frame", "--batch-size=4", output="out.mp4")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("out.mp4: 6 frames, 8 a second, frame ")
    made, fps = read_video(folder / "out.mp4")
    assert made.shape == (6, SIDE, SIDE, 3) and fps == 8
    assert np.abs(np.diff(made.astype(int), axis=0)).max() > 10, "nothing moves"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"model": "classifier.npz"}, "classifier.npz: neither a PyTorch"),
        ({"model": "none"}, "model must be a run's folder or a checkpoint file, got 'none'"),
        ({"model": "."}, "there is no checkpoint directory at checkpoints"),
        ({"output": "nowhere/out.mp4"}, "output: there is no folder nowhere; make it first"),
        ({"output": "out.avi"}, "output must end in .mp4 or .gif, got 'out.avi'"),
    ],
)
def test_a_wrong_command_line_is_one_clear_message(folder, inputs, message):
    before = sorted(folder.iterdir())
    result = animate(folder, **({"output": "new.gif"} | inputs))
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_what_argparse_refuses(folder):
    both = animate(folder, "--initial=1", "--best-frame", output="new.gif")
    assert both.returncode == 2 and "not allowed with" in both.stderr
    missing = animate(folder)
    assert missing.returncode == 2 and "required: --output" in missing.stderr


def test_help_says_that_sound_is_dropped(folder):
    result = animate(folder, "--help")
    assert result.returncode == 0
    assert "Its sound is\nnot kept" in result.stdout and "--best-frame" in result.stdout
