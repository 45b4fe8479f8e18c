"""Fixed binomial low-pass filter before subsampling (Zhang, ICML 2019)."""

from jax import Array

from aa_jax.nn.pool import MaxPool, Pool
from aa_jax.ops.blur import blur_pool


class BlurPool(Pool):
    """Blurs every channel with a binomial filter and keeps every `stride`-th sample.

    Has no parameters; `aa_jax.ops.blur.blur_pool` is the same as a function.
    """

    def __init__(
        self,
        *,
        filter_size: int = 4,
        stride: int = 2,
        mode: str = "reflect",
        pad_offset: int = 0,
    ):
        """Chooses the filter.

        Args:
          filter_size: taps per axis, 1 (no blur) to 7.
          stride: subsampling factor.
          mode: boundary, "reflect", "edge", "zero" or "circular".
          pad_offset: extra padding on all four sides.

        Raises:
          ValueError: `filter_size` is not from 1 to 7, or `stride` not positive.
        """
        if filter_size not in range(1, 8):
            raise ValueError(f"filter_size must be an integer from 1 to 7, got {filter_size!r}")
        if not isinstance(stride, int) or stride < 1:
            raise ValueError(f"stride must be a positive integer, got {stride!r}")
        self.filter_size, self.stride = filter_size, stride
        self.mode, self.pad_offset = mode, pad_offset

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Reduces (N, H, W, C) to (N, ceil(H / stride), ceil(W / stride), C)."""
        del train
        return blur_pool(
            x,
            filter_size=self.filter_size,
            stride=self.stride,
            mode=self.mode,
            pad_offset=self.pad_offset,
        )


class MaxBlurPool(MaxPool):
    """Dense max-pool, then `BlurPool`: the anti-aliased form of a strided max-pool."""

    def __init__(
        self,
        window: int = 2,
        *,
        padding: int = 0,
        filter_size: int = 4,
        stride: int = 2,
        mode: str = "reflect",
    ):
        """`window` and `padding` are the max-pool's, the other options the blur's."""
        blur = BlurPool(filter_size=filter_size, stride=stride, mode=mode)
        super().__init__(window, padding=padding, pool=blur)
