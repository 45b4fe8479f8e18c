"""Low-pass filters that are more than a product with two banded matrices: jinc and ideal."""

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.ops.downsample.designs import Design, cells, jinc_rank
from aa_jax.ops.downsample.separable import reduce_axes

# From here on Fourier transforms are less work than products with a matrix of cosines.
_LONG = 1024


def jinc(images: jax.Array, factor: int, phase: str) -> jax.Array:
    """Filters by a radially symmetric low-pass filter, the disc of what the new grid can hold.

    A Kaiser design of side 6 `factor` (Karras et al., "Alias-Free Generative Adversarial Networks",
    NeurIPS 2021, appendix C), as a sum of separable ones; beyond the border lies its nearest pixel.

    Args:
      images: (batch, height, width, channels), floating.
      factor: whole.
      phase: "native", centred in the cells of factor x factor pixels; or "aligned", on their first.

    Returns:
      (batch, height', width', channels).
    """
    y = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    parts = []
    for term in range(jinc_rank(factor, phase)):
        designs = [
            Design(size, "jinc", factor, phase, (term, taps))
            for size, taps in zip(y.shape[1:3], ("vertical", "horizontal"), strict=True)
        ]
        parts.append(reduce_axes(y, *designs))
    return sum(parts[1:], parts[0]).astype(images.dtype)


def ideal(images: jax.Array, factor: float, phase: str) -> jax.Array:
    """Keeps all frequencies below the new Nyquist frequency and none above.

    What lies beyond the border is the mirror image, the edge twice: the extension of the discrete
    cosine transform. A periodic one would put a jump where the image meets its other side, whose
    ringing runs along all borders.

    Args:
      images: (batch, height, width, channels), floating.
      factor: of the reduction.
      phase: "native" or "aligned".

    Returns:
      (batch, height', width', channels).
    """
    y = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    sizes = y.shape[1:3]
    # An aligned grid whose last cell is incomplete is no grid of Fourier transforms.
    if max(sizes) < _LONG or (phase == "aligned" and any(size % factor for size in sizes)):
        y = reduce_axes(y, *(Design(size, "ideal", factor, phase) for size in sizes))
    else:
        for axis in (1, 2):
            y = jnp.moveaxis(_transformed(jnp.moveaxis(y, axis, -1), factor, phase), -1, axis)
    return y.astype(images.dtype)


def _transformed(x, factor: float, phase: str):
    size = x.shape[-1]
    count = cells(size, factor)
    first = (size / count - 1) / 2 if phase == "native" else 0.0
    spectrum = jnp.fft.rfft(jnp.concatenate([x, x[..., ::-1]], -1))[..., :count]
    # Moves the place of output 0 to sample 0.
    turn = np.exp(1j * np.pi / size * first * np.arange(count)).astype(spectrum.dtype)
    mirrored = jnp.fft.irfft(spectrum * turn, 2 * count)
    return mirrored[..., :count] * np.asarray(count / size, x.dtype)
