"""Detectors whose faults are known, pans that are known, and the command on tiny networks."""

import json

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp
from PIL import Image

from aa_jax.models.motion import KeypointDetector, Resampling
from aa_jax.nn import AntiAlias
from experiments.motion import (
    compare,
    stability,
    stability_detectors,
    stability_pan,
    stability_report as report,
    stability_untrained,
)
from experiments.motion.configs import quickstart
from experiments.motion.stability import Tracks, keypoint_tracks, shifted_frames

SIDE = 32


def blob(side: int = 4 * SIDE, *, centre=(0.0, 0.0), width: float = 8.0) -> np.ndarray:
    """A Gaussian on black, (side, side, 3), at (x, y) fine pixels from the centre."""
    axis = np.arange(side) - (side - 1) / 2
    profiles = [np.exp(-((axis - c) ** 2) / (2 * width**2)) for c in centre]
    return np.repeat(255 * np.outer(profiles[1], profiles[0])[..., None], 3, -1)


def centroid(frames: np.ndarray) -> np.ndarray:
    """Mean places (N, 1, 2), (x, y) from the centre."""
    weights = frames.sum(-1, dtype=np.float64)
    weights /= weights.sum((1, 2), keepdims=True)
    axis = np.arange(weights.shape[1]) - (weights.shape[1] - 1) / 2
    x, y = weights.sum(1) @ axis, weights.sum(2) @ axis
    return np.stack([x, y], -1)[:, None]


def test_a_ramp_moves_as_said():
    """Filters keep ramps, so every frame is known in closed form."""
    rows, columns = np.mgrid[:200, :200].astype(np.float64)
    fine = np.stack([columns, rows, columns + rows], -1)
    shifts = np.array([[0, 0], [1, 0], [-7, 2], [4, 8], [0, -3]])
    frames = shifted_frames(fine, shifts, side=8)
    # Of an even number of samples the centre is between two of them, here rounded down.
    places = 99 + 4 * (np.arange(8) - 3.5)
    for frame, (right, down) in zip(frames, shifts, strict=True):
        np.testing.assert_allclose(frame[..., 0] - (places - right), 0, atol=1e-3)
        np.testing.assert_allclose(frame[..., 1] - (places - down)[:, None], 0, atol=1e-3)


def test_beyond_its_borders_a_picture_is_mirrored(rng):
    fine = rng.random((40, 40, 3))
    mirrored = np.concatenate([fine, fine[:, ::-1]], 1)
    mirrored = np.concatenate([mirrored, mirrored[::-1]], 0)
    periodic = np.tile(mirrored, (3, 3, 1))[40:160, 40:160][:, :]  # fine begins at 40
    shifts = np.array([[12, -5]])
    found = shifted_frames(fine, shifts, side=16)
    expected = shifted_frames(np.roll(periodic, (-20, -20), (0, 1)), shifts, side=16)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["fine", "whole"])
def test_an_equivariant_detector_does_not_deviate(kind):
    shifts = stability.SHIFTS[kind][:9]
    jacobian = np.tile(np.eye(2), (len(shifts), 1, 1, 1))
    found = keypoint_tracks(
        lambda frames, _: stability_detectors.Found(centroid(frames), jacobian),
        [blob(centre=(3.0, -5.0))],
        shifts,
        side=SIDE,
    )
    assert found.deviation.shape == (len(stability.DIRECTIONS), 9, 1, 2)
    assert found.largest_by_shift().max() < 1e-3
    assert found.jacobian_by_shift().max() == 0


def test_rounding_to_whole_pixels_gives_a_sawtooth():
    start = 0.3  # pixels of the frame from its centre, where the motion has its middle
    picture = blob(127, centre=(4 * start, 0.0))
    detect = lambda frames, _: stability_detectors.Found(np.round(centroid(frames)))  # noqa: E731
    found = keypoint_tracks(detect, [picture], np.arange(9), side=SIDE, directions=[(1, 0)])
    moved = np.arange(9) / 4
    expected = np.round(start + moved - 1) - np.round(start - 1) - moved
    np.testing.assert_allclose(found.deviation[0, :, 0, 0], expected, atol=1e-9)
    np.testing.assert_allclose(found.mean_by_shift(), np.abs(expected), atol=1e-9)
    assert found.largest_by_shift().max() == pytest.approx(0.5, abs=0.26)


def test_jacobians_are_compared_with_those_without_shift():
    def detect(frames, shifts):
        jacobian = np.eye(2) * (1 + np.abs(shifts[:, :1, None, None] - shifts[0, 0]))
        return stability_detectors.Found(centroid(frames), jacobian)

    found = keypoint_tracks(detect, [blob()], np.arange(5), side=SIDE, directions=[(1, 0)])
    np.testing.assert_allclose(found.jacobian_by_shift(), np.arange(5) / 4)


