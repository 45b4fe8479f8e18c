"""Flow and generator against reference arrays, in both conventions of coordinates."""

import jax
import numpy as np
import pytest
from flax import nnx

from aa_jax.models.motion import Keypoints, MotionGenerator
from tests.models.motion.loading import images, load_generator, precision

TOLERANCES = {np.float32: 1e-4, np.float64: 1e-6}
CASES = [
    ("fomm_gen_128_ac1", np.float32),
    ("fomm_gen_128_ac1", np.float64),
    ("fomm_gen_128_ac0", np.float64),
    ("fomm_gen_256_ac0", np.float32),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1].__name__}")
def case(request, golden):
    """The dtype, the reference, and what the generator makes."""
    name, dtype = request.param
    archive = golden(f"motion_splat_face/{name}.npz")
    with precision(dtype):
        graphdef, state = nnx.split(load_generator(archive, dtype))
        points = [
            Keypoints(*(archive[f"kp_{which}_{leaf}"].astype(dtype) for leaf in _LEAVES))
            for which in ("source", "driving")
        ]

        @jax.jit
        def generate(state, frames, source, driving):
            return nnx.merge(graphdef, state)(frames, source, driving)

        made = generate(state, images(archive["source_u8"], dtype), *points)
    return dtype, archive, made


_LEAVES = ("value", "jacobian")


def test_prediction_and_everything_before(case):
    dtype, archive, made = case
    ours = {
        "mask": made.motion.mask,
        "occlusion_map": made.motion.occlusion,
        "prediction": made.prediction,
        "deformed": made.deformed,
    }
    for name, value in ours.items():
        if name in archive:
            expected = archive[name].transpose(0, 2, 3, 1)
            np.testing.assert_allclose(value, expected, atol=TOLERANCES[dtype], rtol=0)
    np.testing.assert_allclose(
        made.motion.deformation, archive["deformation"], atol=TOLERANCES[dtype], rtol=0
    )
    expected = archive["sparse_deformed"].transpose(0, 1, 3, 4, 2)
    np.testing.assert_allclose(made.motion.deformed, expected, atol=TOLERANCES[dtype], rtol=0)


@pytest.fixture(scope="module")
def small():
    """A tiny generator without occlusion, two frames and their keypoints."""
    options = dict(num_kp=2, block_expansion=4, max_features=8, num_bottleneck_blocks=1)
    motion = dict(block_expansion=4, max_features=8, num_blocks=2)
    model = MotionGenerator(
        **options, dense_motion=motion, estimate_occlusion=False, rngs=nnx.Rngs(0)
    )
    rng = np.random.default_rng(0)
    frames = rng.random((2, 32, 32, 3), np.float32)
    jacobian = np.eye(2) + 0.1 * rng.standard_normal((2, 2, 2, 2))
    points = Keypoints(
        rng.uniform(-0.5, 0.5, (2, 2, 2)).astype(np.float32), jacobian.astype(np.float32)
    )
    return model, frames, points


def test_equal_keypoints_leave_the_source_in_place(small):
    model, frames, points = small
    made = model(frames, points, points)
    assert made.motion.occlusion is None
    # All K + 1 motions are the identity, and so is any weighted mean of them.
    np.testing.assert_allclose(made.motion.deformed[:, 0], made.motion.deformed[:, 1], atol=1e-5)
    x, y = np.meshgrid(np.linspace(-1, 1, 8), np.linspace(-1, 1, 8))
    expected = np.broadcast_to(np.stack([x, y], -1), made.motion.deformation.shape)
    np.testing.assert_allclose(made.motion.deformation, expected, atol=1e-5)


def test_encoding_once_gives_the_same_frames(small):
    model, frames, points = small
    features = model.encode(frames)
    rendered = model.render(features, frames, points, points)
    np.testing.assert_array_equal(rendered.prediction, model(frames, points, points).prediction)
