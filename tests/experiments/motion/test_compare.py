"""Pans that are known, and the command on tiny networks."""

import json

import numpy as np
import pytest
from jax import numpy as jnp
from PIL import Image

from experiments.motion import (
    compare,
    networks,
    stability,
    stability_pan,
    stability_report as report,
    stability_untrained,
)
from experiments.motion.configs import quickstart
from experiments.motion.stability import shifted_frames

SIDE = 32


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
        config.data.test_videos, config.data.num_frames = 2, 4
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
    later = points[0].replace(value=points[0].value + jnp.array([1 / 12.5, 0]))
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
    monkeypatch.setattr(networks, "load", lambda path: stability_untrained.draw(tiny(), 0))
    monkeypatch.setattr(stability_untrained, "QUICKSTART", {"anti-aliased": "antialias=blur"})
    folder = tmp_path / "made"
    compare.main(
        ["runs/some", "--untrained", "0", "--count", "1", "--rounds", "1", "--output", str(folder)]
    )
    text = (folder / "report.md").read_text()
    assert text in capsys.readouterr().out
    data = json.loads((folder / "report.json").read_text())
    run, other = data["runs"]
    assert [run["name"], other["name"]] == ["some", "untrained, anti-aliased"]
    assert run["tracks"]["frame, fine"]["shifts"] == [0, 0.25, 0.5]
    assert run["tracks"]["field, whole"]["mean"][0] == 0
    # Networks of two halvings: no longer period than 4.
    periods = run["tracks"]["field, whole"]["by_period"]
    assert periods["2"] + periods["4"] > 100 * periods["8"]
    assert set(run["pans"]) == {"driving", *stability_pan.KINDS}
    assert run["detector_parameters"] == other["detector_parameters"] > 0
    assert set(run["reconstruction"]) == {"l1", "l1_still", "flow_error", "akd"}
    assert not other["reconstruction"]
    for name in ("keypoints", "strips"):
        assert f"({name}.png)" in text
        with Image.open(folder / f"{name}.png") as picture:
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
