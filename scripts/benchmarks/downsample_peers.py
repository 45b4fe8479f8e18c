"""What `downsample` is measured against: PyTorch's same methods, and OpenCV's own routines.

Each function of a number (which picks the input) makes images of a quarter of the side. Where there
is no package, there are no peers of it.
"""

import functools
from collections.abc import Callable

FACTOR = 4
# As large as a loop over images makes sense: OpenCV takes one at a time.
OPENCV = {
    "gaussian": "sepFilter2D, then slices",
    "subsample": "NumPy's slices, copied",
    "nearest": "resize, INTER_NEAREST",
    "bicubic": "resize, INTER_CUBIC (not antialiased)",
    "bilinear": "resize, INTER_LINEAR (not antialiased)",
    "area": "resize, INTER_AREA",
    "average_pool": "blur 5 x 5, then slices",
    "median": "medianBlur 3 of bytes, then slices",
    "bilateral": "bilateralFilter 5, then slices",
    "lanczos": "resize, INTER_LANCZOS4 (not antialiased)",
}


def pytorch(batches) -> dict[str, dict[str, Callable[[int], object]]]:
    """PyTorch's methods by name, in its own order of axes and with channels last.

    Args:
      batches: float32 arrays of shape (batch, height, width, 3), to be taken in turn.

    Returns:
      {"PyTorch": functions by method, "PyTorch, channels last": some of them}; empty without it.
    """
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)  # for the process, which is the benchmark's own
    planes = [torch.from_numpy(b).permute(0, 3, 1, 2).contiguous() for b in batches]
    pixels = [x.contiguous(memory_format=torch.channels_last) for x in planes]
    functions = _pytorch_functions()

    def cycling(function, inputs):
        return lambda number: function(inputs[number % len(inputs)])

    last = [name for name in functions if name not in ("gaussian", "median", "bilateral")]
    return {
        "PyTorch": {name: cycling(f, planes) for name, f in functions.items()},
        "PyTorch, channels last": {name: cycling(functions[name], pixels) for name in last},
    }


def _pytorch_functions() -> dict[str, Callable]:
    import torch
    from torch.nn import functional as F

    offsets = torch.arange(13.0) - 6
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    kernel = kernel.expand(3, 1, 13, 13).contiguous()

    def kept(x):
        layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
        return x[:, :, ::FACTOR, ::FACTOR].contiguous(memory_format=layout)

    def gaussian(x):  # as published: at full resolution first
        return F.conv2d(F.pad(x, (6, 6, 6, 6)), kernel, groups=3)[:, :, ::FACTOR, ::FACTOR]

    def median(x):
        batch, channels, height, width = x.shape
        windows = F.unfold(F.pad(x, (1, 1, 1, 1)), 3).view(batch, channels, 9, height, width)
        return kept(windows.median(2).values)

    space = torch.exp(-(torch.arange(-2.0, 3) ** 2) / (2 * 1.5**2))
    space = torch.outer(space, space)

    def bilateral(x):
        windows = F.pad(x, (2, 2, 2, 2), mode="reflect").unfold(2, 5, 1).unfold(3, 5, 1)
        distance = (windows - x[..., None, None]).abs().sum(1, keepdim=True)
        weights = torch.exp(-(distance**2) / (2 * 0.1**2)) * space
        return kept((windows * weights).sum((-2, -1)) / weights.sum((-2, -1)))

    def resized(mode, **options):
        return functools.partial(F.interpolate, scale_factor=1 / FACTOR, mode=mode, **options)

    return {
        "gaussian": gaussian,
        "subsample": kept,
        "nearest": resized("nearest"),
        "bicubic": resized("bicubic", antialias=True),
        "bilinear": resized("bilinear", antialias=True),
        "area": resized("area"),
        "average_pool": lambda x: F.avg_pool2d(x, 5, FACTOR, 2, count_include_pad=False),
        "median": median,
        "bilateral": bilateral,
    }


def opencv(batches) -> dict[str, Callable[[int], object]]:
    """OpenCV's routines by method, image by image; see `OPENCV`. Empty without it."""
    try:
        import cv2
    except ImportError:
        return {}
    import numpy as np

    cv2.setNumThreads(1)
    size = tuple(side // FACTOR for side in batches[0].shape[2:0:-1])
    taps = cv2.getGaussianKernel(13, 1.5)
    bytes_ = [np.rint(batch * 255).astype(np.uint8) for batch in batches]

    def kept(image):
        return np.ascontiguousarray(image[::FACTOR, ::FACTOR])

    def resized(interpolation):
        return lambda image: cv2.resize(image, size, interpolation=interpolation)

    constant, reflected = cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101
    functions = {
        "gaussian": lambda x: kept(cv2.sepFilter2D(x, -1, taps, taps, borderType=constant)),
        "subsample": kept,
        "nearest": resized(cv2.INTER_NEAREST),
        "bicubic": resized(cv2.INTER_CUBIC),
        "bilinear": resized(cv2.INTER_LINEAR),
        "area": resized(cv2.INTER_AREA),
        "average_pool": lambda x: kept(cv2.blur(x, (5, 5))),
        "median": lambda x: kept(cv2.medianBlur(x, 3)),
        "bilateral": lambda x: kept(cv2.bilateralFilter(x, 5, 0.1, 1.5, borderType=reflected)),
        "lanczos": resized(cv2.INTER_LANCZOS4),
    }

    def looping(function, inputs):
        return lambda number: [function(image) for image in inputs[number % len(inputs)]]

    return {
        name: looping(function, bytes_ if name == "median" else batches)
        for name, function in functions.items()
    }
