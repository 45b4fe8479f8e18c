"""The GPU kernels, interpreted, against the XLA implementation in float64."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops import splat
from aa_jax.ops.splat import bins, layout, pallas_gpu, regression, xla
from aa_jax.ops.splat.gaussians import gaussians
from aa_jax.ops.splat.terms import LOG_WEIGHT
from aa_jax.ops.splat.window import Window

INTERPRETED = "pallas_gpu_interpreted"
SIZE = (11, 19)  # two by three blocks, neither full
_RNG = np.random.default_rng(0)
POINTS = _RNG.uniform([-2, -2], [21, 13], (14, 2)).astype(np.float32)
VALUES = _RNG.normal(size=(14, 2)).astype(np.float32)
# Neither round nor alike.
_HALF = _RNG.normal(size=(14, 2, 2))
COVARIANCES = (0.5 * _HALF @ _HALF.transpose(0, 2, 1) + np.eye(2)).astype(np.float32)
QUERIES = np.concatenate(  # more than a block's in one place, the others far apart
    [_RNG.uniform(3, 6, (70, 2)), _RNG.uniform(-9, 30, (9, 2))]
).astype(np.float32)

CASES = {
    "mean": (splat.interpolate, {}),
    "short list": (splat.interpolate, {"capacity": 14}),
    "everywhere": (splat.interpolate, {"support": None}),
    "queries": (splat.interpolate, {"size": None, "queries": QUERIES}),
    "plane": (splat.interpolate, {"regression": "linear"}),
    "mostly empty": (splat.interpolate, {"size": (9, 34), "fallback": 0.0, "support": 1.0}),
    "smooth sum": (splat.splat, {"window": "smooth"}),
    "square sum": (splat.splat, {"window": "square", "footprint": splat.PIXEL_FOOTPRINT}),
}


def _rendering(name, points, values, width, implementation):
    function, options = CASES[name]
    return function(
        points, values, width, implementation=implementation, **({"size": SIZE} | options)
    )


def _exact(function, *arrays):
    """The XLA implementation in float64, of the same numbers."""
    with jax.enable_x64(True):
        arrays = [np.asarray(a, np.float64) for a in arrays]
        return jax.tree.map(np.asarray, function(*arrays, "xla"))


def _assert_close(actual, expected, rounding=0.0):
    actual = np.asarray(actual)
    assert actual.dtype == np.float32 and actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= max(2e-5 * np.abs(expected).max(), rounding)


@pytest.mark.parametrize(
    "name",
    [
        *("mean", "short list", "queries"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("everywhere", "plane", "mostly empty", "smooth sum", "square sum")
        ),
    ],
)
def test_rendering(name):
    run = functools.partial(_rendering, name)
    arrays = POINTS, VALUES, COVARIANCES
    actual, expected = run(*arrays, INTERPRETED), _exact(run, *arrays)
    rounding = 0
    if name == "plane":  # two or three points hardly carry one: XLA in float32 is no nearer
        rounding = 2 * np.abs(run(*arrays, "xla").image - expected.image).max()
    _assert_close(actual.image, expected.image, rounding)
    np.testing.assert_array_equal(actual.covered, expected.covered)
    assert actual.entries == expected.entries


@pytest.mark.parametrize(
    "name",
    [
        "mean",
        pytest.param("short list", marks=pytest.mark.slow),
        pytest.param("everywhere", marks=pytest.mark.slow),
        pytest.param("queries", marks=pytest.mark.slow),
        "smooth sum",
        pytest.param("square sum", marks=pytest.mark.slow),
    ],
)
def test_gradient(name):
    def loss(points, values, width, implementation):
        return (jnp.sin(_rendering(name, points, values, width, implementation).image)).sum()

    def gradients(*arguments):
        return jax.grad(loss, (0, 1, 2))(*arguments)

    arrays = POINTS, VALUES, COVARIANCES
    expected = _exact(gradients, *arrays)
    for one, other in zip(gradients(*arrays, INTERPRETED), expected, strict=True):
        _assert_close(one, other)


@pytest.mark.slow
def test_second_order():
    """Terms of the fourth degree, of both sums."""

    def product(points, values, width, implementation):
        def loss(points, width):
            image = splat.splat(
                points, values, width, size=(5, 7), implementation=implementation
            ).image
            return (image**2).sum()

        directions = jnp.ones_like(points), jnp.ones_like(width)
        return jax.jvp(jax.grad(loss, (0, 1)), (points, width), directions)[1]

    arrays = jnp.asarray(POINTS[:6] / 3), jnp.asarray(VALUES[:6, :1]), jnp.asarray(COVARIANCES[:6])
    for one, other in zip(product(*arrays, INTERPRETED), _exact(product, *arrays), strict=True):
        _assert_close(one, other)


@pytest.fixture(scope="module")
def hostile():
    """Arguments of the sums, with a point that weighs nothing and positions that take nothing."""
    window = Window(3.0)
    where, cells = layout.of_grid(*SIZE, jnp.float32, unbounded=False)
    mixture = gaussians(
        POINTS, VALUES, COVARIANCES, scale=1.0, footprint=0.0, window=window, size=SIZE
    )
    found, _ = bins.bins_of(mixture.boxes, mixture.valid, where, cells, 300)
    geometry = mixture.geometry.at[LOG_WEIGHT, 3].set(-jnp.inf)
    return window, geometry, mixture.centres, where, found


def test_nothing_infinite_leaks(hostile):
    window, geometry, centres, where, found = hostile
    shift = pallas_gpu.peak(geometry, centres, where, found, window=window, interpret=True)
    np.testing.assert_allclose(
        shift, xla.peak(geometry, centres, where, found, window=window), rtol=1e-6
    )
    shift = shift.at[0, ::3].set(jnp.inf)
    terms = regression.terms(0, 2)
    # A cell's neighbours in the list have NaN, and must not be read as its own.
    coefficients = regression.coefficients(0, VALUES).at[:, 7].set(jnp.nan)
    signal = jnp.cos(jnp.arange(3 * shift.size, dtype=jnp.float32)).reshape(3, *shift.shape)
    for name, linear in (("evaluate", coefficients), ("moments", signal)):
        arguments = geometry, centres, linear, shift, where, found
        actual = getattr(pallas_gpu, name)(*arguments, terms=terms, window=window, interpret=True)
        expected = getattr(xla, name)(*arguments, terms=terms, window=window)
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_unsupported_says_why():
    assert pallas_gpu.unsupported(jnp.float32, regression.terms(1, 3)) is None
    assert "float64" in pallas_gpu.unsupported("float64")
    assert "terms" in pallas_gpu.unsupported("float32", regression.terms(1, 9))
    with pytest.raises(ValueError, match="another platform"):
        splat.splat(POINTS, VALUES, 1.0, size=SIZE, implementation="pallas")
    with pytest.raises(ValueError, match="terms"):
        values = np.zeros((14, 31), np.float32)
        splat.splat(POINTS, values, 1.0, size=SIZE, implementation=INTERPRETED)


def test_interpreter_is_for_outside_of_jit():
    with pytest.raises(ValueError, match="inside of jit"):
        jax.jit(lambda p: splat.splat(p, VALUES, 1.0, size=SIZE, implementation=INTERPRETED))(
            POINTS
        )
