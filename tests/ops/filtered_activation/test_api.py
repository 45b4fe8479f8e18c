"""The public operator against its definition, its laws, and what it refuses."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from scipy import special

from aa_jax.filters import LowRank, factorize, firwin_jinc, firwin_sinc
from aa_jax.ops.filtered_activation import filtered_activation1d, filtered_activation2d
from tests.tolerances import OP, relative_error

SINC = firwin_sinc(6, cutoff=1.0, width=1.2, rate=4.0)
SKEWED = np.array([0.4, 0.9, -0.3, 0.1, 0.2])
JINC = firwin_jinc(6, cutoff=1.0, width=1.2, rate=4.0)

# By definition, before the gain, which is given explicitly in every case.
POINTWISE = {
    "identity": lambda u: u,
    "relu": lambda u: np.maximum(u, 0),
    "leaky_relu": lambda u: np.where(u < 0, 0.2 * u, u),
    "gelu": lambda u: u * (1 + special.erf(u / np.sqrt(2))) / 2,
    "silu": lambda u: u / (1 + np.exp(-u)),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "elu": lambda u: np.where(u > 0, u, np.expm1(u)),
    "selu": lambda u: 1.0507009873554805 * np.where(u > 0, u, 1.6732632423543772 * np.expm1(u)),
    "softplus": lambda u: np.log1p(np.exp(u)),
    "snake": lambda u: u + np.sin(0.7 * u) ** 2 / 1.3,
    "polynomial": lambda u: 0.5 - 0.3 * u + 0.2 * u**2 + 0.1 * u**3,
}
PARAMETERS = {"snake": (0.7, 1.3), "polynomial": (np.array([0.5, -0.3, 0.2, 0.1]),)}
ROOT_TWO = {"relu", "leaky_relu", "silu"}


def filtered(image, kernel):
    """Valid convolution of (H, W) with a full kernel, as convolutions of rows."""
    height, width = kernel.shape
    rows = len(image) - height + 1
    return np.stack(
        [
            sum(np.convolve(image[o + r], kernel[height - 1 - r], "valid") for r in range(height))
            for o in range(rows)
        ]
    ).reshape(rows, image.shape[1] - width + 1)


def oracle(
    x, up_kernel, down_kernel, *, bias, up, down, padding, activation, gain, clamp=None, flip=False
):
    """The definition, step by step, of (H, W, C) in float64."""
    channels = []
    for c in range(x.shape[-1]):
        fine = np.zeros((x.shape[0] * up[0], x.shape[1] * up[1]))
        fine[:: up[0], :: up[1]] = x[:, :, c] + bias[c]
        top, bottom, left, right = padding
        fine = np.pad(fine, [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))])
        fine = fine[max(-top, 0) : len(fine) - max(-bottom, 0)]
        fine = fine[:, max(-left, 0) : fine.shape[1] - max(-right, 0)]
        turn = (lambda kernel: kernel[::-1, ::-1]) if flip else (lambda kernel: kernel)
        v = gain * POINTWISE[activation](up[0] * up[1] * filtered(fine, turn(up_kernel)))
        if clamp is not None:
            v = np.clip(v, -clamp, clamp)
        channels.append(filtered(v, turn(down_kernel))[:: down[0], :: down[1]])
    return np.stack(channels, -1)


@pytest.mark.parametrize(
    "activation, up, down, padding, options",
    [
        ("leaky_relu", (2, 2), (2, 2), (5, 4, 5, 4), {"clamp": 0.9}),
        ("relu", (4, 1), (2, 3), (3, -2, 6, 2), {"flip": True}),
        ("tanh", (3, 2), (1, 4), (2, 7, -1, 6), {"clamp": 0.4}),
    ],
)
def test_images_agree_with_the_definition(rng, activation, up, down, padding, options):
    x, bias = rng.normal(size=(7, 9, 2)), rng.normal(size=2)
    fixed = dict(up=up, down=down, padding=padding, activation=activation, gain=1.3)
    clamp, flip = options.get("clamp"), options.get("flip", False)
    # Both a separable filter and a full one.
    pair = np.outer(SKEWED, SINC)
    expected = oracle(x, pair, JINC, bias=bias, clamp=clamp, flip=flip, **fixed)
    with jax.enable_x64(True):
        y = filtered_activation2d(
            jnp.asarray(x),
            (SKEWED, SINC),
            JINC,
            bias=jnp.asarray(bias),
            clamp=clamp,
            flip_filter=flip,
            **fixed,
        )
        assert relative_error(y, expected) <= OP["float64"]


@pytest.mark.parametrize("activation", POINTWISE)
def test_signals_agree_with_the_definition_and_have_the_default_gain(rng, activation):
    x, bias = rng.normal(size=(11, 2)), rng.normal(size=2)
    expected = oracle(
        x[None],
        SINC[None],
        SKEWED[None],
        bias=bias,
        up=(1, 2),
        down=(1, 3),
        padding=(0, 0, 4, 3),
        activation=activation,
        gain=2**0.5 if activation in ROOT_TWO else 1.0,
    )
    with jax.enable_x64(True):
        y = filtered_activation1d(
            jnp.asarray(x),
            SINC,
            SKEWED,
            bias=jnp.asarray(bias),
            up=2,
            down=3,
            padding=(4, 3),
            activation=activation,
            parameters=PARAMETERS.get(activation, ()),
        )
        # snake's guard against 0 / 0 and JAX's constants are good to a little less than rounding.
        assert relative_error(y, expected[0]) <= 1e-11


def test_a_callable_takes_parameters_and_has_no_gain():
    x = jnp.arange(6.0).reshape(3, 2)
    y = filtered_activation1d(
        x, activation=lambda u, a, b: a * u + b, parameters=(jnp.array([2.0, 3.0]), 1.0)
    )
    np.testing.assert_array_equal(y, x * np.array([2.0, 3.0]) + 1)


def test_polynomial_coefficients_may_differ_by_channel(rng):
    x, coefficients = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))
    y = filtered_activation1d(
        jnp.asarray(x, jnp.float32), activation="polynomial", parameters=(coefficients,)
    )
    expected = sum(coefficients[i] * x**i for i in range(4))
    assert relative_error(y, expected) <= OP["float32"]


@pytest.mark.parametrize("learned", [False, True])
def test_circular_is_one_period_of_a_periodic_signal(rng, learned):
    taps = jnp.asarray(SINC, jnp.float32) if learned else SINC
    x = jnp.asarray(rng.normal(size=(8, 6, 2)), jnp.float32)
    # (taps - 1) before and after, split so that the result has the size of x.
    options = dict(up=2, down=2, padding=(5, 5, 4, 6), clamp=1.0)
    run = functools.partial(filtered_activation2d, up_filter=taps, down_filter=taps, **options)
    y = run(x, boundary="circular")
    assert y.shape == x.shape
    # In the middle of three periods the border is out of reach.
    long = run(jnp.tile(x, (3, 3, 1)))
    assert relative_error(y, long[8:16, 6:12]) <= OP["float32"]
    shifted = run(jnp.roll(x, (3, 2), (0, 1)), boundary="circular")
    assert relative_error(shifted, jnp.roll(y, (3, 2), (0, 1))) <= OP["float32"]


def test_circular_signal_commutes_with_shifts(rng):
    x = jnp.asarray(rng.normal(size=(9, 2)), jnp.float32)
    run = jax.jit(
        functools.partial(
            filtered_activation1d,
            up_filter=SKEWED,
            down_filter=SINC,
            up=4,
            down=4,
            padding=(5, 4),
            activation="silu",
            boundary="circular",
        )
    )
    y = run(x)
    assert y.shape == x.shape
    for shift in (1, 5):
        assert relative_error(run(jnp.roll(x, shift, 0)), jnp.roll(y, shift, 0)) <= OP["float32"]


def test_a_signal_is_an_image_of_one_row(rng):
    x = jnp.asarray(rng.normal(size=(3, 12, 2)), jnp.float32)
    options = dict(bias=jnp.ones(2), clamp=1.0, activation="relu")
    y = filtered_activation1d(x, SKEWED, SINC, up=3, down=2, padding=(6, 4), **options)
    one = np.ones(1)
    image = filtered_activation2d(
        x[:, None],
        (one, SKEWED),
        (one, SINC),
        up=(1, 3),
        down=(1, 2),
        padding=(0, 0, 6, 4),
        **options,
    )
    np.testing.assert_array_equal(y, image[:, 0])
    # The column of an image, too.
    column = filtered_activation2d(
        x[:, :, None],
        (SKEWED, one),
        (SINC, one),
        up=(3, 1),
        down=(2, 1),
        padding=(6, 4, 0, 0),
        **options,
    )
    assert relative_error(column[:, :, 0], y) <= OP["float32"]


@pytest.mark.parametrize("activation", ["leaky_relu", "gelu"])
def test_any_number_of_leading_axes(rng, activation):
    x = jnp.asarray(rng.normal(size=(2, 3, 5, 6, 2)), jnp.float32)
    run = functools.partial(
        filtered_activation2d, up_filter=SINC, up=2, padding=3, activation=activation
    )
    y = run(x)
    assert y.shape == (2, 3, 11, 13, 2)
    assert relative_error(run(x.reshape(6, 5, 6, 2)), y.reshape(6, 11, 13, 2)) <= 1e-6
    assert relative_error(run(x[1, 2]), y[1, 2]) <= 1e-6
    assert run(x[:0]).shape == (0, 3, 11, 13, 2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_in_is_dtype_out_with_float32_or_better_between(rng, dtype):
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(6, 7, 2)), dtype)
        bias = jnp.asarray(rng.normal(size=2), "float64")
        for activation, parameters in (("leaky_relu", ()), ("snake", (np.ones(2),))):
            run = functools.partial(
                filtered_activation2d,
                up_filter=SINC,
                down_filter=SINC,
                up=4,
                down=4,
                padding=9,
                activation=activation,
                parameters=parameters,
            )
            y, vjp = jax.vjp(lambda x, b: run(x, bias=b), x, bias)  # noqa: B023
            dx, db = vjp(y)
            assert y.dtype == dx.dtype == dtype and db.dtype == "float64"
            # One rounding of the input with its bias and one of the output.
            exact = run(x.astype("float64"), bias=bias)
            assert relative_error(y, exact) <= 4 * float(jnp.finfo(dtype).eps)


def test_all_forms_of_a_filter_agree(rng):
    x = jnp.asarray(rng.normal(size=(9, 8, 3)), jnp.float32)
    full = np.outer(SINC, SINC)
    learned = jnp.asarray(SINC, jnp.float32)
    forms = [SINC, (SINC, SINC), full, factorize(full), SINC.tolist(), learned, (learned, SINC)]
    results = [
        filtered_activation2d(x, taps, taps, up=2, down=2, padding=5, clamp=1.0) for taps in forms
    ]
    for result in results[1:]:
        assert relative_error(result, results[0]) <= OP["float32"]


SHAPE = (2, 12, 10, 3)
# up 4 makes 48 x 40 samples, padding 2 * 4 more and the filter 5 fewer.
TEMPORARY = (2, 51, 43, 3)


def residuals_of(**options):
    """Shapes and dtypes of what the backward pass keeps."""
    run = functools.partial(
        filtered_activation2d, up_filter=SINC, down_filter=JINC, up=4, down=2, padding=4, **options
    )
    x = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
    bias = jax.ShapeDtypeStruct((3,), jnp.float32)
    leaves = jax.tree.leaves(jax.eval_shape(lambda x, b: jax.vjp(run_with(run), x, b)[1], x, bias))
    return [leaf for leaf in leaves if leaf.size > 1]


def run_with(run):
    return lambda x, bias: run(x, bias=bias)


def test_codes_are_all_that_is_kept():
    kept = residuals_of(clamp=256.0)
    assert [leaf.dtype for leaf in kept] == [np.dtype("uint8")]
    # Two bits per sample, four rows to a byte: a sixteenth of the temporary signal in float32.
    assert kept[0].shape == (2, 13, 43, 3)
    assert 4 * kept[0].size <= np.prod(TEMPORARY) * 1.05


@pytest.mark.parametrize(
    "options", [{"residuals": "recompute"}, {"activation": "silu"}], ids=["recompute", "smooth"]
)
def test_only_the_input_is_kept(options):
    kept = residuals_of(**options)
    assert sum(leaf.size for leaf in kept if leaf.ndim > 1) <= np.prod(SHAPE)
    assert not any(leaf.dtype == np.uint8 for leaf in kept)


def test_second_order_keeps_no_temporary_signal():
    run = functools.partial(
        filtered_activation2d, up_filter=SINC, down_filter=JINC, up=4, down=2, padding=4
    )

    def gradient(x, cotangent):
        return jax.vjp(run, x)[1](cotangent)[0]

    x = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
    y = jax.eval_shape(run, x)
    kept = jax.tree.leaves(jax.eval_shape(lambda x, ct: jax.vjp(gradient, x, ct)[1], x, y))
    assert any(leaf.dtype == np.uint8 for leaf in kept)
    assert all(leaf.size < np.prod(TEMPORARY) / 3 for leaf in kept)


IMAGE = np.zeros((1, 5, 5, 2), np.float32)
LEARNED = jnp.ones(3)


@pytest.mark.parametrize(
    "x, options, message",
    [
        (IMAGE[0, 0], {}, r"x must have shape \(..., height, width, channels\), got \(5, 2\)"),
        (np.zeros((1, 5, 5, 2), int), {}, "x must be a floating-point array, got dtype int"),
        (IMAGE, {"bias": np.ones(3)}, r"bias must have shape \(2,\) for x .*, got \(3,\)"),
        (IMAGE, {"bias": np.ones(())}, r"bias must have shape \(2,\) for x .*, got \(\)"),
        (IMAGE, {"activation": "lrelu"}, "activation must be a callable or one of .* 'lrelu'"),
        (IMAGE, {"activation": None}, "activation must be a callable or one of .* None"),
        (IMAGE, {"activation": "snake"}, "parameters of .*'snake' must be 1 to 2 arrays, got 0"),
        (
            IMAGE,
            {"activation": "tanh", "parameters": (1.0,)},
            "parameters of .*'tanh' must be 0 arrays, got 1",
        ),
        (
            IMAGE,
            {"activation": "snake", "parameters": (np.ones(2), np.ones(3))},
            r"parameters\[1\] of .*'snake' must broadcast to 2 channels, got shape \(3,\)",
        ),
        (
            IMAGE,
            {"activation": "polynomial", "parameters": (np.ones((3, 5)),)},
            r"parameters\[0\] of .*'polynomial' must broadcast to 2 channels, got shape \(3, 5\)",
        ),
        (IMAGE, {"boundary": "reflect"}, r"boundary must be one of \('zero', .*got 'reflect'"),
        (IMAGE, {"residuals": "all"}, r"residuals must be one of \('codes', .*got 'all'"),
        (IMAGE, {"implementation": "cuda"}, "implementation must be one of .*got 'cuda'"),
        (IMAGE, {"up_filter": np.ones(9)}, "up_filter must not be longer than .*5 samples.*9 taps"),
        (
            IMAGE,
            {"down_filter": (np.ones(2), np.ones(9)), "up": 2, "padding": -1},
            "down_filter must not be longer than .*axis -2 has 8 samples.*9 taps",
        ),
        (IMAGE, {"clamp": -1.0}, "clamp must be positive or None, got -1.0"),
        (IMAGE, {"clamp": 0}, "clamp must be positive or None, got 0"),
        (IMAGE, {"up": 0}, r"up must be a positive integer or \(vertical, horizontal\), got 0"),
        (IMAGE, {"up": 1.5}, "up must be a positive integer .*got 1.5"),
        (IMAGE, {"down": (1, 2, 3)}, r"down must be a positive integer .*got \(1, 2, 3\)"),
        (IMAGE, {"padding": (1, 2, 3)}, r"padding must be .*got \(1, 2, 3\)"),
        (IMAGE, {"padding": 0.5}, "padding must be .*got 0.5"),
        (
            IMAGE,
            {"up_filter": jnp.ones((2, 2))},
            r"up_filter as a JAX array must be separable.*\(2, 2\).*must be a host array",
        ),
        (
            IMAGE,
            {"down_filter": LEARNED, "implementation": "pallas"},
            "implementation='pallas' serves .* static filters, got .*use implementation=None",
        ),
        (
            IMAGE,
            {"activation": "gelu", "implementation": "pallas"},
            "implementation='pallas' serves identity, relu and leaky_relu .*got activation='gelu'",
        ),
        (
            IMAGE,
            {"implementation": "pallas"},
            "implementation='pallas' can't run here: there are kernels for TPU .*or 'xla'",
        ),
    ],
)
def test_bad_input_is_named(x, options, message):
    with pytest.raises(ValueError, match=message):
        filtered_activation2d(jnp.asarray(x), **options)


SIGNAL = np.zeros((5, 2), np.float32)


@pytest.mark.parametrize(
    "x, options, message",
    [
        (SIGNAL[0], {}, r"x must have shape \(..., width, channels\), got \(2,\)"),
        (
            SIGNAL,
            {"up_filter": np.ones((2, 2))},
            r"up_filter must have shape \(taps,\), got .*2, 2",
        ),
        (SIGNAL, {"up": (1, 2)}, r"up must be a positive integer, got \(1, 2\)"),
        (SIGNAL, {"down": 0}, "down must be a positive integer, got 0"),
        (SIGNAL, {"padding": (1, 2, 3)}, r"padding must be an integer or \(before, after\), got"),
        (SIGNAL, {"up_filter": np.ones(6)}, "up_filter must not be longer .*axis -2 has 5 samples"),
    ],
)
def test_bad_signals_are_named(x, options, message):
    with pytest.raises(ValueError, match=message):
        filtered_activation1d(jnp.asarray(x), **options)


@pytest.mark.parametrize(
    "operator, x, options, message",
    [
        (filtered_activation2d, IMAGE, {"activation": "tanh", "clamp": -1.0}, "clamp must be pos"),
        (filtered_activation1d, SIGNAL, {"padding": 0.5}, "padding must be .*got 0.5"),
        (
            filtered_activation1d,
            SIGNAL,
            {"down_filter": LowRank([[1.0]], [[1.0]])},
            "down_filter must have shape",
        ),
        (filtered_activation1d, SIGNAL, {"padding": None}, "padding must be .*got None"),
        (filtered_activation2d, IMAGE, {"up_filter": (LEARNED,)}, "up_filter .*got 1"),
        (filtered_activation2d, IMAGE, {"up_filter": jnp.ones(0)}, "up_filter must .*empty"),
        (filtered_activation2d, IMAGE, {"down_filter": np.ones((2, 2, 2))}, "down_filter must be"),
        (
            filtered_activation2d,
            IMAGE,
            {"activation": "polynomial", "parameters": (1.0,)},
            r"parameters\[0\] of .*got shape \(\)",
        ),
        (
            filtered_activation2d,
            IMAGE,
            {"activation": "snake", "parameters": (np.ones((3, 2)),)},
            r"parameters\[0\] of .*got shape \(3, 2\)",
        ),
        (
            filtered_activation2d,
            IMAGE,
            {"up_filter": np.ones(3), "padding": 30, "boundary": "circular"},
            "boundary='circular'",
        ),
    ],
)
def test_more_bad_input_is_named(operator, x, options, message):
    with pytest.raises(ValueError, match=message):
        operator(jnp.asarray(x), **options)


def test_kernels_that_cannot_run_are_refused_under_jit_too():
    run = jax.jit(functools.partial(filtered_activation2d, implementation="pallas"))
    with pytest.raises(ValueError, match="implementation='pallas' can't run here"):
        run(jnp.asarray(IMAGE))
