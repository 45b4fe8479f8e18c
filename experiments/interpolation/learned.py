"""A mixture fitted to the very image that it shall show: an oracle, as published protocols are."""

import dataclasses
import functools

import jax
import numpy as np
import optax
from jax import numpy as jnp

from aa_jax.ops.image_quality import mean_absolute_error
from aa_jax.ops.splat import interpolate


@dataclasses.dataclass(frozen=True)
class Fitting:
    """How to fit.

    Attributes:
      steps: of Adam, whose rate falls to zero along a cosine.
      shape_rate: per step, of the logarithms of standard deviations.
      capacity: pairs of a point and a cell of 8 x 8 pixels, per point; fixed, for one compilation.
    """

    steps: int = 120
    shape_rate: float = 0.05
    capacity: float = 12.0


def covariances(shapes: jax.Array) -> jax.Array:
    """Covariances (N, 2, 2) from (N, 3): logarithms of the Cholesky diagonal, and the corner.

    The corner is relative to the second diagonal element, so that all three have no unit.
    """
    first, second = jnp.exp(shapes[:, 0]), jnp.exp(shapes[:, 1])
    corner = shapes[:, 2] * second
    mixed = first * corner
    return jnp.stack(
        [jnp.stack([first**2, mixed], -1), jnp.stack([mixed, corner**2 + second**2], -1)], -2
    )


@functools.partial(jax.jit, static_argnames=("fitting",))
def fit(points, values, sigma, image, value_rate, *, fitting: Fitting) -> jax.Array:
    """Fits covariances, and values if they have a rate, to an image; returns what they show.

    Args:
      points: (N, 2), which stay where they are.
      values: (N, channels), to begin with.
      sigma: scalar in pixels, to begin with.
      image: (height, width, channels), the aim: the mean absolute error to it is minimised.
      value_rate: scalar, per step, of values in [0, 1]; 0 leaves the samples as they are.
      fitting: how.

    Returns:
      (height, width, channels).
    """
    capacity = int(fitting.capacity * len(points))

    def render(state):
        return interpolate(
            points,
            state["values"],
            covariances(state["shapes"]),
            size=image.shape[:2],
            capacity=capacity,
        ).image

    adam, cosine = optax.scale_by_adam(), optax.cosine_decay_schedule(1.0, fitting.steps)
    rates = {"shapes": fitting.shape_rate, "values": value_rate}
    logarithm = jnp.log(jnp.asarray(sigma, jnp.float32))
    shapes = jnp.zeros((len(points), 3)).at[:, :2].set(logarithm)
    state = {"shapes": shapes, "values": jnp.asarray(values, jnp.float32)}

    def step(carry, count):
        state, memory = carry
        gradient = jax.grad(lambda s: mean_absolute_error(render(s), image))(state)
        direction, memory = adam.update(gradient, memory)
        state = {k: v - cosine(count) * rates[k] * direction[k] for k, v in state.items()}
        return (state, memory), None

    start = state, adam.init(state)
    (state, _), _ = jax.lax.scan(step, start, jnp.arange(fitting.steps))
    return render(state)


def fit_all(points, grids, sigma, images, value_rate, *, fitting: Fitting) -> np.ndarray:
    """Fits each of the images on its own.

    Args:
      points: (N, 2).
      grids: (images, ..., channels), the samples of each.
      sigma: to begin with.
      images: (images, height, width, channels).
      value_rate: of the values.
      fitting: how.

    Returns:
      Array like `images`.
    """
    made = [
        fit(points, grid.reshape(len(points), -1), sigma, image, value_rate, fitting=fitting)
        for grid, image in zip(grids, images, strict=True)
    ]
    return np.stack([np.asarray(m) for m in made])
