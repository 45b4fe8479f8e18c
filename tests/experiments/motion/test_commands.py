"""The animation of files: choices of frames and sizes, and inputs that do not fit."""

import jax
import numpy as np
import pytest
from PIL import Image

from aa_jax.data.preparation_pictures import Fit, fit_picture
from aa_jax.models.motion import best_frame
from experiments.motion import commands, networks
from experiments.motion.animation import Animator, moved_keypoints
from experiments.motion.commands import Options, animate
from experiments.motion.drawing import to_bytes
from tests.data.films import write_film
from tests.experiments.motion.tiny_motion import SIDE, frames, tiny_motion

COUNT = 5


@pytest.fixture(scope="module")
def trained():
    return tiny_motion()


@pytest.fixture(scope="module")
def animator(trained):
    return Animator(trained, batch_size=2)


@pytest.fixture(scope="module")
def files(trained, tmp_path_factory):
    """A folder of a model, a picture and a film that fit, and larger ones."""
    folder = tmp_path_factory.mktemp("files")
    networks.save(trained, folder / "model.safetensors")
    Image.fromarray(frames(1, seed=2)[0]).save(folder / "source.png")
    write_film(folder / "driving.mkv", frames(COUNT, seed=1))
    Image.fromarray(frames(1, seed=3, height=40, width=60)[0]).save(folder / "wide.png")
    write_film(folder / "high.mkv", frames(COUNT, seed=4, height=64, width=48), rate="7")
    np.savez(folder / "poses.npz", **poses(2))
    return folder


@pytest.fixture
def run(files, monkeypatch, animator):
    """Animates files; returns the frames instead of coding them, and the line of text."""
    monkeypatch.setattr(commands, "Animator", lambda trained, batch_size: animator)
    written = []

    def animate_files(source="source.png", driving="driving.mkv", **options):
        written.clear()

        def take(path, stream, fps):
            written.extend(stream)
            return written.append(fps)

        monkeypatch.setattr(commands.writing, "write_film", take)
        model, output = files / "model.safetensors", files / "out.mp4"
        inputs = [str(path) for path in (model, files / source, files / driving)]
        text = animate(*inputs, output, Options(batch_size=2, **options))
        *made, fps = written
        return np.stack(made), fps, text

    return animate_files


def poses(best: int, count: int = COUNT) -> dict[str, np.ndarray]:
    """Landmarks: the source's are those of driving frame `best`, elsewhere and larger."""
    driving = np.random.default_rng(0).normal(size=(count, 6, 2))
    return {"source": 3 * driving[best] + 7, "driving": driving}


def expected(animator, source, driving, *, initial=0, **options):
    """The same from whole arrays."""
    kp_source, kp_driving = animator.keypoints(source[None]), animator.keypoints(driving)
    first = jax.tree.map(lambda x: x[initial : initial + 1], kp_driving)
    moved = moved_keypoints(kp_source, kp_driving, initial=first, **options)
    return to_bytes(np.concatenate([p.frames for p in animator.render(source, kp_source, moved)]))


def close(made, wanted):
    """Equal but for roundings to bytes that other batches may turn."""
    assert made.shape == wanted.shape and made.dtype == np.uint8
    assert np.abs(made.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "absolute"}, {"scale": "none"}, {"initial": 3}, {"max_frames": 3, "fps": 12.0}],
)
def test_frames_are_those_of_whole_arrays(run, animator, files, options):
    made, fps, text = run(**options)
    rest = {k: v for k, v in options.items() if k not in ("max_frames", "fps")}
    driving = frames(COUNT, seed=1)[: options.get("max_frames")]
    close(made, expected(animator, frames(1, seed=2)[0], driving, **rest))
    assert fps == options.get("fps", 5)
    assert text == f"{files / 'out.mp4'}: {len(driving)} frames, {fps:g} a second"


def test_best_frame_by_keypoints(run, animator):
    made, _, text = run(initial="best")
    driving, source = frames(COUNT, seed=1), frames(1, seed=2)[0]
    points = [animator.keypoints(array).value for array in (source[None], driving)]
    best = best_frame(points[0][0], points[1])
    assert text.endswith(f"frame {best} taken for the source's pose")
    close(made, expected(animator, source, driving, initial=best))


def test_best_frame_by_landmarks(run, animator, files):
    made, _, text = run(initial="best", landmarks=str(files / "poses.npz"))
    assert text.endswith("frame 2 taken for the source's pose")
    close(made, expected(animator, frames(1, seed=2)[0], frames(COUNT, seed=1), initial=2))
    # Of a film that is cut short, landmarks may go on.
    assert len(run(initial="best", landmarks=str(files / "poses.npz"), max_frames=3)[0]) == 3


