"""Two-dimensional convolution with the boundary modes of this library."""

from jax import Array, lax

from aa_jax.ops.convolution_form import Convolution, convolution
from aa_jax.ops.linear import apply_bilinear
from aa_jax.ops.pad import as_padding, pad2d


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
    top, bottom, left, right = as_padding(padding)
    if padding_mode != "zero" and (top or bottom or left or right):
        x = pad2d(x, (top, bottom, left, right), mode=padding_mode)
        top = bottom = left = right = 0
    strides = (stride, stride) if isinstance(stride, int) else tuple(stride)
    sides = ((top, bottom), (left, right))
    if kernel.shape[:2] == (1, 1) and groups == 1:
        return _pointwise(x, kernel, strides, sides)
    if groups == x.shape[-1] == kernel.shape[3] and groups > 1:
        return _depthwise(x, kernel, strides, sides)
    if groups > 1:
        return convolution(x, kernel, strides, sides, groups)
    form = Convolution(x.shape[1:3], kernel.shape[:2], strides, sides)
    return apply_bilinear(form, x, kernel)


def _pointwise(x, kernel, strides, sides):
    # XLA's matrix product is up to twice as fast on CPU as its 1 x 1 convolution.
    x = _padded(x, sides)[:, :: strides[0], :: strides[1]]
    return lax.dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ())))


def _depthwise(x, kernel, strides, sides):
    # A sum of shifted products: XLA's depthwise convolution is 10 to 100 times slower on CPU.
    x = _padded(x, sides)
    steps = (1, *strides, 1)
    kept = [
        (size - taps) // step + 1
        for size, taps, step in zip(x.shape[1:3], kernel.shape[:2], strides, strict=True)
    ]
    total = None
    for u in range(kernel.shape[0]):
        for v in range(kernel.shape[1]):
            stops = (u + (kept[0] - 1) * strides[0] + 1, v + (kept[1] - 1) * strides[1] + 1)
            window = lax.slice(x, (0, u, v, 0), (x.shape[0], *stops, x.shape[3]), steps)
            part = window * kernel[u, v, 0]
            total = part if total is None else total + part
    return total


def _padded(x, sides):
    return pad2d(x, (*sides[0], *sides[1]))


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
