"""scripts/animate.py: from an mp4 to an mp4, and its errors."""

import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from aa_jax.data.video import read_video
from aa_jax.training.writing import write_film
from aa_jax.weights import write_safetensors
from experiments.motion import networks
from scripts import animate
from tests.experiments.motion.tiny_motion import SIDE, frames, tiny_motion
from tests.training.runs import ROOT, environment

INPUTS = {"--model": "model.safetensors", "--source": "source.png", "--driving": "driving.mp4"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("animate")
    networks.save(tiny_motion(), folder / "model.safetensors")
    Image.fromarray(frames(1, seed=2)[0]).save(folder / "source.png")
    write_film(folder / "driving.mp4", frames(6, seed=1), 8)
    write_safetensors(folder / "other.safetensors", {"weight": np.zeros(3, np.float32)})
    return folder


def arguments(**inputs):
    given = INPUTS | {f"--{name}": value for name, value in inputs.items()}
    return list(sum(given.items(), ()))


def start(folder, *options):
    """Runs the script as a user does."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "animate.py"), *options],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=environment(devices=1),
        check=False,
    )


@pytest.fixture
def main(folder, monkeypatch):
    """The script within this process, whose signals are left alone."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(animate.signal, "signal", lambda *handler: None)
    return animate.main


def test_a_film_becomes_a_film(folder):
    result = start(folder, *arguments(output="out.mp4"), "--best-frame", "--batch-size=4")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("out.mp4: 6 frames, 8 a second, frame ")
    made, fps = read_video(folder / "out.mp4")
    assert made.shape == (6, SIDE, SIDE, 3) and fps == 8
    assert np.abs(np.diff(made.astype(int), axis=0)).max() > 10, "nothing moves"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"model": "other.safetensors"}, "the file has no settings of a motion model"),
        ({"model": "source.png"}, "neither a PyTorch (zip or legacy) nor a safetensors"),
        ({"model": "none"}, "model must be a run's folder or a checkpoint file, got 'none'"),
        ({"model": "."}, "there is no checkpoint directory at "),
        ({"driving": "other.safetensors"}, "cannot read the film other.safetensors: ffmpeg: "),
        ({"output": "nowhere/out.mp4"}, "output: there is no folder nowhere; make it first"),
        ({"output": "out.avi"}, "output must end in .mp4 or .gif, got 'out.avi'"),
        ({"batch-size": "0"}, "batch-size must be at least 1, got 0"),
    ],
)
def test_a_mistake_is_one_clear_message(main, folder, capsys, inputs, message):
    before = sorted(folder.iterdir())
    assert main(arguments(**({"output": "new.gif"} | inputs))) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_a_missing_encoder(main, capsys, monkeypatch):
    def no_encoder():
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", no_encoder)
    assert main(arguments(output="new.mp4")) == 1
    assert "mp4 needs ffmpeg, choose .gif or install it" in capsys.readouterr().err


def test_the_exit_code_is_the_processs(folder):
    result = start(folder, *arguments(output="new.gif", driving="source.png"), "--initial=1")
    assert result.returncode == 1
    assert "initial must be the number of a driving frame, from 0 to 0" in result.stderr
    assert not (folder / "new.gif").exists()


def test_what_argparse_refuses(main, capsys):
    for given, message in (
        ([*arguments(output="a.gif"), "--initial=1", "--best-frame"], "not allowed with"),
        (arguments(), "required: --output"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(given)
        assert message in capsys.readouterr().err


def test_help_says_that_sound_is_dropped(main, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    help_text = capsys.readouterr().out
    assert "Its sound is\nnot kept" in help_text and "--best-frame" in help_text
