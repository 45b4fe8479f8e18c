"""Schedules of adversarial training: plain arithmetic, on numbers or on traced arrays.

Those of Karras et al., "Training Generative Adversarial Networks with Limited Data" (NeurIPS
2020), and "Alias-Free Generative Adversarial Networks" (NeurIPS 2021, appendix F). Progress is
counted in training images, so that nothing here depends on how many devices share a batch.
"""

import math

import flax
import jax
import optax
from jax import numpy as jnp


def ema_decay(
    images_seen: jax.Array | int, batch_size: int, *, half_life: float, ramp_up: float | None
) -> jax.Array:
    """The share that a weight average keeps at one update.

    Args:
        images_seen: training images before this batch.
        batch_size: images of this batch.
        half_life: images after which an old value counts half.
        ramp_up: early on the half-life is this share of `images_seen` instead; None: never.

    Returns:
        () float32 in [0, 1).
    """
    life = jnp.asarray(half_life, jnp.float32)
    if ramp_up is not None:
        life = jnp.minimum(life, jnp.asarray(images_seen, jnp.float32) * ramp_up)
    return 0.5 ** (batch_size / jnp.maximum(life, 1e-8))


def magnitude_decay(batch_size: int, *, half_life: float = 20_000.0) -> float:
    """The share that the generator's running magnitudes keep at one update."""
    return 0.5 ** (batch_size / half_life)


def blur_sigma(images_seen: jax.Array | int, *, initial: float, fade_images: float) -> jax.Array:
    """Width of the blur of early training: falls from `initial` linearly to 0.

    Args:
        images_seen: training images before this batch.
        initial: the width at the start, in pixels.
        fade_images: images after which there is no blur; 0: there never is.
    """
    if not fade_images:
        return jnp.zeros((), jnp.float32)
    left = 1 - jnp.asarray(images_seen, jnp.float32) / fade_images
    return jnp.maximum(left, 0) * initial


def lazy_adam(
    learning_rate: float, *, betas: tuple[float, float], epsilon: float, interval: int | None
) -> optax.GradientTransformation:
    """Adam, corrected for a regulariser that is evaluated every `interval` steps only.

    Then there are `interval + 1` updates in `interval` iterations. With m = interval /
    (interval + 1), the learning rate is multiplied by m and the betas are raised to the power m
    (Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, appendix B).

    Args:
        learning_rate: without the correction.
        betas: decay of the first and second moment, without the correction.
        epsilon: added to the root of the second moment.
        interval: None where there is no such regulariser: plain Adam.
    """
    power = 1.0 if interval is None else interval / (interval + 1)
    first, second = (beta**power for beta in betas)
    if first == 0:
        # No first moment to keep: a quarter less to store and to shard.
        rms = optax.scale_by_rms(decay=second, eps=epsilon, eps_in_sqrt=False, bias_correction=True)
        return optax.chain(rms, optax.scale(-learning_rate * power))
    return optax.adam(learning_rate * power, b1=first, b2=second, eps=epsilon)


@flax.struct.dataclass
class AdaptiveProbability:
    """How often to augment, steered by how sure the discriminator is of real images.

    Karras et al. (NeurIPS 2020), section 3.1. If its logits of real images are too often positive,
    it overfits, and images are augmented more often.

    Attributes:
        value: () float32, the probability; it may exceed 1.
        sign_sum: () float32, sum of the signs of logits since the last adjustment.
        count: () float32, their number.
    """

    value: jax.Array
    sign_sum: jax.Array
    count: jax.Array

    @classmethod
    def create(cls, value: float = 0.0) -> "AdaptiveProbability":
        return cls(*(jnp.asarray(number, jnp.float32) for number in (value, 0, 0)))

    def observe(self, mean_sign: jax.Array, count: int) -> "AdaptiveProbability":
        """Takes in the mean sign of the logits of `count` real images."""
        return self.replace(sign_sum=self.sign_sum + mean_sign * count, count=self.count + count)

    def adjust(self, images: int, *, target: float, images_to_one: float) -> "AdaptiveProbability":
        """Moves the probability one step and forgets the logits.

        Args:
            images: training images since the last adjustment.
            target: wanted mean of the signs.
            images_to_one: images in which the probability can move from 0 to 1.
        """
        error = jnp.sign(self.sign_sum / jnp.maximum(self.count, 1) - target)
        value = jnp.maximum(self.value + error * (images / images_to_one), 0)
        return self.create().replace(value=jnp.where(self.count > 0, value, self.value))


def in_steps(images: float, batch_size: int) -> int:
    """Steps that show at least so many images, one at least."""
    return max(1, math.ceil(images / batch_size))
