"""The filtered activation against reference arrays of the published operator."""

import functools
import json

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.ops.filtered_activation import filtered_activation1d, filtered_activation2d
from tests.tolerances import relative_error

# Cases 7 and 8 hold filters whose product with the gain was rounded to float32.
TOLERANCE = {"float64": 1e-6, "float32": 2e-5, "float16": 1e-2, "bfloat16": 1e-2}
CASES = range(9)
# All cases run in float64; in the other dtypes the quick run takes one with a clamp that acts.
QUICK = (5,)
# Interpreting the GPU's kernel takes half a minute for each case: of every kind of filter one.
ON_GPU = (1, 3, 5, 7)
ACTIVATIONS = {
    "linear": "identity",
    "relu": "relu",
    "lrelu": "leaky_relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "elu": "elu",
    "selu": "selu",
    "softplus": "softplus",
    "swish": "silu",
}


def channels_last(array, dtype="float64"):
    return jnp.asarray(np.moveaxis(array, 1, -1), dtype)


class Case:
    """One case of filtered_lrelu.npz in this package's conventions."""

    def __init__(self, arrays, number):
        self.get = lambda name: arrays[f"c{number}_{name}"]
        # Reference padding is (x0, x1, y0, y1).
        left, right, top, bottom = (int(p) for p in self.get("pad"))
        clamp = float(self.get("clamp"))
        up_filter, down_filter = (
            self.get(name).astype(np.float64) if self.get(name).size else None
            for name in ("fu", "fd")
        )
        self.operator = functools.partial(
            filtered_activation2d,
            up_filter=up_filter,
            down_filter=down_filter,
            up=int(self.get("up")),
            down=int(self.get("down")),
            padding=(top, bottom, left, right),
            gain=float(self.get("gain")),
            slope=float(self.get("slope")),
            clamp=None if np.isinf(clamp) else clamp,
            flip_filter=bool(self.get("flip")),
        )

    def array(self, name, dtype):
        value = self.get(name)
        return channels_last(value, dtype) if value.ndim == 4 else jnp.asarray(value, dtype)

    def results(self, dtype, *, second_order=True, **options):
        """y, dx, db, and the gradient of <dx, v> + <db, u> with respect to the cotangent."""
        operator = functools.partial(self.operator, **options)

        @jax.jit
        def run(x, b, cotangent, v, u):
            y, vjp = jax.vjp(lambda x, b: operator(x, bias=b), x, b)
            if not second_order:
                return y, *vjp(cotangent)
            gradients, vjp_of_vjp = jax.vjp(vjp, cotangent)
            (second,) = vjp_of_vjp((v, u))
            return y, *gradients, second

        return run(*(self.array(name, dtype) for name in ("x", "b", "cot", "v", "u")))


