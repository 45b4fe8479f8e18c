"""Independent float64 NumPy versions of what the ops compute, written as their definitions."""

import numpy as np

PAD_MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge", "circular": "wrap"}


def correlate_valid(image, kernel):
    """Valid correlation of (H, W) by explicit sums."""
    height = image.shape[0] - kernel.shape[0] + 1
    width = image.shape[1] - kernel.shape[1] + 1
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            out[i, j] = np.sum(image[i : i + kernel.shape[0], j : j + kernel.shape[1]] * kernel)
    return out


def upfirdn2d(image, kernel, *, up, down, padding, flip_filter=False, gain=1.0, mode="zero"):
    """Zero insertion, padding, valid filtering and decimation of (H, W), step by step.

    For a boundary mode, the image is extended before zero insertion by more than is needed.
    """
    top, bottom, left, right = padding
    if mode != "zero":
        # Whole samples on both sides, enough for the padding; cropped again on the fine grid.
        factors = (up[0], up[0], up[1], up[1])
        grow = [-(-max(p, 0) // factor) for p, factor in zip(padding, factors, strict=True)]
        image = np.pad(image, ((grow[0], grow[1]), (grow[2], grow[3])), PAD_MODES[mode])
        top, bottom = top - grow[0] * up[0], bottom - grow[1] * up[0]
        left, right = left - grow[2] * up[1], right - grow[3] * up[1]
    fine = np.zeros((image.shape[0] * up[0], image.shape[1] * up[1]))
    fine[:: up[0], :: up[1]] = image
    fine = np.pad(fine, [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))])
    fine = fine[max(-top, 0) : fine.shape[0] - max(-bottom, 0)]
    fine = fine[:, max(-left, 0) : fine.shape[1] - max(-right, 0)]
    kernel = kernel if flip_filter else kernel[::-1, ::-1]
    return gain * correlate_valid(fine, kernel)[:: down[0], :: down[1]]
