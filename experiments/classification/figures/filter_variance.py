"""Where an adaptive layer blurs: the variance of its predicted filters, over a photograph.

After the figure of Zou et al. (BMVC 2020): the taps of a group at one position are taken as a set
of numbers; their variance is 0 for the averaging filter (strong blur) and 1/k^2 for the identity
(no blur), counted with n - 1.
"""

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from experiments.classification.figures.style import new_figure


def local_detail(photo: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Mean gradient magnitude of a photograph in each cell of a grid.

    Args:
        photo: (H, W, C).
        shape: rows and columns of the grid, at most (H, W).

    Returns:
        (rows, columns).
    """
    luminance = np.asarray(photo, np.float64).mean(-1)
    gradient = np.hypot(*np.gradient(luminance))
    rows = np.arange(shape[0]) * luminance.shape[0] // shape[0]
    columns = np.arange(shape[1]) * luminance.shape[1] // shape[1]
    sums = np.add.reduceat(np.add.reduceat(gradient, rows, axis=0), columns, axis=1)
    ones = np.ones_like(gradient)
    counts = np.add.reduceat(np.add.reduceat(ones, rows, axis=0), columns, axis=1)
    return sums / counts


def detail_correlation(photo: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Rank correlation of each group's variance with the photograph's local detail.

    Negative: the layer blurs detailed places more, as the paper reports.

    Args:
        photo: (H, W, C).
        variance: (h, w, groups).

    Returns:
        (groups,), NaN for a group whose variance is the same everywhere.
    """
    detail = _ranks(local_detail(photo, variance.shape[:2]).ravel())
    correlations = []
    for group in np.moveaxis(variance, -1, 0):
        constant = np.ptp(group) == 0
        value = np.nan if constant else np.corrcoef(detail, _ranks(group.ravel()))[0, 1]
        correlations.append(float(value))
    return np.asarray(correlations)


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)


def draw(photo: np.ndarray, variance: np.ndarray, *, taps: int, layer: str) -> Figure:
    """Draws the photograph, the mean over groups, and every group.

    Args:
        photo: (H, W, 3) in [0, 1], as the network saw it.
        variance: (h, w, groups), sample variance of filters that sum to 1.
        taps: entries of a filter (9 for 3 x 3); the identity's variance is 1 / taps.
        layer: the layer's name.

    Returns:
        The figure. All maps share one colour scale (square root), which spans the values that
        occur.
    """
    groups = variance.shape[-1]
    columns = max(2, -(-groups // 2))
    figure = new_figure(2.3 * (columns + 1) + 1.1, 5.3)
    axes = figure.add_gridspec(2, columns + 1)
    low, high = float(variance.min()), float(np.quantile(variance, 0.995))
    # Most filters blur a lot and a few hardly: a square-root scale shows differences among both.
    scale = PowerNorm(0.5, vmin=low, vmax=max(high, low + 1e-6))
    correlations = detail_correlation(photo, variance)

    def show(position, image, title, **options):
        ax = figure.add_subplot(position)
        ax.set_title(title, fontsize=9)
        ax.set_xticks([])
        ax.set_yticks([])
        return ax, ax.imshow(image, **options)

    show(axes[0, 0], np.clip(photo, 0, 1), "input")
    maps = {"cmap": "viridis", "interpolation": "nearest", "norm": scale}
    _, picture = show(axes[1, 0], variance.mean(-1), "mean over groups", **maps)
    shown = []
    for group in range(groups):
        place = axes[group // columns, 1 + group % columns]
        title = f"group {group + 1}   ρ = {correlations[group]:+.2f}"
        shown.append(show(place, variance[..., group], title, **maps)[0])
    bar = figure.colorbar(picture, ax=shown, shrink=0.9, pad=0.02)
    bar.set_label(
        f"variance of the {taps} taps\n(0: average filter, {1 / taps:.3f}: identity)", fontsize=9
    )
    figure.suptitle(
        f"Filters predicted by {layer}: dark = low variance = more blur\n"
        "ρ: rank correlation with local detail",
        fontsize=11,
    )
    return figure