def test_periods_are_told_apart():
    shifts = np.arange(33.0)
    deviation = np.zeros((1, 33, 2, 2))
    deviation[0, :, 0, 0] = 2 * np.cos(2 * np.pi * 3 * shifts / 8)  # repeats after 8
    deviation[0, :, 1, 1] = np.where(shifts % 2, -1, 1)
    found = Tracks(shifts, deviation).by_period()
    # Mean of two keypoints: 2 cos has a mean square of 2.
    expected = {32: 0, 16: 0, 8: 1, 4: 0, 2: np.sqrt(0.5)}
    assert found == {period: pytest.approx(value, abs=1e-9) for period, value in expected.items()}
    assert Tracks(shifts / 4, deviation).by_period() == {}


def test_smooth_drift_is_no_wobble():
    x = np.linspace(0, 1, 33)
    drift = np.stack([x**3 - 2 * x, 5 * x**2], -1)[None, :, None]
    assert Tracks(32 * x, drift).wobble() < 1e-12
    noise = 0.1 * np.random.default_rng(0).standard_normal((40, 33, 1, 2))
    # Four of 33 degrees of freedom are the polynomial's.
    expected = 0.1 * np.sqrt(2 * 29 / 33)
    assert Tracks(32 * x, drift + noise).wobble() == pytest.approx(expected, rel=0.05)


def detector(antialias: str = "none", *, scale: float = 1.0) -> KeypointDetector:
    upsampling = "nearest" if antialias == "none" else "binomial"
    return KeypointDetector(
        num_kp=2, block_expansion=4, num_blocks=2, max_features=8, scale_factor=scale,
        resampling=Resampling(AntiAlias(antialias), upsampling), rngs=nnx.Rngs(0),
    )  # fmt: skip


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_places_are_in_pixels_of_the_frame(scale):
    """A head that passes brightness on: keypoints are where the blob is."""
    network = detector(scale=scale)
    kernel = jnp.zeros_like(network.kp.kernel[...])
    network.kp.kernel[...] = kernel.at[3, 3, -3:].set(3.0)
    for make in (stability_detectors.FrameDetector, stability_detectors.FieldDetector):
        detect = make(network, SIDE)
        found = keypoint_tracks(
            detect, [blob()], [0, 8, 16], side=detect.side, directions=[(1, 0), (1, -1)]
        )
        assert found.largest_by_shift().max() < 0.05
        frames = shifted_frames(blob(), np.array([[20, 0]]), side=detect.side)
        value = detect(frames, np.array([[5.0, 0.0]])).value
        # The smaller map's samples are on the frame's pixels 0, 2, ...: half a pixel early.
        np.testing.assert_allclose(value[0, 0], [5.5 if scale < 1 else 5.0, 0.5], atol=0.6)


def test_in_a_field_only_aliasing_remains(rng):
    """Two halvings: exact after every fourth pixel, whatever the weights."""
    picture = 255 * rng.random((64, 64, 3))
    largest = {}
    for antialias in ("none", "blur"):
        detect = stability_detectors.FieldDetector(detector(antialias), 16)
        found = keypoint_tracks(
            detect, [picture], 4 * np.arange(9), side=detect.side, directions=[(1, 0)]
        )
        largest[antialias] = found.largest_by_shift()
        assert largest[antialias][[4, 8]].max() < 1e-4
        assert largest[antialias][[1, 2, 3, 5, 6, 7]].min() > 1e-3
    assert largest["blur"].max() < largest["none"].max()


def wave(amount: float, side: int = 40) -> np.ndarray:
    x = np.arange(side) - amount
    line = 0.5 + 0.4 * np.sin(2 * np.pi * x / 11)
    return np.broadcast_to(line[None, :, None], (side, side, 3))


def test_frames_move_by_fractions():
    amounts = np.array([0, 0.25, 1, 2.5])
    moved = stability_pan.moved_frames(np.array(wave(0)), amounts, (1, 0))
    for frame, amount in zip(moved, amounts, strict=True):
        np.testing.assert_allclose(frame[:, 8:-8], wave(amount)[:, 8:-8], atol=2e-3)
    turned = stability_pan.moved_frames(np.array(wave(0)).swapaxes(0, 1), amounts, (0, 1))
    np.testing.assert_allclose(turned, moved.swapaxes(1, 2), atol=1e-12)


def test_smoothness_of_known_pans():
    steps = np.arange(33) / 4
    smooth = np.stack([wave(t) for t in steps])
    found = stability_pan.smoothness([(smooth, (1, 0)), (smooth.swapaxes(1, 2), (0, 1))])
    assert found.acceleration == pytest.approx(1, abs=0.01)
    assert found.flicker < 1e-3
    assert found.shifts.tolist() == list(range(1, 9)) and found.decibels.min() > 40

    still = np.repeat(smooth[:1], 33, 0)
    found = stability_pan.smoothness([(still, (1, 0))])
    assert found.acceleration == 0
    # After half a period everything is wrong: the error is four times the contrast.
    after = 10 * np.log10(0.25 / np.sin(np.pi * 5 / 11) ** 2)
    assert found.decibels[4] == pytest.approx(after, abs=0.6)

    jumpy = np.stack([wave(round(t)) for t in steps])
    found = stability_pan.smoothness([(jumpy, (1, 0))])
    assert found.acceleration > 4 and found.flicker > 0.1
    assert found.decibels.min() > 40  # at whole pixels it is where it should be


