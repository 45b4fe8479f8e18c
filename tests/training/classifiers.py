"""Small classifiers and batches to train on."""

import jax
import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.training import state as states

IMAGE_SHAPE = (4, 4, 3)
NUM_CLASSES = 5


class SoftmaxRegression(nnx.Module):
    """Logits linear in the pixels; no batch norm, no randomness, so closed forms exist."""

    def __init__(self, *, dtype=None, rngs: nnx.Rngs):
        inputs = int(np.prod(IMAGE_SHAPE))
        self.layers = nnx.List([nnx.Linear(inputs, NUM_CLASSES, dtype=dtype, rngs=rngs)])

    def __call__(self, x, *, train=False, key=None):
        return self.layers[0](x.reshape(len(x), -1))


class NormalizedRegression(nnx.Module):
    """The same behind a running mean of the input, and with noise in training."""

    def __init__(self, *, noise: float = 0.0, rngs: nnx.Rngs):
        self.head = SoftmaxRegression(rngs=rngs)
        self.mean = nnx.BatchStat(jnp.zeros(IMAGE_SHAPE))
        self.temperature = nnx.BatchStat(jnp.ones(()))
        self.noise = noise

    def __call__(self, x, *, train=False, key=None):
        if train:
            mean = x.mean(0)
            self.mean[...] = 0.9 * self.mean[...] + 0.1 * mean
            x = x - mean + self.noise * jax.random.normal(key, x.shape)
        else:
            x = x - self.mean[...]
        return self.head(x) / self.temperature[...]


def make_state(model, optimizer, **options) -> tuple[nnx.GraphDef, states.TrainState]:
    graphdef, params, stats = states.split(model)
    options = {"key": jax.random.key(7), **options}
    return graphdef, states.create_state(params, stats, optimizer, **options)


def make_batch(rng: np.random.Generator, size: int = 16) -> dict[str, np.ndarray]:
    return {
        "image": rng.uniform(size=(size, *IMAGE_SHAPE)).astype(np.float32),
        "label": rng.integers(NUM_CLASSES, size=size).astype(np.int32),
    }


class Batches:
    """Endless random batches that depend on their number only; resumable."""

    def __init__(self, size: int = 16):
        self._size, self._next = size, 0

    def __iter__(self):
        return self

    def __next__(self):
        self._next += 1
        return make_batch(np.random.default_rng(self._next), self._size)

    def get_state(self):
        return {"next": self._next}

    def set_state(self, state):
        self._next = state["next"]
