"""The maps of an audit: recorded, placed in the picture, and compared with what they should be."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.metrics.audit_result import AliasAudit
from aa_jax.metrics.bound import as_pytree
from aa_jax.metrics.motion import Motion, sums_of_squares
from aa_jax.metrics.prediction import batch_slices

Record = Callable[[str, jax.Array], None]
Shape = tuple[int, int, int]

OUTPUT = "output"


@dataclasses.dataclass(frozen=True)
class Layer:
    """A map that is audited: where it was recorded, its shape, and its place in the picture."""

    name: str
    shape: Shape
    rate: float  # samples per pixel of the picture
    extent: tuple[float, float]  # of what is compared, in pixels of the picture
    center: tuple[float, float]  # of the picture, in samples from the middle of the map

    def region(self) -> np.ndarray:
        """Samples (h, w) whose place lies in the extent."""
        rows, columns = (
            np.abs(np.arange(size) - (size - 1) / 2 - center) <= self.rate * extent / 2
            for size, extent, center in zip(self.shape[:2], self.extent, self.center, strict=True)
        )
        return rows[:, None] & columns


def recorded(apply, *inputs) -> tuple[dict[str, Shape], Callable]:
    """Shapes of a network's maps in their order, and a compiled function that returns the maps."""

    def maps_of(apply, *inputs):
        maps = {}

        def record(name, array):
            if name in maps:
                raise ValueError(f"apply recorded {name!r} twice: names must be unique")
            maps[name] = array

        result = apply(*inputs, record)
        if hasattr(result, "shape"):
            record(OUTPUT, result)
        return {name: array for name, array in maps.items() if _is_map(array)}

    order = []

    def ordered(apply, *inputs):
        maps = maps_of(apply, *inputs)
        order[:] = maps
        return maps

    apply = as_pytree(apply)
    # A tree's dictionaries come back sorted by name.
    shapes = jax.eval_shape(ordered, apply, *inputs)
    compiled = functools.partial(jax.jit(maps_of), apply)
    return {name: shapes[name].shape[1:] for name in order}, compiled


def _is_map(array) -> bool:
    shape = np.shape(array)
    return len(shape) == 4 and min(shape[1:3]) > 1 and jnp.issubdtype(array.dtype, jnp.floating)


def choose(
    found: Mapping[str, Shape],
    names: Sequence[str] | None,
    *,
    rates: Mapping[str, float] | None,
    centers: Mapping[str, tuple[float, float]] | None,
    pixels: int,
    extent: tuple[float, float],
) -> list[Layer]:
    """The layers to audit, with their rates in samples per pixel.

    Args:
        found: shapes of all maps by name.
        names: of those to audit; None: all.
        rates: samples per pixel, where they are known.
        centers: of the picture in maps, where it is not in the middle.
        pixels: along the shorter side of the picture that all maps without a rate show.
        extent: of what is compared, in pixels.

    Raises:
        ValueError: unknown names, or a rate that must be given.
    """
    rates, centers = rates or {}, centers or {}
    names = list(found) if names is None else list(names)
    for argument, given in (("layers", names), ("rates", rates), ("centers", centers)):
        unknown = [name for name in given if name not in found]
        if unknown or not found:
            raise ValueError(
                f"{argument} must name maps that apply records, {', '.join(found) or 'none'}, got "
                f"{', '.join(unknown) or 'nothing'}"
            )
    chosen = []
    for name in names:
        rate = rates[name] if name in rates else _default_rate(name, min(found[name][:2]), pixels)
        if not rate > 0:
            raise ValueError(f"rates must be positive, got {rate!r} for layer {name!r}")
        center = tuple(centers.get(name, (0.0, 0.0)))
        chosen.append(Layer(name, found[name], float(rate), extent, center))
    return chosen


def _default_rate(name: str, size: int, pixels: int) -> float:
    if max(size, pixels) % min(size, pixels):
        raise ValueError(
            f"layer {name!r} has {size} samples for {pixels} pixels, which is no whole stride: "
            f"give its sampling rate, rates={{{name!r}: ...}}, or leave it out by layers=..."
        )
    return size / pixels


def batches(inputs: Any, batch_size: int) -> Iterator[tuple[Any, int]]:
    """Rows of a pytree, in batches of one size; the last is filled up: (batch, rows that count)."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    count = len(leaves[0]) if leaves else 0
    if not count or any(leaf.ndim == 0 or len(leaf) != count for leaf in leaves):
        raise ValueError("latents must be arrays with the same number of rows, at least one")
    for rows in batch_slices(count, batch_size):
        index = np.arange(rows.start, rows.start + min(batch_size, count)) % count
        yield (
            jax.tree.map(lambda leaf, at=index: jnp.asarray(leaf)[at], inputs),
            len(range(count)[rows]),
        )


def compare_all(
    batches: Iterable[tuple[Iterator[Mapping[str, jax.Array]], int]],
    layers: list[Layer],
    motions: tuple[Motion, ...],
) -> AliasAudit:
    """Compares the maps of all batches.

    Args:
        batches: pairs of an iterator over maps by name (unmoved, then for every motion) and the
            number of rows that count. Maps are asked for one motion after the other, so that no
            more than two sets of them are held at a time.
        layers: to compare.
        motions: what was done to the picture.

    Returns:
        The audit.

    Raises:
        ValueError: maps are not finite.
    """
    errors, powers = [], []
    regions = [layer.region() for layer in layers]
    for maps, count in batches:
        still = next(maps)
        sums = [
            [
                _sums(motion, still[layer.name], moved[layer.name], layer, region)
                for layer, region in zip(layers, regions, strict=True)
            ]
            for motion, moved in zip(motions, maps, strict=True)
        ]
        errors.append(_on_host(sums, "error", count))
        powers.append(_on_host(sums, "power", count))
    errors, powers = np.concatenate(errors, -1), np.concatenate(powers, -1)
    for layer, row in zip(layers, errors, strict=True):
        if not np.isfinite(row).all():
            raise ValueError(f"layer {layer.name!r} has values that are not finite")
    return AliasAudit(
        tuple(layer.name for layer in layers),
        motions,
        tuple(layer.shape for layer in layers),
        tuple(layer.rate for layer in layers),
        errors,
        powers,
    )


def _sums(motion: Motion, still, moved, layer: Layer, region):
    dtype = jnp.promote_types(still.dtype, jnp.float32)
    reference, moved, mask = motion.compare(
        still.astype(dtype), moved.astype(dtype), layer.rate, layer.center
    )
    return sums_of_squares(reference, moved, mask & region, deviations=True)


def _on_host(sums, kind: str, count: int) -> np.ndarray:
    """(layers, motions, count) in float64, of sums (motion by layer) over rows on the device."""
    values = [[np.asarray(cell[kind], np.float64).sum(1)[:count] for cell in line] for line in sums]
    return np.array(values).swapaxes(0, 1)
