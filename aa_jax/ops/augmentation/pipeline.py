"""The whole pipeline: what a discriminator sees of real and generated images."""

import jax
from jax import numpy as jnp

from aa_jax.ops.augmentation.color import apply_color, color_map
from aa_jax.ops.augmentation.corruption import add_noise, cut_out
from aa_jax.ops.augmentation.draws import draw
from aa_jax.ops.augmentation.frequency import REACH, apply_gains, octave_gains
from aa_jax.ops.augmentation.geometry import inverse_map
from aa_jax.ops.augmentation.options import BGC, Augmentation
from aa_jax.ops.augmentation.warp import warp


def augment(
    images: jax.Array,
    key: jax.Array,
    probability: jax.Array | float,
    augmentation: Augmentation = BGC,
    *,
    percentile: jax.Array | float | None = None,
) -> jax.Array:
    """Augments each image at random: geometry, colours, frequencies, noise, boxes, in this order.

    The pipeline of adaptive discriminator augmentation (Karras et al., "Training Generative
    Adversarial Networks with Limited Data", NeurIPS 2020, appendix B). Each augmentation is applied
    to each sample with `probability` times its multiplier. Kinds that are off cost nothing; but a
    geometric one resamples all images, also those that it leaves where they are.

    Differentiable to any order with respect to `images`, as R1 regularisation asks. Draws depend on
    the key, the place in the batch and the augmentation, not on how the batch is sharded over
    devices, the dtype, or which other augmentations are on. How far images are mirrored at their
    borders depends, as published, on the whole batch (under `shard_map`, on the shard); see
    `aa_jax.ops.augmentation.warp`, also for the memory that takes.

    Args:
      images: array of shape (batch, height, width, channels), floating, in [-1, 1]; channels is 1
        or 3 if any colour augmentation is on. Computes in float32 or better.
      key: typed PRNG key.
      probability: scalar, may be traced, and may exceed 1.
      augmentation: what to apply and how strongly; static.
      percentile: for tests. A number between 0 and 1, may be traced: the quantile that replaces
        every draw, with every augmentation applied to all samples. Normal draws become
        erfinv(2 * percentile - 1) deviations, as published, and the second rotation is left out.

    Returns:
      Array of the shape and dtype of `images`.

    Raises:
      ValueError: if `images` or `key` is not as described, `probability` or `percentile` is not a
        scalar, or images are smaller than `imgfilter` can mirror.

    Example:
      >>> images = jnp.zeros((4, 32, 32, 3))
      >>> augment(images, jax.random.key(0), 0.6).shape
      (4, 32, 32, 3)
    """
    _check(images, key, probability, augmentation, percentile)
    height, width, channels = images.shape[1:]
    dtype, images = images.dtype, images.astype(jnp.promote_types(images.dtype, jnp.float32))
    draws = draw(key, images.shape[0], probability, percentile)
    if augmentation.moves:
        images = warp(images, *inverse_map(draws, augmentation, height, width))
    if augmentation.colors:
        images = apply_color(images, *color_map(draws, augmentation, channels))
    if augmentation.imgfilter:
        images = apply_gains(images, octave_gains(draws, augmentation))
    if augmentation.noise:
        images = add_noise(images, draws, augmentation)
    if augmentation.cutout:
        images = cut_out(images, draws, augmentation)
    return images.astype(dtype)


def _check(images, key, probability, augmentation, percentile) -> None:
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            "images must be a floating array (batch, height, width, channels), got "
            f"{images.dtype} of shape {images.shape}."
        )
    if 0 in images.shape:
        raise ValueError(f"images must not be empty, got shape {images.shape}.")
    height, width, channels = images.shape[1:]
    if augmentation.colors and channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels to map colours, got {channels}.")
    if augmentation.imgfilter and min(height, width) <= REACH:
        raise ValueError(
            f"images must be at least {REACH + 1} samples high and wide for imgfilter, got "
            f"{height} x {width}."
        )
    if (
        not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key))
        or key.shape != ()
    ):
        raise ValueError(f"key must be one typed PRNG key, such as jax.random.key(0), got {key!r}.")
    for name, value in (("probability", probability), ("percentile", percentile)):
        if value is not None and jnp.shape(value) != ():
            raise ValueError(f"{name} must be a scalar, got shape {jnp.shape(value)}.")
