"""The same operations in PyTorch, each in the formulations its users write. Optional."""

import numpy as np
import torch
from torch.nn import functional as F


def tensors(array: np.ndarray, *, channels_last: bool = False) -> torch.Tensor:
    """NHWC array to a (N, C, H, W) tensor, in PyTorch's own memory layout or channels last."""
    if channels_last:
        return torch.from_numpy(array.copy()).permute(0, 3, 1, 2)
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy())


def _rows(taps: np.ndarray, channels: int):
    row = torch.tensor(taps[::-1].copy(), dtype=torch.float32)
    vertical = row[None, None, :, None].repeat(channels, 1, 1, 1)
    return vertical, vertical.permute(0, 1, 3, 2).contiguous()


def upsample_zero_insertion(taps: np.ndarray, channels: int):
    """Doubles an image: zeros inserted, then two grouped convolutions."""
    vertical, horizontal = _rows(taps, channels)
    before, after = (len(taps) + 1) // 2, (len(taps) - 2) // 2

    def run(x):
        n, c, h, w = x.shape
        z = F.pad(x.reshape(n, c, h, 1, w, 1), [0, 1, 0, 0, 0, 1]).reshape(n, c, 2 * h, 2 * w)
        z = F.pad(z, [before, after, before, after])
        return F.conv2d(F.conv2d(z, horizontal * 2, groups=c), vertical * 2, groups=c)

    return run


def upsample_transposed(taps: np.ndarray, channels: int):
    """Doubles an image with two grouped transposed convolutions."""
    vertical, horizontal = (torch.flip(t, (2, 3)) * 2 for t in _rows(taps, channels))
    crop = (len(taps) - 2) // 2

    def run(x):
        c = x.shape[1]
        y = F.conv_transpose2d(x, horizontal, stride=(1, 2), padding=(0, crop), groups=c)
        return F.conv_transpose2d(y, vertical, stride=(2, 1), padding=(crop, 0), groups=c)

    return run


def downsample_grouped(taps: np.ndarray, channels: int):
    """Halves an image with two grouped strided convolutions."""
    vertical, horizontal = _rows(taps, channels)
    before, after = (len(taps) - 1) // 2, (len(taps) - 2) // 2

    def run(x):
        c = x.shape[1]
        x = F.pad(x, [before, after, before, after])
        y = F.conv2d(x, horizontal, stride=(1, 2), groups=c)
        return F.conv2d(y, vertical, stride=(2, 1), groups=c)

    return run


def blur_pool(taps: np.ndarray, channels: int):
    """Reflect padding and one grouped convolution with the 2-D filter, as published."""
    kernel = torch.tensor(np.outer(taps, taps), dtype=torch.float32)
    kernel = kernel[None, None].repeat(channels, 1, 1, 1)
    before, after = (len(taps) - 1) // 2, len(taps) // 2

    def run(x):
        x = F.pad(x, [before, after, before, after], mode="reflect")
        return F.conv2d(x, kernel, stride=2, groups=x.shape[1])

    return run


class AdaptiveUnfold(torch.nn.Module):
    """The adaptive layer by unfolding: filters and outputs at all positions, then the stride."""

    def __init__(self, channels: int, groups: int, size: int, stride: int):
        super().__init__()
        self.groups, self.size, self.stride = groups, size, stride
        self.conv = torch.nn.Conv2d(channels, groups * size**2, size, bias=False)
        self.norm = torch.nn.BatchNorm2d(groups * size**2)

    def forward(self, x):
        n, c, h, w = x.shape
        half, taps = self.size // 2, self.size**2
        padded = F.pad(x, [half] * 4, mode="reflect")
        filters = torch.softmax(self.norm(self.conv(padded)), dim=1)
        filters = filters.reshape(n, self.groups, 1, taps, h * w)
        patches = F.unfold(padded, self.size).reshape(n, self.groups, c // self.groups, taps, h * w)
        y = (patches * filters).sum(3).reshape(n, c, h, w)
        return y[:, :, :: self.stride, :: self.stride]


class _Blur(torch.nn.Module):
    def __init__(self, channels: int, taps: np.ndarray):
        super().__init__()
        self.run = blur_pool(taps, channels)

    def forward(self, x):
        return self.run(x)


def _filter(kind: str, channels: int):
    if kind == "blur":
        return [_Blur(channels, np.array([1, 3, 3, 1]) / 8)]
    if kind == "adaptive":
        return [AdaptiveUnfold(channels, 8, 3, 2)]
    return []


def _conv(inputs, outputs, size, stride=1):
    return torch.nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Bottleneck(torch.nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; the filter stands in front of the last convolution."""

    def __init__(self, inputs: int, width: int, stride: int, kind: str):
        super().__init__()
        nn = torch.nn
        carried = stride if kind == "none" else 1
        pool = _filter(kind, width) if stride > 1 else []
        norm = lambda c: nn.BatchNorm2d(c)  # noqa: E731
        self.branch = nn.Sequential(
            *[_conv(inputs, width, 1), norm(width), nn.ReLU()],
            *[_conv(width, width, 3, carried), norm(width), nn.ReLU()],
            *[*pool, _conv(width, 4 * width, 1), norm(4 * width)],
        )
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != 4 * width:
            pool = _filter(kind, inputs) if stride > 1 else []
            conv = _conv(inputs, 4 * width, 1, carried)
            self.shortcut = nn.Sequential(*pool, conv, norm(4 * width))

    def forward(self, x):
        return torch.relu(self.branch(x) + self.shortcut(x))


def resnet50(kind: str = "none") -> torch.nn.Module:
    """ResNet-50 with the published placement of blur ("blur") or adaptive filters ("adaptive")."""
    nn = torch.nn
    if kind == "none":
        pool = [nn.MaxPool2d(3, 2, 1)]
    else:
        pool = [nn.MaxPool2d(2, 1), *_filter(kind, 64)]
    layers = [_conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(), *pool]
    inputs = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            layers.append(Bottleneck(inputs, width, stride, kind))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))
