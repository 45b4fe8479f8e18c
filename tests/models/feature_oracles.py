"""Feature networks in plain NumPy, float64, from tensors in the published layouts.

Maps are NHWC. Batch normalisation is applied as such, not folded; a mean that leaves out what is
outside the map is a mean over what is not NaN.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def conv(x, weight, *, stride=1, pad=(0, 0)):
    """Cross-correlation with (out, in, kh, kw); `pad` zeros per axis."""
    x = np.pad(x, ((0, 0), (pad[0],) * 2, (pad[1],) * 2, (0, 0)))
    windows = sliding_window_view(x, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    return np.tensordot(windows, weight.astype(np.float64), ((3, 4, 5), (1, 2, 3)))


def pool(x, reduce, *, window=3, stride=1, pad=0):
    """Reduces windows; what is outside is NaN."""
    x = np.pad(x, ((0, 0), (pad,) * 2, (pad,) * 2, (0, 0)), constant_values=np.nan)
    windows = sliding_window_view(x, (window, window), axis=(1, 2))[:, ::stride, ::stride]
    return reduce(windows, axis=(-2, -1))


def halve(x):
    return pool(x, np.max, stride=2)


class Inception:
    """The network as a set of functions of maps; `tensors` as in the file."""

    def __init__(self, tensors):
        self.tensors = tensors

    def unit(self, name, x, *, stride=1, pad=None):
        weight = self.tensors[f"{name}.conv.weight"]
        pad = tuple(k // 2 for k in weight.shape[2:]) if pad is None else pad
        y = conv(x, weight, stride=stride, pad=pad)
        scale, bias, mean, var = (
            self.tensors[f"{name}.bn.{leaf}"].astype(np.float64)
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        return np.maximum((y - mean) / np.sqrt(var + 0.001) * scale + bias, 0)

    def chain(self, block, names, x, last_stride=1):
        for name in names.split():
            down = last_stride == 2 and name == names.split()[-1]
            x = self.unit(
                f"{block}.{name}", x, stride=2 if down else 1, pad=(0, 0) if down else None
            )
        return x

    def a(self, block, x):
        return np.concatenate(
            [
                self.chain(block, "branch1x1", x),
                self.chain(block, "branch5x5_1 branch5x5_2", x),
                self.chain(block, "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", x),
                self.chain(block, "branch_pool", pool(x, np.nanmean, pad=1)),
            ],
            -1,
        )

    def b(self, block, x):
        double = "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3"
        parts = [self.chain(block, "branch3x3", x, 2), self.chain(block, double, x, 2), halve(x)]
        return np.concatenate(parts, -1)

    def c(self, block, x):
        double = " ".join(f"branch7x7dbl_{i}" for i in range(1, 6))
        return np.concatenate(
            [
                self.chain(block, "branch1x1", x),
                self.chain(block, "branch7x7_1 branch7x7_2 branch7x7_3", x),
                self.chain(block, double, x),
                self.chain(block, "branch_pool", pool(x, np.nanmean, pad=1)),
            ],
            -1,
        )

    def d(self, block, x):
        long = " ".join(f"branch7x7x3_{i}" for i in range(1, 5))
        parts = [self.chain(block, "branch3x3_1 branch3x3_2", x, 2), self.chain(block, long, x, 2)]
        return np.concatenate([*parts, halve(x)], -1)

    def e(self, block, x, reduce):
        short = self.chain(block, "branch3x3_1", x)
        double = self.chain(block, "branch3x3dbl_1 branch3x3dbl_2", x)
        return np.concatenate(
            [
                self.chain(block, "branch1x1", x),
                *(self.chain(block, f"branch3x3_2{fork}", short) for fork in "ab"),
                *(self.chain(block, f"branch3x3dbl_3{fork}", double) for fork in "ab"),
                self.chain(block, "branch_pool", pool(x, reduce, pad=1)),
            ],
            -1,
        )

    def block(self, name, x):
        kind = {"Mixed_5": self.a, "Mixed_6": self.c}.get(name[:-1])
        kind = {"Mixed_6a": self.b, "Mixed_7a": self.d}.get(name, kind)
        if kind is not None:
            return kind(name, x)
        return self.e(name, x, np.nanmax if name == "Mixed_7c" else np.nanmean)

    def features(self, x):
        x = self.unit("Conv2d_1a_3x3", x, stride=2, pad=(0, 0))
        x = self.unit("Conv2d_2a_3x3", x, pad=(0, 0))
        x = halve(self.unit("Conv2d_2b_3x3", x))
        x = self.unit("Conv2d_3b_1x1", x)
        x = halve(self.unit("Conv2d_4a_3x3", x, pad=(0, 0)))
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = self.block(f"Mixed_{name}", x)
        return x.mean((1, 2))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def vgg16_maps(tensors, x):
    """The five maps in front of pools."""
    maps = []
    for stage in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
        x = pool(maps[-1], np.max, window=2, stride=2) if maps else x
        for index in stage:
            weight, bias = (tensors[f"features.{index}.{leaf}"] for leaf in ("weight", "bias"))
            x = np.maximum(conv(x, weight, pad=(1, 1)) + bias, 0)
        maps.append(x)
    return maps


def vgg16_features(tensors, x):
    """For images of 224 x 224."""
    x = pool(vgg16_maps(tensors, x)[-1], np.max, window=2, stride=2)
    x = np.moveaxis(x, -1, 1).reshape(len(x), -1)
    for index in (0, 3):
        weight, bias = (tensors[f"classifier.{index}.{leaf}"] for leaf in ("weight", "bias"))
        x = np.maximum(x @ weight.T.astype(np.float64) + bias, 0)
    return x


def lpips_distance(tensors, linear, a, b):
    """By the paper's formula, of images on [0, 255]."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    a, b = (vgg16_maps(tensors, (image / 127.5 - 1 - shift) / scale) for image in (a, b))
    total = 0.0
    for index, (x, y) in enumerate(zip(a, b, strict=True)):
        x, y = (v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-10) for v in (x, y))
        weight = linear[f"lin{index}.model.1.weight"].astype(np.float64).reshape(-1)
        total = total + ((x - y) ** 2 @ weight).mean((1, 2))
    return total
