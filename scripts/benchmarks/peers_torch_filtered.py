"""The filtered activation in PyTorch, as published and at its best. Optional."""

import math

import numpy as np
import torch
from torch.nn import functional as F

CLAMP = 256.0


def _kernels(taps: np.ndarray, channels: int, like: torch.Tensor, gain: float = 1.0):
    """Grouped kernels of a true convolution: (horizontal, vertical), or one in two dimensions."""
    flipped = torch.tensor(np.flip(taps).copy(), dtype=like.dtype, device=like.device) * gain
    if flipped.ndim == 2:
        return [flipped[None, None].repeat(channels, 1, 1, 1)]
    row = flipped[None, None, None].repeat(channels, 1, 1, 1)
    return [row, row.transpose(2, 3).contiguous()]


def _activate(u):
    return torch.clamp(F.leaky_relu(u, 0.2) * math.sqrt(2), -CLAMP, CLAMP)


def published(up_filter, down_filter, *, up: int, down: int, padding, channels: int, like):
    """As published: zeros inserted, filtered densely; filtered densely, then every `down`-th.

    Args:
      up_filter, down_filter: (taps,) or (height, width).
      up: upsampling factor.
      down: downsampling factor.
      padding: (top, bottom, left, right) on the upsampled grid.
      channels: of the signal.
      like: tensor with the dtype and device to use.

    Returns:
      A function of (N, C, H, W) and a bias (C,).
    """
    ups = _kernels(up_filter, channels, like, gain=up**up_filter.ndim)
    downs = _kernels(down_filter, channels, like)
    top, bottom, left, right = padding

    def run(x, bias):
        x = x + bias[:, None, None]
        n, c, h, w = x.shape
        z = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up - 1, 0, 0, 0, up - 1])
        z = F.pad(z.reshape(n, c, h * up, w * up), [left, right, top, bottom])
        for kernel in ups:
            z = F.conv2d(z, kernel, groups=c)
        z = _activate(z)
        for kernel in downs:
            z = F.conv2d(z, kernel, groups=c)
        return z[:, :, ::down, ::down]

    return run


def strided(up_filter, down_filter, *, up: int, down: int, padding, channels: int, like):
    """PyTorch's best: grouped transposed convolutions up, grouped strided ones down.

    Arguments and result as for `published`; `up_filter` is separable.
    """
    taps = len(up_filter)
    # A transposed convolution correlates its scattered samples with the flipped kernel.
    horizontal, vertical = _kernels(up_filter[::-1], channels, like, gain=up)
    downs = _kernels(down_filter, channels, like)
    top, bottom, left, right = padding
    crop = (taps - 1 - top, taps - 1 - left)
    # The published paddings crop as much at the end, where `up - 1` zeros are not inserted here.
    ends = (taps - up - bottom, taps - up - right)
    if crop != ends or min(crop) < 0:
        raise ValueError(f"padding must crop alike on both sides, got {padding}")

    def run(x, bias):
        c = x.shape[1]
        x = x + bias[:, None, None]
        z = F.conv_transpose2d(x, horizontal, stride=(1, up), padding=(0, crop[1]), groups=c)
        z = F.conv_transpose2d(z, vertical, stride=(up, 1), padding=(crop[0], 0), groups=c)
        z = _activate(z)
        if len(downs) == 1:
            return F.conv2d(z, downs[0], stride=down, groups=c)
        z = F.conv2d(z, downs[0], stride=(1, down), groups=c)
        return F.conv2d(z, downs[1], stride=(down, 1), groups=c)

    return run


# Makers, and the memory formats that are tried.
PEERS = {
    "torch published": (published, (torch.contiguous_format,)),
    "torch strided": (strided, (torch.contiguous_format, torch.channels_last)),
}


def rivals(workload, inputs, *, gradient: bool, device: str, repeats: int) -> dict:
    """Functions of the round's number that do the work `repeats` times and wait for it.

    On a CPU each peer runs with one thread and with all: on small maps, and on cores that others
    use too, threads may cost PyTorch a hundred times what they give.

    Args:
      workload: a `Workload`.
      inputs: tuples (x, bias, cotangent) in NHWC, to go round in.
      gradient: whether to compute the gradients by x and bias as well.
      device: where.
      repeats: how often.

    Returns:
      Functions by (peer, variant); they return y, or (y, dx, dbias).
    """
    result = {}
    for name, (maker, formats) in PEERS.items():
        for memory_format in formats:
            for threads in sorted({1, torch.get_num_threads()} if device == "cpu" else {1}):
                variant = f"{str(memory_format).removeprefix('torch.')}, {threads} threads"
                result[name, variant] = _run(
                    maker, workload, inputs, gradient, device, repeats, memory_format, threads
                )
    return result


def _run(maker, workload, inputs, gradient, device, repeats, memory_format, threads):
    dtype = getattr(torch, workload.dtype)
    tensors = [
        tuple(_tensor(array, device, dtype, memory_format) for array in arrays) for arrays in inputs
    ]
    channels = tensors[0][0].shape[1]
    function = maker(**workload.arguments, channels=channels, like=tensors[0][0])

    def once(x, bias, cotangent):
        if not gradient:
            with torch.inference_mode():
                return function(x, bias)
        x, bias = x.detach().requires_grad_(), bias.detach().requires_grad_()
        y = function(x, bias)
        return (y, *torch.autograd.grad(y, (x, bias), cotangent))

    def run(number):
        before = torch.get_num_threads()
        if threads != before:
            torch.set_num_threads(threads)
        for _ in range(repeats):
            result = once(*tensors[number % len(tensors)])
        if device != "cpu":
            torch.cuda.synchronize()
        if threads != before:
            torch.set_num_threads(before)
        return result

    return run


def _tensor(array, device, dtype, memory_format) -> torch.Tensor:
    array = np.asarray(array, np.float32)
    if array.ndim < 4:
        return torch.tensor(array, device=device, dtype=dtype)
    array = np.ascontiguousarray(np.moveaxis(array, -1, 1))
    return torch.tensor(array, device=device, dtype=dtype).contiguous(memory_format=memory_format)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """NCHW tensor to NHWC array, float32."""
    array = tensor.detach().float().cpu().numpy()
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array
