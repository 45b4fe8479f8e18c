"""Do channels that share a filter resemble each other? (Zou et al., BMVC 2020.)"""

import numpy as np
from matplotlib.figure import Figure

from experiments.classification.figures.style import RIGHT, WRONG, new_figure


def channel_correlation(features: np.ndarray) -> np.ndarray:
    """Pearson correlation between channels over all images and positions.

    Args:
        features: (N, H, W, C).

    Returns:
        (C, C); rows and columns of channels that never change are NaN.
    """
    flat = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    flat = flat - flat.mean(0)
    deviation = np.sqrt((flat**2).mean(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (flat.T @ flat / len(flat)) / np.outer(deviation, deviation)


def within_and_between(correlation: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of pairs of different channels inside one group, and across groups.

    Args:
        correlation: (C, C).
        groups: number of contiguous groups; divides C.

    Returns:
        Two 1-D arrays, each pair once, without NaN.

    Raises:
        ValueError: `groups` does not divide the channels.
    """
    channels = len(correlation)
    if groups < 1 or channels % groups:
        raise ValueError(f"groups must divide the {channels} channels, got {groups!r}")
    group = np.arange(channels) // (channels // groups)
    rows, columns = np.triu_indices(channels, 1)
    values = correlation[rows, columns]
    same = group[rows] == group[columns]
    valid = ~np.isnan(values)
    return values[same & valid], values[~same & valid]


def draw(features: np.ndarray, groups: int, *, layer: str) -> Figure:
    """Draws the correlation matrix, every pair, and one image's maps by group.

    Args:
        features: (N, H, W, C), what an adaptive layer put out.
        groups: its filter groups.
        layer: its name.

    Returns:
        The figure.
    """
    correlation = channel_correlation(features)
    figure = new_figure(11.2, 7.0)
    upper, lower = figure.subfigures(2, 1, height_ratios=[1.25, 1])
    left, right = upper.subplots(1, 2, width_ratios=[1, 1.25])
    _draw_matrix(upper, left, correlation, groups)
    _draw_pairs(right, correlation, groups)
    _draw_maps(lower, features[0], groups)
    figure.suptitle(f"Channels after {layer}, by filter group", fontsize=12)
    return figure


def _draw_matrix(figure, ax, correlation: np.ndarray, groups: int) -> None:
    channels = len(correlation)
    picture = ax.imshow(correlation, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
    size = channels // groups
    for edge in range(size, channels, size):
        ax.axhline(edge - 0.5, color="black", linewidth=0.6)
        ax.axvline(edge - 0.5, color="black", linewidth=0.6)
    middles = np.arange(groups) * size + (size - 1) / 2
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(middles, [str(group + 1) for group in range(groups)])
        axis.set_tick_params(length=0)
    ax.set_xlabel("channel, by group")
    ax.set_ylabel("channel, by group")
    figure.colorbar(picture, ax=ax, shrink=0.9).set_label("correlation")


def _draw_pairs(ax, correlation: np.ndarray, groups: int) -> None:
    """A dot per pair of channels, spread vertically by chance, and the mean of each kind."""
    within, between = within_and_between(correlation, groups)
    spread = np.random.default_rng(0)
    kinds = ((1, within, "within\na group", RIGHT), (0, between, "across\ngroups", WRONG))
    for height, values, _, color in kinds:
        if not len(values):
            continue
        place = height + spread.uniform(-0.2, 0.2, len(values))
        ax.plot(values, place, "o", color=color, markersize=4, alpha=0.45, markeredgewidth=0)
        mean = values.mean()
        ax.plot([mean, mean], [height - 0.27, height + 0.27], color="black", linewidth=2)
        text = f"mean {mean:+.3f} of {len(values)} pairs"
        ax.text(mean, height + 0.3, text, ha="center", va="bottom", fontsize=9)
    ax.set_xlim(-1.05, 1.05)
    ax.set_ylim(-0.4, 1.6)
    ax.set_yticks([kind[0] for kind in kinds], [kind[2] for kind in kinds])
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x", color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel("correlation of two channels over images and positions")
    ax.spines[["top", "right", "left"]].set_visible(False)


def _draw_maps(figure, features: np.ndarray, groups: int) -> None:
    """One image's channel maps: a column per group, a row per channel of it (at most four)."""
    size = features.shape[-1] // groups
    rows = min(size, 4)
    axes = figure.subplots(rows, groups, squeeze=False)
    for group in range(groups):
        for row in range(rows):
            channel = features[..., group * size + row]
            ax = axes[row, group]
            ax.imshow(channel, cmap="gray", interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
        axes[0, group].set_title(f"group {group + 1}", fontsize=9)
    figure.supylabel("channel maps of one image", fontsize=9)
