"""Animation: what it must be identical to, in batches and as a stream."""

import jax
import numpy as np
import pytest
from flax import nnx
from scipy.spatial import ConvexHull

from aa_jax.models.motion import Keypoints
from experiments.motion.animation import Animator, moved_keypoints
from tests.experiments.motion.tiny_motion import frames, tiny_motion


@pytest.fixture(scope="module")
def trained():
    return tiny_motion()


@pytest.fixture(scope="module")
def animator(trained):
    return Animator(trained, batch_size=2)


@pytest.fixture(scope="module")
def film():
    return frames(5, seed=1)


@pytest.fixture(scope="module")
def keypoints(animator, film):
    return animator.keypoints(film)


def points(rng, count):
    jacobian = np.eye(2) + 0.2 * rng.normal(size=(count, 4, 2, 2))
    return Keypoints(rng.uniform(-1, 1, (count, 4, 2)), jacobian)


def pick(keypoints, number):
    return jax.tree.map(lambda x: x[number : number + 1], keypoints)


def test_keypoints_do_not_depend_on_batches(trained, film, keypoints):
    whole = nnx.jit(lambda detector, x: detector(x))(trained.kp_detector, film / np.float32(255))
    assert keypoints.value.shape == (5, 3, 2) and np.ptp(keypoints.value, axis=0).min() > 1e-3
    np.testing.assert_allclose(keypoints.value, whole.value, atol=1e-5)
    np.testing.assert_allclose(keypoints.jacobian, whole.jacobian, atol=1e-5)


def test_absolute_mode_is_the_generators_call(trained, animator, film, keypoints):
    source = frames(1, seed=2)[0]
    kp_source = animator.keypoints(source[None])
    moved = moved_keypoints(kp_source, keypoints, mode="absolute")
    parts = list(animator.render(source, kp_source, moved))
    assert [len(part.frames) for part in parts] == [2, 2, 1]

    def call(generator, image, first, second):
        repeated = jax.tree.map(lambda x: np.repeat(x, 5, 0), (image, first))
        return generator(*repeated, second)

    whole = nnx.jit(call)(trained.generator, source[None] / np.float32(255), kp_source, keypoints)
    expected = {
        "frames": whole.prediction,
        "deformed": whole.deformed,
        "deformation": whole.motion.deformation,
    }
    for name, array in expected.items():
        made = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(made, array, atol=1e-5)
    assert np.ptp(whole.prediction, axis=0).max() > 0.01, "nothing moves"


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_a_stream_equals_the_whole(animator, film, keypoints, mode):
    source = frames(1, seed=2)[0]
    kp_source = animator.keypoints(source[None])
    options = dict(mode=mode, initial=pick(keypoints, 3))
    whole = animator.render(source, kp_source, moved_keypoints(kp_source, keypoints, **options))
    taken = []

    def one_by_one():
        for number, frame in enumerate(film):
            taken.append(number)
            yield frame

    stream = animator.transfer(
        source, kp_source, one_by_one(), lambda k: moved_keypoints(kp_source, k, **options)
    )
    first = next(stream)
    assert taken == [0, 1], "no more than a batch is read ahead"
    driving, made = zip(first, *stream, strict=True)
    np.testing.assert_array_equal(driving, film)
    np.testing.assert_allclose(made, np.concatenate([p.frames for p in whole]), atol=1e-6)


@pytest.mark.parametrize("scale", ["adapt", "none"])
def test_the_initial_frame_leaves_the_sources_keypoints(rng, scale):
    source, driving = points(rng, 1), points(rng, 3)
    moved = moved_keypoints(source, driving, scale=scale)
    np.testing.assert_allclose(moved.value[:1], source.value, atol=1e-6)
    np.testing.assert_allclose(moved.jacobian[:1], source.jacobian, atol=1e-5)
    again = moved_keypoints(source, driving, scale=scale, initial=pick(driving, 2))
    np.testing.assert_allclose(again.value[2:], source.value, atol=1e-6)
    assert np.abs(again.value[0] - source.value[0]).max() > 0.1


@pytest.mark.parametrize("scale", ["adapt", "none"])
def test_relative_motion_by_hand(rng, scale):
    source, driving, initial = points(rng, 1), points(rng, 3), points(rng, 1)
    moved = moved_keypoints(source, driving, scale=scale, initial=initial)
    areas = [ConvexHull(k.value[0]).volume for k in (source, initial)]
    factor = np.sqrt(areas[0] / areas[1]) if scale == "adapt" else 1
    value = source.value + factor * (driving.value - initial.value)
    jacobian = driving.jacobian @ np.linalg.inv(initial.jacobian) @ source.jacobian
    np.testing.assert_allclose(moved.value, value, atol=1e-5)
    np.testing.assert_allclose(moved.jacobian, jacobian, atol=1e-4)


def test_without_jacobians(rng):
    source, driving = Keypoints(points(rng, 1).value), Keypoints(points(rng, 2).value)
    assert moved_keypoints(source, driving).jacobian is None


def test_bad_input(rng, trained):
    source, driving = points(rng, 1), points(rng, 2)
    with pytest.raises(ValueError, match="mode must be one of relative, absolute, got 'fast'"):
        moved_keypoints(source, driving, mode="fast")
    with pytest.raises(ValueError, match="scale must be one of adapt, none, got 2"):
        moved_keypoints(source, driving, scale=2)
    line = Keypoints(np.linspace(0, 1, 8).reshape(1, 4, 2), driving.jacobian[:1])
    with pytest.raises(ValueError, match="scale cannot adapt, none is without it: the 4 keypoints"):
        moved_keypoints(source, driving, initial=line)
    moved_keypoints(source, driving, initial=line, scale="none")
    singular = Keypoints(driving.value[:1], np.ones((1, 4, 2, 2)))
    with pytest.raises(ValueError, match="needs Jacobians of the initial driving frame that have"):
        moved_keypoints(source, driving, initial=singular)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Animator(trained, batch_size=0)
