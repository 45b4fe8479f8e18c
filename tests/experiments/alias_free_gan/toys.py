"""Networks of a few numbers whose gradients are known, in place of real ones."""

import jax
from flax import nnx
from jax import numpy as jnp

SIZE, LAYERS, DIM = 8, 3, 4


class ToyMapping(nnx.Module):
    """Copies z to all layers, plus the labels' sum."""

    def __call__(self, z, labels=None, *, update_emas=False):
        if labels is not None:
            z = z + labels.sum(1, keepdims=True)
        return jnp.repeat(z[:, None], LAYERS, 1)


class ToySynthesis(nnx.Module):
    """A plane wave that moves as told if it `follows`, its amplitude the latents' mean."""

    def __init__(self, follows: bool):
        self.follows = follows
        self.gain = nnx.Param(jnp.ones(()))
        self.calls = nnx.Variable(jnp.zeros(()))

    def __call__(self, ws, *, transform=None, update_emas=False):
        if update_emas:
            self.calls[...] += 1
        grid = (jnp.arange(SIZE) + 0.5 - SIZE / 2) / SIZE
        x, y = jnp.meshgrid(grid, grid)
        if transform is not None and self.follows:
            x, y = x + transform[0, 2], y + transform[1, 2]
        wave = jnp.sin(2 * jnp.pi * (x + 0.5 * y))
        return self.gain * ws.mean((1, 2))[:, None, None, None] * wave[..., None]


class ToyGenerator(nnx.Module):
    """Both, as the phases use them."""

    def __init__(self, follows: bool = True):
        self.mapping, self.synthesis = ToyMapping(), ToySynthesis(follows)


class ToyDiscriminator(nnx.Module):
    """A weighted sum of the pixels, plus a bias and the labels' first entry."""

    def __init__(self):
        self.kernel = nnx.Param(jax.random.normal(jax.random.key(5), (SIZE, SIZE, 1)))
        self.bias = nnx.Param(jnp.zeros(()))

    def __call__(self, images, labels=None):
        logits = jnp.sum(self.kernel * images, axis=(1, 2, 3))[:, None] + self.bias
        return logits if labels is None else logits + labels[:, :1]
