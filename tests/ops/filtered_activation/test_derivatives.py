"""Derivatives of the filtered activation: numerically, and under JAX's transformations."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.filters import factorize, firwin_jinc, firwin_sinc
from aa_jax.ops.filtered_activation import (
    activations,
    filtered_activation1d,
    filtered_activation2d,
)
from tests.ops import oracles
from tests.tolerances import relative_error

SHAPE = (1, 5, 4, 2)
TAPS = np.array([0.3, 0.9, -0.4])
OTHER_TAPS = np.array([-0.2, 0.7, 0.6, 0.1])
FULL = np.array([[0.5, -0.3, 0.2], [0.1, 0.8, -0.6]])
FILTERS = {
    "none": (None, None),
    "separable": (TAPS, OTHER_TAPS),
    "pair": ((TAPS, OTHER_TAPS), (OTHER_TAPS, TAPS)),
    "full": (FULL, TAPS),
    "jinc": (TAPS, factorize(firwin_jinc(4, cutoff=1.0, width=1.0, rate=4.0), tolerance=1e-14)),
    "learned": (TAPS[:2], OTHER_TAPS[1:]),
    "learned pair": ((TAPS[:2], TAPS[1:2]), (TAPS[1:2], OTHER_TAPS[1:3])),
}


def shifted_square(u, shift):
    return (u + shift) ** 2 / 4


@dataclasses.dataclass(frozen=True)
class Case:
    activation: str
    boundary: str
    up: int | tuple[int, int]
    down: int | tuple[int, int]
    filters: str
    parameters: tuple = ()
    clamp: float | None = None
    residuals: str = "codes"

    def __str__(self):
        factors = f"{self.up}-{self.down}".replace(" ", "")
        return f"{self.activation}-{self.boundary}-{factors}-{self.filters}"

    @property
    def options(self):
        activation = shifted_square if self.activation == "callable" else self.activation
        return dict(
            up=self.up,
            down=self.down,
            padding=(2, 1, 1, 2),
            activation=activation,
            clamp=self.clamp,
            boundary=self.boundary,
            residuals=self.residuals,
        )

    def function(self):
        """The operator of (x, bias, parameters, learned filters), and something curved after it."""
        up_filter, down_filter = FILTERS[self.filters]

        def run(x, bias, parameters, learned):
            y = filtered_activation2d(
                x,
                *(learned or (up_filter, down_filter)),
                bias=bias,
                parameters=parameters,
                **self.options,
            )
            return jnp.sin(0.3 * y)

        return run

    def arguments(self):
        """Float64 arguments at which no sample of the temporary signal is close to a kink."""
        parameters = tuple(np.asarray(p, np.float64) for p in self.parameters)
        for seed in range(100):
            rng = np.random.default_rng(seed)
            x, bias = rng.normal(size=SHAPE), rng.normal(size=SHAPE[-1:])
            u = self.temporary(x + bias)
            # Without a filter, inserted zeros stay zeros, whatever the input.
            u = u[u != 0]
            options = dict(gain=1.0, slope=0.2)
            if self.activation not in ("relu", "leaky_relu", "identity"):
                options["slope"] = None
            v = u
            if self.clamp is not None:
                pointwise = activations.pointwise(self.activation, clamp=None, **options)
                v = np.asarray(pointwise(u)) * activations.default_gain(self.activation)
            bounds = np.inf if self.clamp is None else self.clamp
            if min(np.abs(u).min(), np.abs(np.abs(v) - bounds).min()) > 1e-3:
                learned = FILTERS[self.filters] if "learned" in self.filters else ()
                as_arrays = functools.partial(jax.tree.map, jnp.asarray)
                return as_arrays((x, bias, parameters, learned))
        raise AssertionError("no input is far from all kinks")

    def temporary(self, x):
        taps = FILTERS[self.filters][0]
        vertical, horizontal = taps if isinstance(taps, tuple) else (taps, taps)
        if taps is None:
            kernel = np.ones((1, 1))
        else:
            kernel = taps if np.ndim(vertical) == 2 else np.outer(vertical, horizontal)
        up = self.up if isinstance(self.up, tuple) else (self.up, self.up)
        filtered = functools.partial(
            oracles.upfirdn2d,
            kernel=kernel,
            up=up,
            down=(1, 1),
            padding=self.options["padding"],
            gain=float(np.prod(up)),
            mode=self.boundary,
        )
        return np.stack([filtered(x[0, :, :, c]) for c in range(x.shape[-1])])


# Chosen so that nearly every pair of activation kind, boundary, factors and filter kind occurs.
QUICK = [
    Case("leaky_relu", "zero", 2, 4, "full", clamp=1.2),
    Case("leaky_relu", "circular", 2, 2, "learned pair"),
    Case("identity", "circular", (1, 2), (2, 1), "jinc", clamp=0.9, residuals="recompute"),
    Case("snake", "zero", 2, 2, "separable", ([0.8, 1.3],)),
]
SLOW = [
    Case("polynomial", "circular", 4, 2, "none", ([[0.1, 0.2], [0.8, 1.1], [0.3, -0.2]],)),
    Case("identity", "zero", 2, 2, "pair"),
    Case("relu", "circular", 4, 2, "separable"),
    Case("relu", "zero", 2, 4, "learned", clamp=1.1),
    Case("leaky_relu", "zero", (1, 2), (2, 1), "jinc", residuals="recompute"),
    Case("leaky_relu", "circular", 2, 2, "jinc", clamp=1.3),
    Case("leaky_relu", "zero", 1, 1, "none", clamp=1.1),
    Case("gelu", "circular", 1, 1, "full"),
    Case("silu", "zero", 3, 2, "none"),
    Case("tanh", "zero", 2, 2, "learned", clamp=0.7),
    Case("sigmoid", "circular", 2, 4, "jinc"),
    Case("elu", "zero", 3, 2, "separable"),
    Case("selu", "circular", 2, 2, "pair"),
    Case("softplus", "zero", 4, 2, "pair", clamp=1.4),
    Case("snake", "circular", (2, 1), (1, 2), "learned", ([0.8, 1.3], [0.9, 0.6])),
    Case("snake", "zero", 1, 1, "jinc", (0.7,)),
    Case("polynomial", "zero", 2, 4, "separable", ([0.1, 0.9, 0.2, -0.1],)),
    Case("callable", "zero", 3, 2, "full", ([0.3, -0.4],)),
    Case("callable", "circular", 2, 2, "learned", (0.2,)),
]


@pytest.mark.parametrize(
    "case", QUICK + [pytest.param(case, marks=pytest.mark.slow) for case in SLOW], ids=str
)
def test_numerically_to_second_order_in_both_modes(case):
    with jax.enable_x64(True):
        check_grads(
            case.function(),
            case.arguments(),
            order=2,
            modes=("fwd", "rev"),
            atol=1e-6,
            rtol=1e-6,
            eps=1e-6,
        )


def test_every_named_activation_is_checked():
    checked = {case.activation for case in QUICK + SLOW}
    assert checked == {*activations.NAMES, "callable"}


SINC = firwin_sinc(6, cutoff=1.0, width=1.2, rate=4.0)
operator = functools.partial(
    filtered_activation2d, up_filter=SINC, down_filter=SINC, up=2, down=2, padding=5, clamp=1.5
)


def loss(x, **options):
    return jnp.sum(jnp.sin(operator(x, **options)))


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.normal(size=(8, 5, 4, 2)), jnp.float32)


@pytest.mark.parametrize("activation, parameters", [("leaky_relu", ()), ("snake", (2.0,))])
def test_vmap_equals_a_loop(x, rng, activation, parameters):
    biases = jnp.asarray(rng.normal(size=(4, 2)), jnp.float32)
    x = x.reshape(2, 4, 5, 4, 2)

    def gradients(x, bias):
        run = functools.partial(loss, activation=activation, parameters=parameters)
        return jax.value_and_grad(lambda x, b: run(x, bias=b), (0, 1))(x, bias)

    mapped = jax.jit(jax.vmap(gradients, in_axes=(1, 0)))(x, biases)
    one = jax.jit(gradients)
    looped = [one(x[:, i], biases[i]) for i in range(4)]
    looped = jax.tree.map(lambda *parts: jnp.stack(parts), *looped)
    for a, b in zip(jax.tree.leaves(mapped), jax.tree.leaves(looped), strict=True):
        assert relative_error(a, b) <= 1e-5


def test_vmap_over_tangents_and_over_cotangents_agree(x):
    def run(bias):
        return operator(x[:1], bias=bias)[:, :2, :2]

    forward, reverse = jax.jit(lambda b: (jax.jacfwd(run)(b), jax.jacrev(run)(b)))(jnp.ones(2))
    assert relative_error(forward, reverse) <= 1e-5


def test_gradient_of_gradient_under_jit_equals_eager(x):
    twice = jax.grad(jax.grad(lambda s: loss(x * s)))
    once = jax.grad(lambda s: loss(x * s))
    s = jnp.float32(0.9)
    assert relative_error(jax.jit(twice)(s), twice(s)) <= 1e-5
    assert relative_error(jax.jit(once)(s), once(s)) <= 1e-5


def test_orders_of_modes_agree_and_the_hessian_is_symmetric(x, rng):
    v, w = (jnp.asarray(rng.normal(size=x.shape), jnp.float32) for _ in range(2))

    @jax.jit
    def products(v, w):
        gradient = jax.grad(loss)
        _, forward_over_reverse = jax.jvp(gradient, (x,), (v,))
        reverse_over_reverse = jax.grad(lambda x: jnp.vdot(gradient(x), v))(x)
        directional = lambda x: jax.jvp(loss, (x,), (v,))[1]  # noqa: E731
        reverse_over_forward = jax.grad(directional)(x)
        _, forward_over_forward = jax.jvp(directional, (x,), (w,))
        return (
            (forward_over_reverse, reverse_over_reverse, reverse_over_forward),
            forward_over_forward,
        )

    (first, *others), scalar = products(v, w)
    for other in others:
        assert relative_error(other, first) <= 1e-5
    (mirrored, *_), _ = products(w, v)
    assert relative_error(jnp.vdot(first, w), jnp.vdot(mirrored, v)) <= 1e-4
    assert relative_error(scalar, jnp.vdot(first, w)) <= 1e-4


def test_checkpoint_and_recompute_change_nothing(x):
    plain = jax.jit(jax.grad(loss))(x)
    rematerialised = jax.jit(jax.grad(jax.checkpoint(loss)))(x)
    recomputed = jax.jit(jax.grad(functools.partial(loss, residuals="recompute")))(x)
    assert relative_error(rematerialised, plain) <= 1e-6
    assert relative_error(recomputed, plain) <= 1e-6


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_tangent_and_cotangent_are_adjoint(x, rng, activation):
    run = functools.partial(operator, activation=activation)
    y, tangent = jax.linearize(run, x)
    v = jnp.asarray(rng.normal(size=x.shape), jnp.float32)
    w = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    (back,) = jax.linear_transpose(tangent, x)(w)
    (reverse,) = jax.vjp(run, x)[1](w)
    assert relative_error(back, reverse) <= 1e-6
    # <L v, w> == <v, L' w>
    np.testing.assert_allclose(jnp.vdot(tangent(v), w), jnp.vdot(v, back), rtol=1e-4, atol=1e-4)
    # The transpose of the transpose is the tangent.
    transpose = lambda w: jax.linear_transpose(tangent, x)(w)[0]  # noqa: E731
    assert relative_error(jax.linear_transpose(transpose, w)(v)[0], tangent(v)) <= 1e-6


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


def both_gradients(x, bias, parameters, **options):
    def total(x, bias, parameters):
        return loss(x, bias=bias, parameters=parameters, **options)

    return jax.grad(total, (0, 1, 2))(x, bias, parameters)


BIAS = np.array([0.3, -0.2], np.float32)


@pytest.mark.parametrize(
    "activation, parameters", [("leaky_relu", ()), ("snake", (np.float32([0.5, 1.5]),))]
)
def test_shard_map_and_sharded_batches_agree_with_one_device(x, mesh, activation, parameters):
    data, whole = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
    run = functools.partial(both_gradients, activation=activation)
    expected = jax.jit(run)(x, BIAS, parameters)

    def of_shard(x, bias, parameters):
        return operator(x, bias=bias, parameters=parameters, activation=activation)

    mapped = jax.shard_map(of_shard, mesh=mesh, in_specs=(data, whole, whole), out_specs=data)
    total = lambda *arguments: jnp.sum(jnp.sin(mapped(*arguments)))  # noqa: E731
    outside = jax.jit(jax.grad(total, (0, 1, 2)))(x, BIAS, parameters)
    # A gradient with respect to what all shards hold is summed over them.
    inside = jax.jit(
        jax.shard_map(run, mesh=mesh, in_specs=(data, whole, whole), out_specs=(data, whole, whole))
    )(x, BIAS, parameters)
    sharded = jax.jit(run)(
        jax.device_put(x, jax.sharding.NamedSharding(mesh, data)), BIAS, parameters
    )
    assert sharded[0].sharding.spec[0] == "data"
    for results in (outside, inside, sharded):
        for a, b in zip(jax.tree.leaves(results), jax.tree.leaves(expected), strict=True):
            assert relative_error(a, b) <= 1e-5


# Of learned filters JAX's own derivatives are taken, of others ours.
@pytest.mark.parametrize("taps", [np.ones(1), jnp.ones(1)], ids=["static", "learned"])
@pytest.mark.parametrize("activation, negative", [("leaky_relu", 0.25), ("relu", 0.0)])
def test_edges_of_the_pieces(taps, activation, negative):
    gain, clamp = 2.0, 1.0
    below = -clamp / (gain * (negative or 1.0))
    u = np.float32([0.0, -0.0, 0.5, np.nextafter(np.float32(0.5), 1), below, 2 * below, 7.0])
    # +0 passes and -0 does not; equality at the clamp passes, anything beyond does not.
    slopes = np.float32([gain, negative * gain, gain, 0, negative * gain, 0, 0])
    if isinstance(taps, jax.Array):
        # A sum over taps that begins with zero has no -0.
        u, slopes = np.delete(u, 1), np.delete(slopes, 1)
    run = functools.partial(
        filtered_activation1d,
        up_filter=taps,
        activation=activation,
        slope=0.25,
        gain=gain,
        clamp=clamp,
    )
    x = jnp.asarray(u)[:, None]
    y, vjp = jax.vjp(run, x)
    _, tangent = jax.jvp(run, (x,), (jnp.ones_like(x),))
    expected = np.clip(np.where(u < 0, negative, 1) * gain * u, -clamp, clamp)
    np.testing.assert_array_equal(y[:, 0], expected)
    np.testing.assert_array_equal(vjp(jnp.ones_like(y))[0][:, 0], slopes)
    np.testing.assert_array_equal(tangent[:, 0], slopes)


@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_edge_of_the_clamp_of_other_activations(activation):
    u = np.float32([0.5, -0.5, 0.75, -0.75])
    bound = float(np.tanh(u[0])) if activation == "tanh" else 0.5
    run = functools.partial(filtered_activation1d, activation=activation, clamp=bound)
    x = jnp.asarray(u)[:, None]
    y, vjp = jax.vjp(run, x)
    np.testing.assert_allclose(y[:, 0], bound * np.sign(u), rtol=1e-6)
    np.testing.assert_array_equal(vjp(jnp.ones_like(y))[0][2:], 0)


@pytest.mark.parametrize("alpha", [0.0, 1e-20])
def test_snake_with_a_vanishing_alpha_has_finite_gradients(alpha):
    x = jnp.ones((3, 2))

    def run(x, alpha):
        return filtered_activation1d(x, activation="snake", parameters=(alpha,)).sum()

    dx, dalpha = jax.grad(run, (0, 1))(x, jnp.full(2, alpha, jnp.float32))
    # x + sin(alpha x)^2 / alpha = x + alpha x^2 + ...
    np.testing.assert_allclose(dx, 1, rtol=1e-6)
    np.testing.assert_allclose(dalpha, 3, rtol=1e-6)