@pytest.mark.parametrize(("fit", "transform"), [("crop", "center-crop"), ("stretch", "none")])
def test_other_sizes_are_made_to_fit(run, animator, fit, transform):
    made, fps, _ = run("wide.png", "high.mkv", fit=fit)
    how = Fit(resolution=(SIDE, SIDE), transform=transform)
    source = fit_picture(frames(1, seed=3, height=40, width=60)[0], how)
    driving = [fit_picture(f, how) for f in frames(COUNT, seed=4, height=64, width=48)]
    close(made, expected(animator, source, np.stack(driving)))
    assert fps == 7


def test_side_by_side(run):
    alone, _, _ = run()
    made, _, _ = run(layout="side_by_side")
    # Small frames are enlarged to 128 pixels, and two white ones follow each.
    assert made.shape == (COUNT, 130, 390, 3)
    panels = [made[:, 2:130:4, 130 * i + 2 : 130 * i + 130 : 4] for i in range(3)]
    np.testing.assert_array_equal(panels[0], np.repeat(frames(1, seed=2), COUNT, 0))
    np.testing.assert_array_equal(panels[1], frames(COUNT, seed=1))
    np.testing.assert_array_equal(panels[2], alone)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ({"source": "wide.png"}, {}, "source has 60 x 40 pixels and the driving film 32 x 32, but"),
        ({"driving": "high.mkv"}, {}, "film 48 x 64, but the model knows frames of 32 x 32: say"),
        ({"source": "wide.png", "driving": "high.mkv"}, {}, "--fit crop to cut out the central"),
        ({"source": "none.png"}, {}, "source: cannot read the picture .*none.png: FileNotFound"),
        ({"source": "poses.npz"}, {}, "poses.npz: not a picture of any known format"),
        ({"driving": "none.mp4"}, {}, "cannot read the film .*none.mp4: there is no such file"),
        ({"driving": "poses.npz"}, {}, "cannot read the film .*poses.npz: ffmpeg"),
        ({}, {"initial": 5}, "initial must be the number of a driving frame, from 0 to 4, got 5"),
        ({}, {"initial": 3, "max_frames": 2}, "from 0 to 1, got 3"),
        ({}, {"initial": -1}, "initial must be a frame's number from 0, got -1"),
        ({}, {"initial": "worst"}, "initial must be a frame's number from 0, got 'worst'"),
        ({}, {"initial": 1, "mode": "absolute"}, "have no effect in mode absolute"),
        ({}, {"landmarks": "poses.npz"}, "landmarks are for choosing the best frame"),
        ({}, {"fit": "pad"}, "fit must be one of crop, stretch, got 'pad'"),
        ({}, {"fps": 0.5}, "fps must lie from 1 to 240, got 0.5"),
        ({}, {"max_frames": 0}, "max-frames must be at least 1, got 0"),
    ],
)
def test_mistakes_are_explained(run, inputs, options, message):
    with pytest.raises(ValueError, match=message):
        run(**inputs, **options)


def test_landmarks_of_another_film(run, files):
    for count in (COUNT - 1, COUNT + 1):
        np.savez(files / "others.npz", **poses(0, count))
        with pytest.raises(ValueError, match=f"film's 5 frames, got those of {count}"):
            run(initial="best", landmarks=str(files / "others.npz"))


def test_the_driving_film_is_not_overwritten(files):
    inputs = [str(files / name) for name in ("model.safetensors", "source.png", "driving.mkv")]
    before = (files / "driving.mkv").read_bytes()
    with pytest.raises(ValueError, match="output must be another file than the driving film"):
        animate(*inputs, files / "driving.mkv")
    assert (files / "driving.mkv").read_bytes() == before


def test_a_film_of_odd_speed_needs_one(files, run):
    write_film(files / "slow.mkv", frames(2, seed=1), rate="1/2")
    with pytest.raises(ValueError, match="got 0.5 by the driving film: say --fps"):
        run(driving="slow.mkv")
    assert run(driving="slow.mkv", fps=3.0)[1] == 3


def test_memory_that_does_not_suffice(run, animator, monkeypatch):
    def exhausted(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(animator, "_render", exhausted)
    with pytest.raises(ValueError, match="batch-size: the device has no memory for 2 frames"):
        run()
