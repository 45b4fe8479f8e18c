"""Similarity fits against reference solutions, least squares and what must be invariant."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.umeyama import umeyama
from tests.tolerances import relative_error

SCALES = {"unit": 0, "estimate": 1}


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    with jax.enable_x64(request.param == "float64"):
        yield request.param


def residual(matrix, source, target):
    matrix = np.asarray(matrix, np.float64)
    moved = source @ matrix[:-1, :-1].T + matrix[:-1, -1]
    return np.sum((moved - target) ** 2)


@pytest.mark.parametrize("scale", SCALES)
def test_all_reference_cases(golden, dtype, scale):
    reference = golden("motion_splat_face/umeyama.npz")
    tolerance = {"float64": 1e-12, "float32": 1e-5}[dtype]
    fit = jax.jit(umeyama, static_argnames="scale")
    names = reference["case_names"]
    assert len(names) == 33
    for i, name in enumerate(names):
        source, target = reference[f"c{i:02}_src"], reference[f"c{i:02}_dst"]
        matrix = fit(jnp.asarray(source, dtype), jnp.asarray(target, dtype), scale=scale)
        if name.startswith("identical"):
            assert np.isnan(matrix).all(), name
            continue
        matrix = np.asarray(matrix, np.float64)
        assert np.linalg.det(matrix[:-1, :-1]) > 0, name
        if not name.startswith("collinear_3d"):  # which has many solutions
            expected = reference[f"c{i:02}_T_scale{SCALES[scale]}"]
            assert relative_error(matrix, expected) < tolerance, name
        spread = np.sum((target - target.mean(0)) ** 2)
        best = float(reference[f"c{i:02}_residual_scale{SCALES[scale]}"])
        assert abs(residual(matrix, source, target) - best) < tolerance * spread, name


def test_two_dimensions_by_linear_least_squares(rng):
    source = rng.normal(size=(7, 2)) + 3
    target = source @ [[0.4, 1.3], [-1.2, 0.5]] + rng.normal(size=(7, 2)) * 0.2
    # x' = a x - b y + s, y' = b x + a y + t, in the unknowns a, b, s, t.
    x, y = source.T
    one, none = np.ones(7), np.zeros(7)
    rows = np.concatenate([np.stack([x, -y, one, none], 1), np.stack([y, x, none, one], 1)])
    (a, b, s, t), *_ = np.linalg.lstsq(rows, target.T.ravel(), rcond=None)
    with jax.enable_x64(True):
        matrix = umeyama(jnp.asarray(source), jnp.asarray(target))
    np.testing.assert_allclose(matrix, [[a, -b, s], [b, a, t], [0, 0, 1]], atol=1e-12)


def test_a_batch_by_vmap_and_the_gradient(rng):
    with jax.enable_x64(True):
        source, target = (jnp.asarray(rng.normal(size=(3, 6, 2))) for _ in range(2))
        matrices = jax.vmap(umeyama)(source, target)
        for i in range(3):
            np.testing.assert_allclose(matrices[i], umeyama(source[i], target[i]), atol=1e-12)

        def loss(target):
            return jnp.sum(umeyama(source[0], target) ** 2)

        step = jnp.asarray(rng.normal(size=(6, 2)))
        slope = jnp.vdot(jax.grad(loss)(target[0]), step)
        ahead, behind = loss(target[0] + 1e-6 * step), loss(target[0] - 1e-6 * step)
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "source, target, options, message",
    [
        ((4,), (4, 2), {}, r"source must have shape \(M, D\), at least 2 points"),
        ((1, 2), (1, 2), {}, "source must have shape"),
        ((4, 2), (4, 1), {}, "target must have shape"),
        ((4, 2), (5, 2), {}, r"target must have source's shape \(4, 2\), got \(5, 2\)"),
        ((4, 2), (4, 2), {"scale": True}, "scale must be one of estimate, unit, got True"),
    ],
)
def test_bad_input_is_named(source, target, options, message):
    with pytest.raises(ValueError, match=message):
        umeyama(jnp.zeros(source), jnp.zeros(target), **options)


def test_integers_are_refused():
    with pytest.raises(ValueError, match="source must be floating, got int32"):
        umeyama(jnp.zeros((3, 2), int), jnp.zeros((3, 2)))
