"""Two-dimensional convolution with the boundary modes of this library."""

from jax import Array, lax

from aa_jax.ops.pad import pad2d

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d(
    x: Array,
    kernel: Array,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, ...] = 0,
    padding_mode: str = "zero",
    groups: int = 1,
) -> Array:
    """Correlates every image with a kernel, as neural networks mean by convolution.

    Args:
      x: signal (N, H, W, C).
      kernel: taps (kh, kw, C / groups, O), of the dtype of `x`.
      stride: step between output positions, one number or (vertical, horizontal).
      padding: what is added around the signal: one number, (vertical, horizontal), or (top,
        bottom, left, right).
      padding_mode: "zero", "reflect", "edge" or "circular".
      groups: number of contiguous channel groups convolved independently.

    Returns:
      (N, H', W', O), H' = floor((H + top + bottom - kh) / stride) + 1.

    Raises:
      ValueError: ranks, channels, groups or padding do not fit together.
    """
    _check(x, kernel, groups)
    top, bottom, left, right = four_sides(padding)
    if padding_mode != "zero" and (top or bottom or left or right):
        x = pad2d(x, (top, bottom, left, right), mode=padding_mode)
        top = bottom = left = right = 0
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride) if isinstance(stride, int) else tuple(stride),
        padding=((top, bottom), (left, right)),
        dimension_numbers=_DIMENSIONS,
        feature_group_count=groups,
    )


def four_sides(padding: int | tuple[int, ...]) -> tuple[int, int, int, int]:
    """Spells a padding out as (top, bottom, left, right).

    Raises:
      ValueError: it is neither one number nor two nor four.
    """
    if isinstance(padding, int):
        return (padding,) * 4
    if len(padding) == 2:
        vertical, horizontal = padding
        return (vertical, vertical, horizontal, horizontal)
    if len(padding) == 4:
        return tuple(padding)
    raise ValueError(
        "padding must be one number, (vertical, horizontal) or (top, bottom, left, right), "
        f"got {padding!r}"
    )


def _check(x: Array, kernel: Array, groups: int) -> None:
    if x.ndim != 4:
        raise ValueError(f"x must be (N, H, W, C), got shape {x.shape}; add or drop axes")
    if kernel.ndim != 4:
        raise ValueError(f"kernel must be (kh, kw, C / groups, O), got shape {kernel.shape}")
    channels, inputs, outputs = x.shape[-1], kernel.shape[2], kernel.shape[3]
    if channels != inputs * groups or outputs % groups:
        raise ValueError(
            f"x has {channels} channels, but a kernel of shape {kernel.shape} in {groups} groups "
            f"expects {inputs * groups} and a multiple of {groups} outputs"
        )
