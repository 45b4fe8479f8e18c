"""Thin-plate deformations against reference arrays, and the Jacobian against differentiation."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.grid_sample import identity_grid
from aa_jax.ops.thin_plate import Transform, random_transform
from tests.tolerances import OP, relative_error


@pytest.fixture(scope="module")
def reference(golden):
    return golden("motion_splat_face/fomm_misc.npz")


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    with jax.enable_x64(request.param == "float64"):
        yield request.param


def published(reference, dtype):
    control = identity_grid(5, 5, dtype=dtype).reshape(-1, 2)
    theta, params = (jnp.asarray(reference[f"tps_{k}"], dtype) for k in ("theta", "control_params"))
    return Transform(theta, control, params[:, 0])


def test_points_and_jacobian_agree_with_the_reference(reference, dtype):
    transform = published(reference, dtype)
    points = jnp.asarray(reference["tps_points"], dtype)
    expected = reference["tps_warped_points"]
    assert relative_error(jax.jit(Transform.points)(transform, points), expected) < OP[dtype]
    expected = reference["tps_jacobian"]
    assert relative_error(jax.jit(Transform.jacobian)(transform, points), expected) < OP[dtype]


def test_an_affine_map_alone(reference, dtype):
    theta = jnp.asarray(reference["tps_theta"], dtype)
    transform = Transform(theta, jnp.zeros((0, 2), dtype), jnp.zeros((2, 0), dtype))
    points = jnp.asarray(reference["tps_points"], dtype)
    assert (
        relative_error(transform.points(points), reference["affine_only_warped_points"]) < OP[dtype]
    )
    expected = np.broadcast_to(reference["tps_theta"][:, None, :, :2], (2, 40, 2, 2))
    np.testing.assert_allclose(transform.jacobian(points), expected, rtol=1e-6)


@pytest.mark.parametrize("corners, key", [("aligned", "ac1"), ("half_pixel", "ac0")])
def test_frames_agree_with_the_reference(reference, dtype, corners, key):
    images = jnp.asarray(reference["tps_frames_u8"] / 255, dtype)
    deformed = published(reference, dtype).frames(images, corners=corners)
    expected = reference[f"tps_transformed_{key}"].transpose(0, 2, 3, 1)
    # Stored in float32. In float32, a place is known to 1e-5 pixel.
    tolerance = {"float64": 1e-7, "float32": 2e-5}[dtype]
    np.testing.assert_allclose(deformed, expected, atol=tolerance)


def test_the_jacobian_is_the_derivative_and_has_one():
    with jax.enable_x64(True):
        key = jax.random.key(0)
        transform = random_transform(
            key, 2, sigma_affine=0.05, sigma_tps=0.05, points=3, dtype="float64"
        )
        points = jax.random.uniform(key, (2, 3, 2), "float64", -1.4, 1.4)

        def at(point, theta, params):
            one = Transform(theta[None], transform.control_points, params[None])
            return one.points(point[None, None])[0, 0]

        each = jax.vmap(jax.vmap(jax.jacfwd(at), (0, None, None)))
        expected = each(points, transform.theta, transform.control_params)
        np.testing.assert_allclose(transform.jacobian(points), expected, atol=1e-13)
        check_grads(transform.jacobian, (points,), order=1, modes=("fwd", "rev"))


def test_the_draws_have_the_deviations_asked_for():
    draw = random_transform(jax.random.key(3), 4000, sigma_affine=0.05, sigma_tps=0.005, points=3)
    assert draw.control_params.shape == (4000, 9)
    away = np.asarray(draw.theta) - np.eye(2, 3)
    np.testing.assert_allclose(away.std(0), 0.05, rtol=0.08)
    np.testing.assert_allclose(away.mean(0), 0, atol=0.004)
    np.testing.assert_allclose(np.std(draw.control_params, 0), 0.005, rtol=0.08)
    affine = random_transform(jax.random.key(3), 2, sigma_affine=0.0)
    points = jnp.asarray([[[0.3, -0.7]]] * 2)
    np.testing.assert_array_equal(affine.points(points), points)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: t.points(jnp.zeros((3, 4, 2))), "N = 2 transforms, got"),
        (lambda t: t.jacobian(jnp.zeros((2, 2))), r"points must have shape \(N, M, 2\)"),
        (lambda t: t.frames(jnp.zeros((1, 4, 4, 3))), "images must be 2, one a transform, got 1"),
        (lambda t: t.frames(jnp.zeros((2, 4, 4))), "images must have shape"),
        (lambda t: t.frames(jnp.zeros((2, 4, 4, 1)), border="wrap"), "border must be one of"),
        (lambda t: random_transform(jax.random.key(0), 0, sigma_affine=1.0), "batch must be"),
        (lambda t: random_transform(jax.random.key(0), 1, sigma_affine=-1.0), "sigma_affine must"),
        (
            lambda t: random_transform(jax.random.key(0), 1, sigma_affine=0.1, sigma_tps=-0.1),
            "sigma_tps must not be negative",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    transform = random_transform(jax.random.key(0), 2, sigma_affine=0.1)
    with pytest.raises(ValueError, match=message):
        call(transform)