def slow_unless(quick, *values):
    return pytest.param(*values, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(
    "number, dtype, residuals",
    [
        slow_unless(n in QUICK or (dtype, residuals) == ("float64", "codes"), n, dtype, residuals)
        for n in CASES
        for dtype in ("float64", "float32")
        for residuals in ("codes", "recompute")
    ],
)
def test_agrees_with_reference_to_second_order(golden, number, dtype, residuals):
    case = Case(golden("alias_free/filtered_lrelu.npz"), number)
    with jax.enable_x64(True):
        results = case.results(dtype, residuals=residuals)
        for result, name in zip(results, ("y64", "dx64", "db64", "ggcot64"), strict=True):
            assert result.dtype == dtype
            assert relative_error(result, case.array(name, "float64")) <= TOLERANCE[dtype], name


@pytest.mark.parametrize(
    "number, kernel",
    [
        slow_unless(n in QUICK, n, f"pallas_{platform}_interpreted")
        for platform, numbers in (("gpu", ON_GPU), ("tpu", CASES))
        for n in numbers
    ],
)
def test_kernels_agree_with_reference(golden, number, kernel):
    case = Case(golden("alias_free/filtered_lrelu.npz"), number)
    # The GPU's interpreter does not run inside of jit.
    on_gpu = kernel == "pallas_gpu_interpreted"
    with jax.disable_jit(on_gpu):
        second_order = not on_gpu or number in QUICK
        results = case.results("float32", second_order=second_order, implementation=kernel)
    for result, name in zip(results, ("y64", "dx64", "db64", "ggcot64"), strict=False):
        expected = case.get(name)
        expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
        assert relative_error(result, expected) <= TOLERANCE["float32"], name


@pytest.mark.parametrize(
    "number, dtype",
    [slow_unless(n in QUICK, n, dtype) for n in CASES for dtype in ("float16", "bfloat16")],
)
def test_half_precision(golden, number, dtype):
    case = Case(golden("alias_free/filtered_lrelu.npz"), number)
    with jax.enable_x64(True):

        @jax.jit
        def run(x, bias, cotangent):
            y, vjp = jax.vjp(lambda x, b: case.operator(x, bias=b), x, bias)
            return y, *vjp(cotangent)

        x, bias, cotangent = (case.array(name, dtype) for name in ("x", "b", "cot"))
        y, dx, db = run(x, bias, cotangent)
        assert y.dtype == dx.dtype == db.dtype == dtype
        assert relative_error(y, case.array("y64", "float64")) <= TOLERANCE[dtype]
        # Rounding the input takes some samples over a kink, so the gradient is compared at rounded
        # input: with the float64 path, which the test above holds to the reference.
        rounded, no_bias = x + bias, jnp.zeros_like(bias)
        _, dx, db = run(rounded, no_bias, cotangent)
        _, dx64, _ = run(*(a.astype("float64") for a in (rounded, no_bias, cotangent)))
        assert relative_error(dx, dx64) <= TOLERANCE[dtype]
        assert relative_error(db, np.asarray(dx, np.float64).sum((0, 1, 2))) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradient_of_a_bias_is_summed_in_float32(rng, dtype):
    x = jnp.asarray(rng.normal(size=(2, 40, 40, 2)), dtype)
    cotangent = jnp.asarray(rng.uniform(size=x.shape), dtype)
    operator = functools.partial(filtered_activation2d, x, activation="identity")
    _, vjp = jax.vjp(lambda b: operator(bias=b), jnp.zeros(2, "float32"))
    (db,) = vjp(cotangent)
    assert db.dtype == "float32"
    # A sum in 16 bits would stop growing at a few hundred.
    assert relative_error(db, np.asarray(cotangent, np.float64).sum((0, 1, 2))) <= 1e-5


@pytest.mark.parametrize("kernel", ["pallas_gpu_interpreted", "pallas_tpu_interpreted"])
@pytest.mark.parametrize("activation", ["linear", "relu", "lrelu"])
def test_pointwise_kernels_agree_with_reference(golden, activation, kernel):
    arrays = golden("alias_free/bias_act.npz")
    options = [json.loads(str(arrays[f"o{number}"])) for number in range(10)]
    number = next(n for n in range(10) if options[n]["act"] == activation)
    operator = functools.partial(
        filtered_activation1d,
        activation=ACTIVATIONS[activation],
        slope=options[number]["alpha"] or 0.2,
        gain=options[number]["gain"],
        clamp=options[number]["clamp"],
        implementation=kernel,
    )
    x, cotangent = (
        jnp.asarray(np.moveaxis(arrays[name], 1, -1), "float32") for name in ("x", f"cot{number}")
    )
    y, vjp = jax.vjp(lambda x: operator(x, bias=jnp.asarray(arrays["b"], "float32")), x)
    for result, name in ((y, f"y{number}"), (vjp(cotangent)[0], f"dx{number}")):
        expected = np.moveaxis(arrays[name], 1, -1)
        assert relative_error(result, expected) <= TOLERANCE["float32"], name


@pytest.mark.parametrize("number", range(10))
def test_pointwise_activations_agree_with_reference(golden, number):
    arrays = golden("alias_free/bias_act.npz")
    options = json.loads(str(arrays[f"o{number}"]))
    if options["alpha"] is not None:
        assert options["act"] == "lrelu"
    with jax.enable_x64(True):
        x = channels_last(arrays["x"])
        bias = jnp.asarray(arrays["b"], "float64")
        operator = functools.partial(
            filtered_activation1d,
            activation=ACTIVATIONS[options["act"]],
            slope=options["alpha"] or 0.2,
            gain=options["gain"],
            clamp=options["clamp"],
        )
        y, vjp = jax.vjp(lambda x, b: operator(x, bias=b), x, bias)
        dx, db = vjp(channels_last(arrays[f"cot{number}"]))
        expected = channels_last(arrays[f"dx{number}"])
        assert relative_error(y, channels_last(arrays[f"y{number}"])) <= 1e-6
        assert relative_error(dx, expected) <= 1e-6
        assert relative_error(db, expected.sum((0, 1))) <= 1e-6
