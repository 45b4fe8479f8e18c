"""Average power spectra: heat maps, and cuts through them."""

import pathlib
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from aa_jax.figures.style import new_figure, save, series_style, tidy
from aa_jax.metrics.spectrum import ANGLES, Spectrum

HEAT_RANGE = (-40.0, 20.0)  # dB, and below for cuts: as published
SLICE_RANGE = (-50.0, 30.0)
CONTOURS = np.arange(HEAT_RANGE[0], HEAT_RANGE[1] + 1, 10)
CONTOUR_STYLE = {"colors": "white", "linewidths": 0.7, "linestyles": "solid", "alpha": 0.6}


def draw_spectra(
    spectra: Mapping[str, Spectrum],
    path: str | pathlib.Path | None = None,
    *,
    smoothing: float = 1.25,
    title: str = "Average power spectrum",
) -> Figure:
    """Draws a heat map for each spectrum, and their cuts at 0 and 45 degrees in common panels.

    A round map without extra power at the corners or on the axes is what real pictures have; what
    stands out in the generated ones comes from the network's grid.

    Args:
        spectra: by name, such as "real" and "generated"; the first is drawn dashed in the cuts.
        path: of a file to write; None: none.
        smoothing: standard deviation of a Gaussian on the heat maps, in their samples.
        title: above the panels.

    Returns:
        The figure.

    Raises:
        ValueError: there are no spectra.
    """
    if not spectra:
        raise ValueError("spectra must hold at least one spectrum, got none")
    figure = new_figure(max(8.0, 3.3 * len(spectra) + 0.8), 7.0)
    above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    axes = above.subplots(1, len(spectra), squeeze=False, sharey=True)[0]
    for axis, (name, spectrum) in zip(axes, spectra.items(), strict=True):
        image = _draw_heat_map(axis, name, spectrum, smoothing)
    axes[0].set_ylabel("cycles per pixel")
    above.colorbar(image, ax=list(axes), label="dB", shrink=0.9)
    cuts = below.subplots(1, len(ANGLES), sharey=True)
    for axis, degrees in zip(cuts, ANGLES, strict=True):
        _draw_cuts(axis, degrees, spectra)
    cuts[0].set_ylabel("power (dB)")
    cuts[-1].legend(frameon=False)
    figure.suptitle(title, fontsize=12)
    return save(figure, path)


def _draw_heat_map(axis, name: str, spectrum: Spectrum, smoothing: float):
    decibels = ndimage.gaussian_filter(spectrum.decibels, smoothing, mode="wrap")
    half = 0.5 / len(decibels)
    extent = (-0.5 - half, 0.5 - half, 0.5 - half, -0.5 - half)
    image = axis.imshow(
        decibels, cmap="viridis", vmin=HEAT_RANGE[0], vmax=HEAT_RANGE[1], extent=extent
    )
    grid = spectrum.frequencies
    axis.contour(grid, grid, decibels, levels=CONTOURS, **CONTOUR_STYLE)
    axis.set_title(f"{name} ({spectrum.images} images)", fontsize=11)
    axis.set_xlabel("cycles per pixel")
    axis.set_xticks((-0.5, 0, 0.5))
    axis.set_yticks((-0.5, 0, 0.5))
    return image


def _draw_cuts(axis, degrees: int, spectra: Mapping[str, Spectrum]) -> None:
    for index, (name, spectrum) in enumerate(spectra.items()):
        frequency, decibels = spectrum.slice(degrees)
        style = series_style(index) | {"marker": ""}
        axis.plot(
            frequency,
            decibels,
            **style,
            label=name,
            linewidth=1.6,
            linestyle="--" if index == 0 else "-",
        )
    tidy(axis)
    axis.set_title(f"cut at {degrees}°", fontsize=11)
    axis.set_xlabel("cycles per pixel")
    axis.set_xlim(0, 0.5 * (np.sqrt(2) if degrees else 1))
    axis.set_ylim(*SLICE_RANGE)
