"""The detector against reference arrays, and what it refuses."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.motion import KeypointDetector
from tests.models.motion.loading import images, load_detector, precision

GOLDEN = "motion_splat_face/fomm_kp.npz"
# Arrays are stored in float32, keypoints and Jacobians in float64.
TOLERANCES = {np.float32: 1e-4, np.float64: 1e-6}


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float32", "float64"])
def case(request, golden):
    """The dtype, the reference, and what the detector finds with running and batch statistics."""
    dtype, archive = request.param, golden(GOLDEN)
    with precision(dtype):
        model = load_detector(archive, dtype)
        frames = images(archive["images_u8"], dtype)
        graphdef, state = nnx.split(model)

        @jax.jit
        def evaluate(state, frames):
            seen = {}
            found = nnx.merge(graphdef, state)(frames, record=seen.__setitem__)
            return found, seen

        @jax.jit
        def train(state, frames):
            model = nnx.merge(graphdef, state)
            return model(frames, train=True), nnx.split(model)[1]

        found, seen = evaluate(state, frames)
        trained, after = train(state, frames)
    return dtype, archive, found, seen, trained, nnx.merge(graphdef, after)


def test_keypoints_and_jacobians(case):
    dtype, archive, found, _, trained, _ = case
    for name, expected in (("value", found.value), ("train_value", trained.value)):
        np.testing.assert_allclose(expected, archive[name], atol=TOLERANCES[dtype], rtol=0)
    for name, expected in (("jacobian", found.jacobian), ("train_jacobian", trained.jacobian)):
        np.testing.assert_allclose(expected, archive[name], atol=TOLERANCES[dtype], rtol=0)


def test_maps_on_the_way(case):
    dtype, archive, _, seen, _, _ = case
    pairs = [(f"enc{i}", f"predictor.encoder.{i}") for i in range(5)]
    pairs += [("feature_map", "features"), ("heatmap", "heatmap")]
    for theirs, ours in pairs:
        expected = archive[theirs].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(
            seen[ours][: len(expected)], expected, atol=TOLERANCES[dtype], rtol=1e-5
        )


def test_running_statistics_after_a_step(case):
    dtype, archive, *_, after = case
    blocks = {"encoder.down_blocks": after.predictor.encoder, "decoder.up_blocks": None}
    blocks["decoder.up_blocks"] = after.predictor.decoder
    for name, stack in blocks.items():
        prefix = f"train_after/predictor.{name}.0.norm.running_"
        norm = stack[0].norm
        for leaf, variable in (("mean", norm.mean), ("var", norm.var)):
            np.testing.assert_allclose(
                variable[...], archive[prefix + leaf], rtol=TOLERANCES[dtype], atol=1e-6
            )


def test_starts_with_identities_for_jacobians():
    model = KeypointDetector(
        num_kp=3, block_expansion=2, num_blocks=1, max_features=4, scale_factor=1, rngs=nnx.Rngs(0)
    )
    found = model(jax.random.uniform(jax.random.key(0), (2, 16, 16, 3)))
    np.testing.assert_allclose(found.jacobian, np.tile(np.eye(2), (2, 3, 1, 1)), atol=1e-6)


@pytest.mark.parametrize("kind, maps", [("single", 1), ("none", None)])
def test_other_jacobians(kind, maps):
    options = dict(num_kp=3, block_expansion=2, num_blocks=1, max_features=4, scale_factor=1)
    model = KeypointDetector(**options, estimate_jacobian=kind, rngs=nnx.Rngs(0))
    found = model(jnp.zeros((1, 16, 16, 3)))
    if maps is None:
        assert found.jacobian is None
    else:
        assert model.jacobian.kernel.shape[-1] == 4 * maps
        # One map of Jacobians: with equal weights everywhere, all keypoints share one.
        np.testing.assert_allclose(found.jacobian[0], np.tile(np.eye(2), (3, 1, 1)), atol=1e-6)


def test_errors_say_what_is_expected():
    with pytest.raises(ValueError, match="estimate_jacobian must be"):
        KeypointDetector(estimate_jacobian="yes", rngs=nnx.Rngs(0))
    options = dict(num_kp=2, block_expansion=2, num_blocks=2, max_features=4, scale_factor=1)
    model = KeypointDetector(**options, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="multiples of 4"):
        model(jnp.zeros((1, 18, 16, 3)))
    with pytest.raises(ValueError, match="images"):
        model(jnp.zeros((16, 16, 3)))
