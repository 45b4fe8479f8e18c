"""How much the images of a batch differ, as further channels of each."""

import jax
from jax import numpy as jnp

# Under the root, so that its gradient is finite where all images of a group agree.
_EPSILON = 1e-8


def minibatch_std(x: jax.Array, *, group_size: int | None = 4, num_channels: int = 1) -> jax.Array:
    """Appends the standard deviation over groups of images, averaged over space and channels.

    Karras et al., "Progressive Growing of GANs" (ICLR 2018), section 3: a discriminator that sees
    it notices a generator whose images are too much alike. Of a batch of N images, those that lie
    N / G apart form a group of G; the deviation is the biased one, sqrt(variance + 1e-8),
    computed in float32 or better.

    Args:
      x: array of shape (N, height, width, channels), floating.
      group_size: G, or N where the batch is smaller; None: always N.
      num_channels: how many channels are appended, each from as many consecutive channels of `x`.

    Returns:
      Array of shape (N, height, width, channels + num_channels), in the dtype of `x`. The new
      channels are constant over space and over a group.

    Raises:
      ValueError: the rank is not 4, the group does not divide N, or `num_channels` not `channels`.
    """
    if x.ndim != 4:
        raise ValueError(f"x must have shape (N, height, width, channels), got {x.shape}.")
    batch, height, width, channels = x.shape
    group = group_of(batch, group_size, name="x")
    if num_channels < 1 or channels % num_channels:
        raise ValueError(
            f"num_channels must be a positive divisor of the {channels} channels of x, got "
            f"{num_channels}."
        )
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    groups = wide.reshape(group, batch // group, height, width, num_channels, -1)
    deviation = jnp.sqrt(jnp.var(groups, axis=0) + _EPSILON)
    means = jnp.tile(deviation.mean(axis=(1, 2, 4)), (group, 1)).astype(x.dtype)
    means = jnp.broadcast_to(means[:, None, None], (batch, height, width, num_channels))
    return jnp.concatenate([x, means], axis=-1)


def group_of(batch: int, group_size: int | None, *, name: str) -> int:
    """Images in a group of a batch.

    Args:
      batch: number of images.
      group_size: as `minibatch_std` takes it.
      name: of the argument that holds the batch, for the error.

    Raises:
      ValueError: groups of this size do not make up the batch.
    """
    group = batch if group_size is None else min(group_size, batch)
    if group < 1 or batch % group:
        raise ValueError(
            f"{name} must hold a multiple of {group_size} images, the group size, or fewer, got "
            f"{batch}; choose another batch or group size."
        )
    return group
