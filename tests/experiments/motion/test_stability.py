"""Detectors whose faults are known, and what is left of real ones without a frame."""

import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.motion import KeypointDetector, Resampling
from aa_jax.nn import AntiAlias
from experiments.motion import stability, stability_detectors
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
    periodic = np.tile(mirrored, (3, 3, 1))[40:160, 40:160]  # `fine` is in its centre
    shifts = np.array([[12, -5]])
    found, expected = (shifted_frames(x, shifts, side=16) for x in (fine, periodic))
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
        network = detector(antialias)
        network.kp.kernel[...] *= 30  # as decided as a trained detector
        detect = stability_detectors.FieldDetector(network, 16)
        found = keypoint_tracks(
            detect, [picture], 4 * np.arange(9), side=detect.side, directions=[(1, 0)]
        )
        largest[antialias] = found.largest_by_shift()
        assert largest[antialias][[4, 8]].max() < 1e-3
        assert largest[antialias][[1, 2, 3, 5, 6, 7]].min() > 1e-2
    assert largest["blur"].max() < largest["none"].max()
