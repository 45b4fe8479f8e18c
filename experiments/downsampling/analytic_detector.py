"""Ten keypoints without training: places where fixed band-pass filters answer most.

It stands in for a trained detector, so that the study runs at once. Nothing in it knows where in
the image it is, except that places near the border aren't chosen: whole shifts of the small image
move every keypoint by as much, fractional ones as far as aliasing allows. But photographs have
several places where a filter answers nearly alike, and then any change may move a keypoint from
one to another: look at medians, or at the share that jumped.
"""

import functools

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.filters import gaussian
from aa_jax.ops.resample import upfirdn2d

# In pixels of the small image. Wide enough that the baseline's own aliasing moves little.
BLOB_SIGMAS = (2.0, 3.5)
WAVELENGTHS = (6.0, 10.0)
ORIENTATIONS = 3
FILTER_RADIUS = 9
# Pixels along the border that aren't read: a baseline padded with zeros darkens them.
UNREAD = 2
# A keypoint begins where the energy, averaged so widely, is greatest at this distance at least from
# the border of its map; then it moves to the centre of the energy under a Gaussian around itself.
AVERAGING, MARGIN = 5.0, 4
SMOOTHING, WINDOW, ROUNDS = 1.0, 4.0, 30

NUM_KEYPOINTS = 2 * len(BLOB_SIGMAS) + ORIENTATIONS * len(WAVELENGTHS)
MIN_SIZE = 2 * (UNREAD + FILTER_RADIUS + MARGIN) + 1

_LUMA = (0.299, 0.587, 0.114)


@functools.cache
def filters() -> np.ndarray:
    """Designs the filters: bright and dark blobs, then the two quadratures of oriented waves.

    Returns:
      float64 (side, side, filters); each has unit energy and no answer to a constant.
    """
    y, x = np.mgrid[-FILTER_RADIUS : FILTER_RADIUS + 1, -FILTER_RADIUS : FILTER_RADIUS + 1]
    squares = x**2 + y**2
    designs = []
    for sigma in BLOB_SIGMAS:
        near, far = (np.exp(-squares / (2 * s**2)) for s in (sigma, 1.6 * sigma))
        blob = near / near.sum() - far / far.sum()
        designs += [blob, -blob]
    for wavelength in WAVELENGTHS:
        envelope = np.exp(-squares / (2 * (0.45 * wavelength) ** 2))
        for angle in np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS:
            turn = 2 * np.pi / wavelength * (np.cos(angle) * x + np.sin(angle) * y)
            even = np.cos(turn) - np.sum(envelope * np.cos(turn)) / envelope.sum()
            designs += [envelope * even, envelope * np.sin(turn)]
    return np.stack([d / np.sqrt(np.sum(d**2)) for d in designs], axis=-1)


@jax.jit
def detect(images: jax.Array) -> jax.Array:
    """Finds ten keypoints.

    Args:
      images: (N, height, width, 3), floating, of any range.

    Returns:
      (N, 10, 2), x and y; -1 and 1 are the centres of the first and the last pixel.

    Raises:
      ValueError: the images have another shape, or fewer than 31 pixels along a side.
    """
    if images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < MIN_SIZE:
        raise ValueError(
            f"images must have shape (N, height, width, 3), at least {MIN_SIZE} x {MIN_SIZE} "
            f"pixels, got {images.shape}."
        )
    energy = _energy(images)
    x, y = _refined(_blurred(energy, SMOOTHING), *_greatest(energy))
    inset = UNREAD + FILTER_RADIUS
    height, width = images.shape[1:3]
    return jnp.stack(
        [2 * (x + inset) / (width - 1) - 1, 2 * (y + inset) / (height - 1) - 1], axis=-1
    )


def _energy(images):
    """(N, height - 22, width - 22, 10), where the filters lie within what is read."""
    inner = images[:, UNREAD:-UNREAD, UNREAD:-UNREAD]
    grey = inner @ np.array(_LUMA, images.dtype)
    answers = lax.conv_general_dilated(
        grey[..., None],
        filters()[:, :, None].astype(images.dtype),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )
    blobs, waves = jnp.split(answers, [2 * len(BLOB_SIGMAS)], axis=-1)
    # A blob's sign counts; of a wave, both quadratures together, which is an edge's or a line's.
    even, odd = waves[..., 0::2], waves[..., 1::2]
    return jnp.concatenate([jnp.maximum(blobs, 0) ** 2, even**2 + odd**2], axis=-1)


def _greatest(energy):
    """x and y (N, 10) of the greatest average energy, whole pixels of the map."""
    average = _blurred(energy, AVERAGING)
    inner = average[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    batch, _, width, keypoints = inner.shape
    index = jnp.argmax(inner.reshape(batch, -1, keypoints), axis=1)
    return index % width + MARGIN, index // width + MARGIN


def _refined(energy, x, y):
    """Mean shift: x and y (N, 10) go to the centre of the energy around them, again and again."""
    rows, columns = (jnp.arange(size, dtype=energy.dtype) for size in energy.shape[1:3])

    def closer(_, place):
        x, y = place
        across = jnp.exp(-((columns[:, None] - x[:, None]) ** 2) / (2 * WINDOW**2))
        down = jnp.exp(-((rows[:, None] - y[:, None]) ** 2) / (2 * WINDOW**2))
        # Sums over columns, and over rows, of the energy under the window.
        by_row = jnp.einsum("nhwk,nwk->nhk", energy, across) * down
        by_column = jnp.einsum("nhwk,nhk->nwk", energy, down) * across
        total = by_row.sum(1)
        known = total > 0  # a flat image has no energy: its keypoints stay
        total = jnp.where(known, total, 1)
        return (
            jnp.where(known, jnp.einsum("nwk,w->nk", by_column, columns) / total, x),
            jnp.where(known, jnp.einsum("nhk,h->nk", by_row, rows) / total, y),
        )

    start = x.astype(energy.dtype), y.astype(energy.dtype)
    return lax.fori_loop(0, ROUNDS, closer, start)


def _blurred(energy, sigma: float):
    """A Gaussian average, with zeros outside."""
    taps = gaussian(sigma)
    return upfirdn2d(energy, taps, padding=len(taps) // 2)
