"""The carrier of hand-written transposes, on a map small enough to see through."""

import dataclasses

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.linear import apply_linear


@dataclasses.dataclass(frozen=True)
class Scale:
    """Multiplies by `forward`; its transpose deliberately multiplies by `backward`."""

    forward: float
    backward: float

    def apply(self, x):
        return x * self.forward

    @property
    def transpose(self):
        return Scale(self.backward, self.forward)


def test_reverse_mode_uses_the_stated_transpose_and_forward_mode_the_map():
    scale = Scale(2.0, 3.0)
    x = jnp.ones((1, 2))
    np.testing.assert_array_equal(jax.vjp(lambda x: apply_linear(scale, x), x)[1](x)[0], 3 * x)
    _, tangent = jax.jvp(lambda x: apply_linear(scale, x), (x,), (x,))
    np.testing.assert_array_equal(tangent, 2 * x)


def test_transpose_of_the_transpose_is_the_map():
    scale = Scale(2.0, 3.0)
    x = jnp.ones((1, 2))
    back = lambda ct: jax.vjp(lambda x: apply_linear(scale, x), x)[1](ct)[0]  # noqa: E731
    np.testing.assert_array_equal(jax.linear_transpose(back, x)(x)[0], 2 * x)


def test_works_under_shard_map_and_checkpoint():
    scale = Scale(2.0, 2.0)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("data")
    mapped = jax.shard_map(
        jax.checkpoint(lambda x: apply_linear(scale, x) ** 2),
        mesh=mesh,
        in_specs=spec,
        out_specs=spec,
    )
    x = jnp.arange(16.0).reshape(8, 2)
    np.testing.assert_array_equal(jax.jit(mapped)(x), 4 * x**2)
    gradient = jax.jit(jax.grad(lambda x: mapped(x).sum()))(x)
    np.testing.assert_array_equal(gradient, 8 * x)
