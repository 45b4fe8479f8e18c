"""Draws the picture in the README: a photograph reduced without and with a low-pass filter.

Run from the checkout: `python scripts/draw_aliasing.py experiments/aliasing.png`
"""

import sys

import matplotlib
import numpy as np
from jax import numpy as jnp
from skimage import data

from aa_jax import filters
from aa_jax.ops import resample

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

FACTOR = 8
SHIFTS = (0, 2, 4, 6)
SIDE = 264  # of the crop, in pixels of the photograph
NYQUIST = 0.5 / FACTOR  # of the reduced picture, in cycles per pixel of the photograph


def reduce(picture: np.ndarray, taps: np.ndarray | None, shift: int) -> np.ndarray:
    """Moves the picture right by whole pixels, then keeps every eighth row and column."""
    moved = jnp.asarray(np.roll(picture, shift, axis=1), jnp.float32)[..., None]
    reduced = resample.filter2d(moved, taps, mode="reflect")[::FACTOR, ::FACTOR, 0]
    start, size = 96 // FACTOR, SIDE // FACTOR
    return np.asarray(reduced[:size, start : start + size])


def draw(target: str) -> None:
    photo = data.brick() / 255.0
    photo = (photo - photo.min()) / np.ptp(photo)
    taps = filters.firwin_sinc(49, cutoff=0.9 * NYQUIST, width=1.2 * NYQUIST, rate=1.0)
    figure, axes = plt.subplots(2, 1 + len(SHIFTS), figsize=(11, 4.9), layout="constrained")
    for row, filter_taps in enumerate((None, taps)):
        for column, shift in enumerate(SHIFTS):
            axis = axes[row, column + 1]
            axis.imshow(reduce(photo, filter_taps, shift), cmap="gray", vmin=0, vmax=0.75)
            axis.set_title(f"moved by {shift} pixels" if row == 0 else "", fontsize=10)
    axes[0, 1].set_ylabel(f"every {FACTOR}th pixel", fontsize=11)
    axes[1, 1].set_ylabel(f"low-pass, then every {FACTOR}th", fontsize=11)
    axes[0, 0].imshow(photo[:SIDE, 96 : 96 + SIDE], cmap="gray", vmin=0, vmax=0.75)
    axes[0, 0].set_title("photograph", fontsize=10)
    for axis in (axes[0, 0], *axes[:, 1:].flat):
        axis.set(xticks=[], yticks=[])
    draw_response(axes[1, 0], taps)
    figure.savefig(target, dpi=110)


def draw_response(axis, taps: np.ndarray) -> None:
    """Plots the filter's response over the band that would fold back."""
    frequencies = np.linspace(0, 0.25, 501)
    response = np.abs(filters.frequency_response(taps, frequencies))
    axis.plot(frequencies, np.ones_like(frequencies), color="tab:red", label="no filter")
    axis.plot(frequencies, response, color="tab:blue", label="low-pass")
    axis.axvspan(NYQUIST, 0.25, color="tab:red", alpha=0.12, lw=0)
    axis.annotate("aliases", (0.155, 0.5), ha="center", color="tab:red", fontsize=10)
    axis.set(xlim=(0, 0.25), ylim=(0, 1.1), xlabel="cycles per pixel", ylabel="response")
    axis.set_box_aspect(1)
    axis.legend(loc="upper right", bbox_to_anchor=(1, 0.92), fontsize=8)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    draw(sys.argv[1])
