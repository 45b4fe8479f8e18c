"""Fitted mixtures on disk: a small `.npz`, of which nothing is executed."""

import os
import zipfile

import numpy as np
from jax import numpy as jnp

from aa_jax.data.array_file import ArrayFileError, read_arrays
from aa_jax.nn import GaussianMixture
from aa_jax.training.whole_file import replacing

BYTES_PER_POINT = 2 * (2 + 2 + 1 + 3)
"""Eight numbers of 16 bits: position, covariance and an RGB value."""

_LATTICE = 65535


def save_mixture(path: str | os.PathLike, model: GaussianMixture, size: tuple[int, int]) -> None:
    """Writes a mixture in 16 bits a number: positions on a lattice over the image, the rest half.

    Args:
      path: the file to write; it appears whole or not at all.
      model: what to write.
      size: (height, width) of the image that it shows, which positions are relative to.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in _packed(model, size).items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_mixture(path: str | os.PathLike) -> tuple[GaussianMixture, tuple[int, int]]:
    """Reads a mixture and the (height, width) of its image.

    Raises:
      ArrayFileError: the file is damaged, or of another layout.
      OSError: there is no such file, or it can't be read.
    """
    return _unpacked(read_arrays(path), path)


def rounded(model: GaussianMixture, size: tuple[int, int]) -> GaussianMixture:
    """The mixture as it comes back from a file."""
    return _unpacked(_packed(model, size), "")[0]


def _packed(model: GaussianMixture, size) -> dict[str, np.ndarray]:
    points = np.asarray(model.points[...], np.float64)
    # A point may leave the image by half its side.
    share = (points / _sides(size) + 0.5) / 2
    return {
        "points": np.round(np.clip(share, 0, 1) * _LATTICE).astype("<u2"),
        "log_scales": np.asarray(model.log_scales[...], "<f2"),
        "shear": np.asarray(model.shear[...], "<f2"),
        "values": np.asarray(model.values[...], "<f2"),
        "size": np.asarray(size, "<i4"),
        "rendering": np.asarray([model.normalize, model.support, model.least_width], "<f4"),
    }


def _sides(size) -> np.ndarray:
    return np.asarray([size[1], size[0]], np.float64)


_KINDS = {
    "points": ("u", 2),
    "log_scales": ("f", 2),
    "shear": ("f", 1),
    "values": ("f", 2),
    "size": ("i", 1),
    "rendering": ("f", 1),
}


def _unpacked(arrays: dict[str, np.ndarray], path) -> tuple[GaussianMixture, tuple[int, int]]:
    for name, (kind, axes) in _KINDS.items():
        array = arrays.get(name)
        if array is None or array.dtype.kind != kind or array.ndim != axes:
            found = "none" if array is None else f"{array.dtype} {array.shape}"
            raise ArrayFileError(
                f"{path}: not a mixture: {name} must be an array of kind {kind!r} with {axes} "
                f"axes, got {found}."
            )
    number = len(arrays["points"])
    shapes = {"log_scales": (number, 2), "shear": (number,), "size": (2,), "rendering": (3,)}
    for name, shape in (shapes | {"points": (number, 2)}).items():
        if arrays[name].shape != shape:
            raise ArrayFileError(f"{path}: {name} must be {shape}, got {arrays[name].shape}.")
    size = tuple(int(n) for n in arrays["size"])
    if min(size) < 1 or max(size) > 32768:
        raise ArrayFileError(f"{path}: size must lie from 1 to 32768, got {size}.")
    if arrays["values"].shape[1] not in (1, 3):
        raise ArrayFileError(
            f"{path}: values must be (N, 1) or (N, 3), got {arrays['values'].shape}."
        )
    finite = all(np.isfinite(array).all() for array in arrays.values())
    if not finite or not number or len(arrays["values"]) != number:
        raise ArrayFileError(f"{path}: values must be finite, one row for each point.")
    normalize, support, least_width = (float(v) for v in arrays["rendering"])
    if not (0 < support <= 20 and 0 <= least_width <= 100):
        raise ArrayFileError(f"{path}: rendering is out of range: {arrays['rendering']}.")
    points = (arrays["points"] / _LATTICE * 2 - 0.5) * _sides(size)
    model = GaussianMixture(
        points,
        arrays["values"].astype(np.float32),
        least_width + 1,
        normalize=bool(normalize),
        support=support,
        least_width=least_width,
    )
    model.log_scales[...] = jnp.asarray(arrays["log_scales"], jnp.float32)
    model.shear[...] = jnp.asarray(arrays["shear"], jnp.float32)
    return model, size
