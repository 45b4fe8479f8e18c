"""How much a predicted low-pass filter blurs, as a number per pixel and channel group."""

from jax import Array, numpy as jnp


def filter_variance(filters: Array, *, ddof: int = 1, normalize: bool = False) -> Array:
    """Variance over the taps of every filter: 0 for an average (strong blur), large for identity.

    The k x k identity has the sample variance 1 / k^2 (0.11 for k = 3), the top of the scale in
    the presentation of Zou et al., "Delving deeper into anti-aliasing in ConvNets" (BMVC 2020).

    Args:
      filters: predicted filters (..., taps), as `AdaptiveBlurPool.filters` gives them.
      ddof: 1 divides by taps - 1 (as presented), 0 by taps.
      normalize: scale every filter to unit sum first. Filters of a softmax over all groups
        together sum to less, which would shrink their variance.

    Returns:
      (...), float32 or better.

    Raises:
      ValueError: there are no more taps than `ddof`.
    """
    if filters.shape[-1] <= ddof:
        raise ValueError(
            f"filters must have more than ddof={ddof} taps on their last axis, got shape "
            f"{filters.shape}"
        )
    filters = jnp.asarray(filters)
    filters = filters.astype(jnp.promote_types(filters.dtype, jnp.float32))
    if normalize:
        filters = filters / jnp.sum(filters, axis=-1, keepdims=True)
    return jnp.var(filters, axis=-1, ddof=ddof)
