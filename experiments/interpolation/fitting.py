"""Fitting a Gaussian mixture to an image: gradient steps on everything, and points on the move.

Every Gaussian's position, covariance and value follow the exact gradient of the squared error
(Adam). A few times, the points that matter least are taken away, and put where the error is
largest or used to split a Gaussian that is too wide for what it shows (`relocation`).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import jax
import numpy as np
import optax
from flax import nnx
from jax import numpy as jnp

from aa_jax.nn import GaussianMixture
from experiments.interpolation import placement, relocation


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How to fit.

    Attributes:
      points: number of Gaussians.
      steps: of gradient descent.
      relocations: how often points are moved to where they are needed, evenly over the first
        `relocation_end` of the steps.
      relocated: share of the points that is moved each time.
      relocation_end: share of the steps after which no point is moved.
      detail: share of the first points that is put where the image has detail; the rest is spread
        evenly.
      normalize: whether a pixel is the expected value, or the sum of the Gaussians.
      support: standard deviations after which a Gaussian ends.
      position_rate: learning rate of positions, in pixels; all rates fall to a twentieth along a
        cosine.
      scale_rate: of the logarithm of widths.
      shear_rate: of the covariance's off-diagonal factor, in pixels.
      value_rate: of values in [0, 1].
      seed: of the first positions and of those of moved points.
    """

    points: int = 10_000
    steps: int = 1000
    relocations: int = 8
    relocated: float = 0.05
    relocation_end: float = 0.6
    detail: float = 0.7
    normalize: bool = True
    support: float = 4.0
    position_rate: float = 0.25
    scale_rate: float = 0.04
    shear_rate: float = 0.06
    value_rate: float = 0.015
    seed: int = 0

    def __post_init__(self):
        for name in ("points", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("relocated", "relocation_end", "detail"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within [0, 1], got {getattr(self, name)}.")


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a fit stands.

    Attributes:
      step: gradient steps taken.
      psnr: of the image before the latest step, in decibels.
      image: that image, (height, width, channels), on the device.
      mixture: returns the mixture after the step; until the next one is taken.
    """

    step: int
    psnr: float
    image: jax.Array
    mixture: Callable[[], GaussianMixture]


def fit(image: np.ndarray, options: FitOptions = FitOptions()) -> GaussianMixture:
    """Fits a mixture to an image; arguments as of `steps`."""
    for progress in steps(image, options):
        last = progress
    return last.mixture()


def steps(
    image: np.ndarray, options: FitOptions = FitOptions(), *, start: GaussianMixture | None = None
) -> Iterator[Progress]:
    """Fits a mixture to an image, step by step.

    Args:
      image: (height, width, channels), float in [0, 1].
      options: how.
      start: the first mixture, which takes the place of what `options` says of it; None for one
        with its points where the image has detail.

    Yields:
      Progress after every step; the last has the result.

    Raises:
      ValueError: the image is too small for as many points, or an option is out of range.
    """
    target = jnp.asarray(image, jnp.float32)
    rng = np.random.default_rng(options.seed)
    model = placement.first_mixture(image, options, rng) if start is None else start
    model.capacity = placement.room(model, target.shape[:2])
    optimizer = _optimizer(options)
    graph, state = nnx.split(model, nnx.Param)
    params = nnx.to_pure_dict(state)
    moments = optimizer.init(params)
    take_step = _compiled_step(graph, optimizer)
    moves = _relocation_steps(options)
    for index in range(options.steps):
        if index in moves:
            key = jax.random.key(rng.integers(2**31))
            params, moments = relocation.relocate(
                graph, params, moments, target, key, share=options.relocated
            )
        params, moments, psnr, picture, entries = take_step(params, moments, target)
        mixture = functools.partial(nnx.merge, graph, params)
        yield Progress(index + 1, float(psnr), picture, mixture)
        if int(entries) > 0.9 * model.capacity:  # beyond it a step takes a hundred times as long
            model.capacity = int(1.5 * int(entries))
            graph, _ = nnx.split(model, nnx.Param)
            take_step = _compiled_step(graph, optimizer)


def _relocation_steps(options: FitOptions) -> set[int]:
    if not options.relocations or not options.relocated:
        return set()
    end = options.steps * options.relocation_end
    return {round(end * (i + 1) / options.relocations) for i in range(options.relocations)}


def _optimizer(options: FitOptions) -> optax.GradientTransformation:
    rates = {
        "points": options.position_rate,
        "log_scales": options.scale_rate,
        "shear": options.shear_rate,
        "values": options.value_rate,
    }

    def adam(rate: float):
        schedule = optax.cosine_decay_schedule(rate, options.steps, alpha=0.05)
        # Gradients of a mean over pixels are small: the usual epsilon would stop them.
        return optax.adam(schedule, b1=0.9, b2=0.99, eps=1e-15)

    return optax.multi_transform(
        {name: adam(rate) for name, rate in rates.items()}, {name: name for name in rates}
    )


def _compiled_step(graph, optimizer) -> Callable:
    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, moments, target):
        def loss(params):
            rendering = nnx.merge(graph, params)(target.shape[:2])
            return jnp.mean((rendering.image - target) ** 2), rendering

        (error, rendering), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, moments = optimizer.update(gradient, moments)
        psnr = -10 * jnp.log10(error)
        params = optax.apply_updates(params, updates)
        return params, moments, psnr, rendering.image, rendering.entries

    return step
