"""Convolution against a plain float64 loop over taps, in all the shapes networks have."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax.test_util import check_grads

from aa_jax.ops.conv import conv2d
from aa_jax.ops.convolution_form import Convolution
from tests.tolerances import OP, relative_error

# Name -> channels in, channels out, kernel size, options.
SHAPES = {
    "3x3": (4, 6, 3, dict(padding=1)),
    "3x3-strided": (4, 6, 3, dict(padding=1, stride=2)),
    "7x7-strided": (3, 4, 7, dict(padding=3, stride=2)),
    "11x11": (3, 4, 11, dict(padding=2, stride=4)),
    "1x1": (4, 6, 1, dict()),
    "1x1-strided": (4, 6, 1, dict(stride=2)),
    "1x1-padded": (4, 6, 1, dict(padding=1)),
    "depthwise": (6, 6, 3, dict(padding=1, groups=6)),
    "depthwise-strided": (6, 6, 3, dict(padding=1, stride=2, groups=6)),
    "depthwise-two-each": (3, 6, 3, dict(groups=3)),
    "grouped": (8, 4, 3, dict(padding=1, groups=2)),
    "uneven": (2, 3, 3, dict(padding=(0, 2, 1, 0), stride=(2, 1))),
    "cropped": (2, 3, 3, dict(padding=(-1, 0, 0, -2))),
    "circular": (2, 3, 3, dict(padding=1, padding_mode="circular")),
    "reflect": (2, 3, 3, dict(padding=(2, 1), padding_mode="reflect")),
    "circular-depthwise": (4, 4, 3, dict(padding=1, padding_mode="circular", groups=4)),
}
NUMPY_MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge", "circular": "wrap"}


def arrays(rng, name: str, dtype):
    inputs, outputs, size, options = SHAPES[name]
    groups = options.get("groups", 1)
    side = 13 if size > 7 else 9
    x = jnp.asarray(rng.standard_normal((2, side, side - 1, inputs)), dtype)
    kernel = jnp.asarray(rng.standard_normal((size, size, inputs // groups, outputs)), dtype)
    return x, kernel, options


def reference(x, kernel, *, stride=1, padding=0, padding_mode="zero", groups=1) -> np.ndarray:
    """Sums shifted, strided views in float64."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    sides = {int: lambda p: (p,) * 4}.get(type(padding), lambda p: np.repeat(p, 4 // len(p)))
    top, bottom, left, right = (int(side) for side in sides(padding))
    grow = ((0, 0), (max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0))
    x = np.pad(x, grow, NUMPY_MODES[padding_mode])
    x = x[:, max(-top, 0) : x.shape[1] + min(bottom, 0), max(-left, 0) : x.shape[2] + min(right, 0)]
    down, across = (stride, stride) if isinstance(stride, int) else stride
    size, inputs, outputs = kernel.shape[0], kernel.shape[2], kernel.shape[3]
    height, width = ((n - size) // s + 1 for n, s in zip(x.shape[1:3], (down, across), strict=True))
    y = np.zeros((x.shape[0], height, width, outputs))
    per_group = outputs // groups
    for group in range(groups):
        ins = slice(group * inputs, (group + 1) * inputs)
        outs = slice(group * per_group, (group + 1) * per_group)
        for u in range(size):
            for v in range(size):
                rows = slice(u, u + (height - 1) * down + 1, down)
                columns = slice(v, v + (width - 1) * across + 1, across)
                y[..., outs] += x[:, rows, columns, ins] @ kernel[u, v, :, outs]
    return y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_agrees_with_a_loop_over_taps(rng, name, dtype):
    with jax.enable_x64(dtype == "float64"):
        x, kernel, options = arrays(rng, name, dtype)
        y = jax.jit(lambda x, kernel: conv2d(x, kernel, **options))(x, kernel)
        assert relative_error(y, reference(x, kernel, **options)) <= OP[dtype]


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_the_transposes(rng, name):
    # <conv(x, k), y> is linear in x and in k: the gradients give it back.
    x, kernel, options = arrays(rng, name, jnp.float32)
    y = jnp.asarray(rng.standard_normal(reference(x, kernel, **options).shape), jnp.float32)
    form = jax.jit(
        jax.value_and_grad(lambda x, k: jnp.vdot(conv2d(x, k, **options), y), argnums=(0, 1))
    )
    _, (gx, gk) = form(x, kernel)
    dx = rng.standard_normal(x.shape).astype(np.float32)
    dk = rng.standard_normal(kernel.shape).astype(np.float32)
    y = np.asarray(y, np.float64)
    by_x = np.vdot(reference(dx, kernel, **options), y)
    by_k = np.vdot(reference(x, dk, **options), y)
    np.testing.assert_allclose(np.vdot(np.asarray(gx, np.float64), dx), by_x, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.vdot(np.asarray(gk, np.float64), dk), by_k, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["1x1-strided", "depthwise-strided", "circular"])
def test_has_derivatives_of_second_order(rng, name):
    with jax.enable_x64(True):
        x, kernel, options = arrays(rng, name, jnp.float64)
        check_grads(
            jax.jit(lambda x, k: conv2d(x, k, **options)),
            (x[:1], kernel),
            order=2,
            modes=("fwd", "rev"),
        )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, k: conv2d(x[0], k), r"x must be \(N, H, W, C\)"),
        (lambda x, k: conv2d(x, k[0]), "kernel must be"),
        (lambda x, k: conv2d(x[..., :1], k), "x has 1 channels, but a kernel"),
        (lambda x, k: conv2d(x, k, groups=2), "in 2 groups expects 4"),
        (lambda x, k: conv2d(x, k, padding=(1, 2, 3)), "padding must be an integer"),
        (lambda x, k: conv2d(x, k, padding=1, padding_mode="wrap"), "mode must be one of"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(jnp.zeros((1, 6, 6, 2)), jnp.zeros((3, 3, 2, 3)))


def test_vmap_agrees_with_a_loop_in_value_and_gradient(rng):
    x, kernel, options = arrays(rng, "3x3-strided", jnp.float32)
    xs, kernels = jnp.stack([x, -2 * x, x + 1]), jnp.stack([kernel, 2 * kernel, 1 - kernel])
    gradient = jax.grad(lambda x, k: (conv2d(x, k, **options) ** 2).sum(), (0, 1))
    mapped = jax.jit(jax.vmap(gradient))(xs, kernels)
    looped = [gradient(x, kernel) for x, kernel in zip(xs, kernels, strict=True)]
    for together, alone in zip(mapped, zip(*looped, strict=True), strict=True):
        assert relative_error(together, np.stack(alone)) <= OP["float32"]


def test_a_replicated_kernel_under_shard_map_collects_its_gradient_from_all_shards(rng):
    x, kernel, options = arrays(rng, "3x3", jnp.float32)
    x = jnp.concatenate([x, 2 * x, x - 1, -x])
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    P = jax.sharding.PartitionSpec
    mapped = jax.shard_map(
        lambda x, k: conv2d(x, k, **options) ** 2,
        mesh=mesh,
        in_specs=(P("data"), P()),
        out_specs=P("data"),
    )
    sharded = jax.jit(jax.grad(lambda x, k: mapped(x, k).sum(), (0, 1)))(x, kernel)
    whole = jax.jit(jax.grad(lambda x, k: (conv2d(x, k, **options) ** 2).sum(), (0, 1)))(x, kernel)
    for ours, reference in zip(sharded, whole, strict=True):
        assert relative_error(ours, reference) <= OP["float32"]


@pytest.mark.parametrize("name", ["3x3-strided", "7x7-strided", "uneven", "cropped"])
def test_other_platforms_formulation_of_the_kernel_gradient_agrees(rng, name):
    x, kernel, options = arrays(rng, name, jnp.float32)
    sides = np.repeat(np.ravel(options["padding"]), 4 // np.size(options["padding"]))
    stride = options.get("stride", 1)
    form = Convolution(
        x.shape[1:3],
        kernel.shape[:2],
        (stride, stride) if isinstance(stride, int) else stride,
        ((int(sides[0]), int(sides[1])), (int(sides[2]), int(sides[3]))),
    )
    y = form.apply(x, kernel)
    assert relative_error(form._kernel(x, y), form._kernel_by_rows(x, y)) <= OP["float32"]
