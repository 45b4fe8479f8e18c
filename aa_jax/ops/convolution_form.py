"""Dense convolution as a trilinear form of signal, kernel and output.

XLA's gradient of a convolution with respect to its kernel is up to twice as slow on CPU as the
matrix products that it stands for, if those are taken over a few rows at a time: the unfolded
patches then stay in cache.
"""

import dataclasses

from jax import lax, numpy as jnp

from aa_jax.ops.linear import TrilinearForm

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Of unfolded patches at a time; measured best between 2 and 4 MiB for sides from 8 to 224.
_CHUNK_BYTES = 4 * 2**20


def convolution(x, kernel, strides, sides, groups: int = 1):
    """XLA's convolution of (N, H, W, C) with (kh, kw, C / groups, O).

    Args:
      x: signal.
      kernel: taps.
      strides: (vertical, horizontal).
      sides: zeros added, ((top, bottom), (left, right)).
      groups: contiguous channel groups.
    """
    kept = output_size(x.shape[1:3], kernel.shape[:2], strides, sides)
    if not any(map(any, sides)):
        # XLA's convolution on CPU is up to four times faster with any zero padding than without:
        # one row and column more, cut off again.
        sides = ((0, 1), (0, 1))
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=sides,
        dimension_numbers=_DIMENSIONS,
        feature_group_count=groups,
    )
    return y[:, : kept[0], : kept[1]]


def output_size(sizes, taps, strides, sides) -> tuple[int, ...]:
    """Output positions per axis."""
    axes = zip(sizes, taps, strides, sides, strict=True)
    return tuple((size + sum(side) - tap) // step + 1 for size, tap, step, side in axes)


@dataclasses.dataclass(frozen=True)
class Convolution(TrilinearForm):
    """The trilinear form sum(y * convolution(x, k)) of signal, kernel and output.

    `first` and `second` name two of "x", "k" and "y"; `apply` takes those two and returns the
    form's gradient with respect to the third. For (x, k) that is the convolution.
    """

    size: tuple[int, int]
    taps: tuple[int, int]
    strides: tuple[int, int]
    sides: tuple[tuple[int, int], tuple[int, int]]
    first: str = dataclasses.field(default="x", kw_only=True)
    second: str = dataclasses.field(default="k", kw_only=True)

    roles = "xky"
    shares_batch = False  # the kernel has no batch axis

    def apply(self, a, b):
        """Computes the third from the first and the second."""
        given = {self.first: a, self.second: b}
        if self.third == "y":
            return self._y(given["x"], given["k"])
        if self.third == "x":
            return self._x(given["y"], given["k"])
        return lax.platform_dependent(
            given["x"], given["y"], cpu=self._kernel_by_rows, default=self._kernel
        )

    def _y(self, x, kernel):
        return convolution(x, kernel, self.strides, self.sides)

    def _x(self, y, kernel):
        return lax.conv_general_dilated(
            y,
            kernel[::-1, ::-1],
            (1, 1),
            [
                (kh - 1 - low, size - (out - 1) * step - 1 + low)
                for kh, low, size, out, step in self._axes(y)
            ],
            lhs_dilation=self.strides,
            dimension_numbers=("NHWC", "HWOI", "NHWC"),
        )

    def _kernel(self, x, y):
        return lax.conv_general_dilated(
            x,
            y,
            (1, 1),
            [
                (low, kh + (out - 1) * step - size - low)
                for kh, low, size, out, step in self._axes(y)
            ],
            rhs_dilation=self.strides,
            dimension_numbers=("CHWN", "IHWO", "HWNC"),
        )

    def _axes(self, y):
        """Taps, zeros in front, size in, size out and stride of each axis."""
        lows = (low for low, _ in self.sides)
        return zip(self.taps, lows, self.size, y.shape[1:3], self.strides, strict=True)

    def _kernel_by_rows(self, x, y):
        """Unfolded patches times output, summed over a few rows of output at a time."""
        (kh, kw), (down, across) = self.taps, self.strides
        batch, height, width, outputs = y.shape
        channels = x.shape[3]
        dtype = jnp.promote_types(y.dtype, jnp.float32)
        x = lax.pad(
            x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*s, 0) for s in self.sides), (0, 0, 0))
        )
        row_bytes = batch * width * kh * kw * channels * x.dtype.itemsize
        rows = _largest_divisor(height, _CHUNK_BYTES // row_bytes)

        def add(chunk, total):
            window = lax.dynamic_slice_in_dim(x, chunk * rows * down, (rows - 1) * down + kh, 1)
            patches = [
                window[
                    :,
                    u : u + (rows - 1) * down + 1 : down,
                    v : v + (width - 1) * across + 1 : across,
                ]
                for u in range(kh)
                for v in range(kw)
            ]
            part = lax.dynamic_slice_in_dim(y, chunk * rows, rows, 1)
            return total + lax.dot_general(
                jnp.concatenate(patches, -1),
                part,
                (((0, 1, 2), (0, 1, 2)), ((), ())),
                preferred_element_type=dtype,
            )

        total = lax.fori_loop(1, height // rows, add, add(0, 0.0))
        return total.reshape(*self.taps, channels, outputs).astype(y.dtype)


def _largest_divisor(number: int, limit: int) -> int:
    return max(d for d in range(1, number + 1) if number % d == 0 and (d <= limit or d == 1))
