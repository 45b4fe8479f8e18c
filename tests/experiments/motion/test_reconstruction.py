"""Reconstruction errors: of hand-made flows, and against the metrics of whole arrays."""

import numpy as np
import pytest

from aa_jax.metrics.keypoints import average_keypoint_distance
from aa_jax.metrics.reconstruction import average_euclidean_distance, reconstruction_l1
from aa_jax.models.motion import Keypoints
from experiments.motion.animation import Pictures
from experiments.motion.reconstruction import evaluate, flow_errors


def flow_of(matrix, shift, size=(5, 7)):
    """The flow z -> matrix z + shift, (h, w, 2)."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    grid = np.stack([columns, rows], -1)
    return (grid @ np.asarray(matrix).T + shift).astype(np.float32)


def test_flow_errors_of_linear_flows(rng):
    matrix, shift = np.array([[0.9, 0.1], [-0.2, 0.8]]), np.array([0.05, -0.1])
    later = rng.uniform(-0.9, 0.9, (6, 2)).astype(np.float32)
    first = (later @ matrix.T + shift).astype(np.float32)
    landmarks = np.stack([first, later, later])
    visible = np.ones((3, 6), bool)
    exact = flow_of(matrix, shift)
    # The third flow leads (.3, .4) astray, which is .5 away.
    flow = np.stack([flow_of(np.eye(2), 0), exact, exact + np.float32([0.3, 0.4])])
    np.testing.assert_allclose(flow_errors(flow, landmarks, visible), [0, 0, 0.5], atol=1e-5)


def test_flow_errors_only_count_what_is_seen_twice():
    landmarks = np.zeros((4, 3, 2), np.float32)
    landmarks[1:, :, 0] = [0.1, 0.2, 0.4]  # An identity flow is wrong by that much.
    flow = np.repeat(flow_of(np.eye(2), 0)[None], 4, 0)
    visible = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1], [0, 0, 1]], bool)
    # Of the fourth frame nothing was seen in the first one.
    np.testing.assert_allclose(flow_errors(flow, landmarks, visible), [0, 0.15, 0.2], atol=1e-6)
    assert flow_errors(flow, landmarks, np.zeros((4, 3), bool)).shape == (0,)


class Dimmer:
    """In place of an `Animator`: frames come out darker, in batches of two."""

    def keypoints(self, frames):
        return Keypoints(np.asarray(frames, np.float64).mean((1, 2))[:, None, :2] / 255)

    def render(self, source, kp_source, kp_driving):
        assert len(kp_source.value) == 1
        for start in range(0, len(self.film), 2):
            part = self.film[start : start + 2]
            flow = np.repeat(flow_of(np.eye(2), 0.25)[None], len(part), 0)
            yield Pictures(part * np.float32(0.5 / 255), part, flow)

    def films(self, *films):
        for film in films:
            self.film = film["frames"]
            yield film


@pytest.fixture
def films(rng):
    def film(count, landmarks):
        return {
            "frames": rng.integers(0, 256, (count, 4, 6, 3), np.uint8),
            "landmarks": np.zeros((count, landmarks, 2), np.float32),
            "visible": np.ones((count, landmarks), bool),
        }

    return film(3, 2), film(5, 0)


def test_numbers_are_those_of_the_metrics(films):
    dimmer = Dimmer()
    found = evaluate(
        dimmer, dimmer.films(*films), features=lambda frames: frames.reshape(len(frames), -1)
    )
    assert len(found.l1) == len(found.akd) == len(found.aed) == 8
    assert len(found.flow_error) == 3, "the second film has no landmarks"
    means = found.means()
    real = [film["frames"] / 255 for film in films]
    made = [frames / 2 for frames in real]
    assert means["l1"] == pytest.approx(reconstruction_l1(real, made), rel=1e-5)
    still = [np.broadcast_to(frames[:1], frames.shape) for frames in real]
    assert means["l1_still"] == pytest.approx(reconstruction_l1(real, still), rel=1e-5)
    points = np.concatenate(real).mean((1, 2))[:, None, :2]
    assert means["akd"] == pytest.approx(average_keypoint_distance(points, points / 2), rel=1e-5)
    flat = np.concatenate(real).reshape(8, -1)
    assert means["aed"] == pytest.approx(average_euclidean_distance(flat, flat / 2), rel=1e-5)
    assert means["flow_error"] == pytest.approx(0.25 * np.sqrt(2), rel=1e-5)


def test_what_is_not_measured_is_left_out(films):
    dimmer = Dimmer()
    assert set(evaluate(dimmer, dimmer.films(films[1])).means()) == {"l1", "l1_still", "akd"}
    assert evaluate(dimmer, []).means() == {}