def test_a_pan_needs_room():
    with pytest.raises(ValueError, match="more than 29 pixels along a pan of 16"):
        stability_pan.smoothness([(np.zeros((65, 24, 40, 3)), (0, 1))])


@pytest.fixture(scope="module")
def tiny():
    """The quickstart's config with networks that take seconds."""

    def get_config(argument: str = ""):
        config = original(argument)
        config.data.frame_size = SIDE
        config.model.num_kp = 2
        small = dict(block_expansion=4, max_features=8, num_blocks=2)
        config.model.detector.update(small)
        config.model.dense_motion.update(small)
        config.model.generator.update(
            block_expansion=4, max_features=8, num_down_blocks=1, num_bottleneck_blocks=1
        )
        return config

    original = quickstart.get_config
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quickstart, "get_config", get_config)
        yield get_config


def test_a_pan_begins_with_the_source(tiny, rng):
    model = stability_untrained.draw(tiny(), 0)
    panner = stability_pan.Panner(model, SIDE, batch_size=5)
    fine, pose = 255 * rng.random((2, 4 * SIDE, 4 * SIDE, 3))
    pan = panner.pan(fine, pose, (1, 0), steps=5)
    np.testing.assert_allclose(pan.made["exact"][0], pan.made["detected"][0], atol=1e-5)
    np.testing.assert_allclose(
        255 * pan.driving[4], shifted_frames(fine, np.array([[4, 0]]), side=SIDE)[0], atol=1e-4
    )
    frames = [shifted_frames(x, np.array([[0, 0]]), side=SIDE) / 255 for x in (fine, pose)]
    points = [model.kp_detector(x) for x in frames]
    whole = model.generator(frames[0], *points).prediction[0]
    np.testing.assert_allclose(pan.made["all moved"][0], whole, atol=1e-5)
    # Exactly one pixel further: a unit of keypoints is half the side of their map, 32 - 7.
    later = jax.tree.map(lambda x: x, points[0]).replace(
        value=points[0].value + jnp.array([1 / 12.5, 0])
    )
    made = model.generator(frames[0], points[0], later).prediction[0]
    np.testing.assert_allclose(pan.made["exact"][4], made, atol=1e-5)


def test_calibrated_networks_have_signals(tiny):
    """Random weights with fitting statistics give keypoints that are not all in the centre."""
    plain, other = (stability_untrained.draw(tiny(a), 0) for a in ("", "antialias=blur"))
    kernels = [m.kp_detector.kp.kernel[...] for m in (plain, other)]
    np.testing.assert_array_equal(*kernels)
    frames, _ = (np.stack(x) for x in zip(*compare.fine_pictures(SIDE, 2), strict=True))
    assert np.ptp(plain.kp_detector(frames / np.float32(255)).value) > 0.1


def test_the_command(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stability, "SHIFTS", {"fine": np.arange(3), "whole": 4 * np.arange(33)})
    monkeypatch.setattr(stability, "DIRECTIONS", ((1, 0),))
    compare.main(
        ["--untrained", "0", "--count", "1", "--rounds", "1", "--output", str(tmp_path / "made")]
    )
    text = (tmp_path / "made" / "report.md").read_text()
    assert text in capsys.readouterr().out
    data = json.loads((tmp_path / "made" / "report.json").read_text())
    assert [run["name"] for run in data["runs"]] == ["untrained, plain", "untrained, anti-aliased"]
    plain = data["runs"][0]
    assert plain["tracks"]["frame, fine"]["shifts"] == [0, 0.25, 0.5]
    assert plain["tracks"]["field, whole"]["mean"][0] == 0
    # Networks of two halvings: no longer period than 4.
    periods = plain["tracks"]["field, whole"]["by_period"]
    assert periods["2"] + periods["4"] > 100 * periods["8"]
    assert set(plain["pans"]) == {"driving", *stability_pan.KINDS}
    assert plain["detector_parameters"] == data["runs"][1]["detector_parameters"] > 0
    for name in ("keypoints", "strips"):
        assert f"({name}.png)" in text
        with Image.open(tmp_path / "made" / f"{name}.png") as picture:
            assert min(picture.size) > 300


def test_the_table_tells_what_is_missing():
    assert report._shown(None, "L1") == "" and report._shown(float("nan"), "L1") == ""
    assert report._shown(829839, "generator, parameters") == "829,839"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name at least one run"),
        (["--untrained", "0", "--count", "0"], "count must be at least 1, got 0"),
        (["nothing/there"], "model must be a run's folder or a checkpoint file"),
    ],
)
def test_bad_input(arguments, message, tmp_path):
    with pytest.raises(SystemExit, match=message):
        compare.main([*arguments, "--output", str(tmp_path)])


def test_names_of_runs_are_short_where_they_differ():
    assert compare.short_names(["a/x", "a/y/"]) == ["x", "y"]
    assert compare.short_names(["a/x", "b/x"]) == ["a/x", "b/x"]
