"""Which layer loses equivariance? Every recorded map of a network, before and after a motion.

A picture is moved; a layer without aliasing moves its maps along. `audit_network` moves what a
network is given, `audit_generator` tells a generator to move what it draws.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.metrics.audit_result import AliasAudit
from aa_jax.metrics.motion import Motion, Rotation, Translation, sums_of_squares
from aa_jax.metrics.prediction import batch_slices
from aa_jax.metrics.shift import check_images

Record = Callable[[str, jax.Array], None]

MOTIONS = (Translation(1, 1), Translation(0.5, 0.5), Rotation(15))
OUTPUT = "output"


@dataclasses.dataclass(frozen=True)
class _Layer:
    """A map that is audited: where it was recorded, its shape, and its place in the picture."""

    name: str
    shape: tuple[int, int, int]
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


def audit_network(
    apply: Callable[[jax.Array, Record], Any],
    images: np.ndarray,
    *,
    crop_size: int,
    motions: Sequence[Motion] = MOTIONS,
    layers: Sequence[str] | None = None,
    rates: Mapping[str, float] | None = None,
    centers: Mapping[str, tuple[float, float]] | None = None,
    border: float | None = None,
    batch_size: int = 16,
) -> AliasAudit:
    """Compares a network's maps of moved pictures with its moved maps of pictures, layer by layer.

    The network sees the central `crop_size` pixels of larger images, before and after they are
    moved, so that real content enters at the borders. A shift of t pixels should move a map of
    rate r (samples per pixel) by t * r samples. Maps are moved like pictures: by whole samples
    exactly, by fractions with a windowed sinc, by angles with a band-limited resampler; only
    samples are compared whose whole footprint lies in the map. These resamplers bound the figure:
    for maps with little power near their Nyquist frequency at some 80 dB for fractions and 55 dB
    for angles. See `AliasAudit` for its definition.

    Padding makes convolutions see another border after the motion: an error that is no aliasing
    and grows inwards by the receptive field. So `border` leaves the outer half of the picture's
    width out; take large views to measure deep layers, since convolutional layers do not mind.

    Args:
        apply: (images (B, crop_size, crop_size, C), record) -> anything; calls record(name, array)
            for what is to be audited: all maps (B, h, w, c) with more than one row and column.
            Compiled with `jax.jit`. A result of that shape is audited as "output".
        images: (N, H, W, C), as the network takes them but larger than `crop_size` by an even
            number of pixels, as many as the motions need.
        crop_size: side of what the network sees, in pixels.
        motions: of the picture, in its pixels.
        layers: names to audit; None: all.
        rates: samples per pixel of layers by name. The default, size / crop_size, is right for
            layers that keep or divide the size; others must be given.
        centers: for rotations, where the picture's centre lies in layers by name, (rows, columns)
            in samples from the middle of the map; default (0, 0). A convolution of odd size with
            stride s and equal padding moves it by (s - 1) / (2 s).
        border: pixels on each side of the picture that are not compared, in any layer; None: a
            quarter of `crop_size`.
        batch_size: images per call.

    Returns:
        The audit; `.table()` prints it and `figures.draw_audit` draws it.

    Raises:
        ValueError: images too small for the motions, an unknown or ambiguous layer, a rate that
            must be given.

    Example:
        model = small_resnet(10, antialias="blur", rngs=nnx.Rngs(0))
        audit = audit_network(
            lambda x, record: model(x, record=record), images, crop_size=64
        )
        print(audit.table())
    """
    images = check_images(images)
    margins = _check_margins(images, crop_size, motions)
    if border is None:
        border = crop_size / 4
    if not 0 <= border < crop_size / 2:
        raise ValueError(f"border must lie between 0 and half of crop_size, got {border!r}")

    def view(pictures):
        return pictures[:, margins[0] : margins[0] + crop_size, margins[1] :][:, :, :crop_size]

    found, maps_of = _recorded(apply, view(images[:1]))

    def default_rate(name, size):
        ratio = max(size / crop_size, crop_size / size)
        if ratio != round(ratio):
            raise ValueError(
                f"layer {name!r} has {size} samples for {crop_size} pixels, which is no whole "
                f"stride: give its samples per pixel, rates={{{name!r}: ...}}, or leave it out by "
                "layers=..."
            )
        return size / crop_size

    extent = (crop_size - 2 * border,) * 2
    chosen = _choose(found, layers, rates, centers, default_rate, extent)
    still_and_moved = (
        [(view(pictures), *(view(motion.move(pictures)) for motion in motions)), count]
        for pictures, count in _batches(jnp.asarray(images), batch_size)
    )
    maps = (([maps_of(pictures) for pictures in views], count) for views, count in still_and_moved)
    return _audit(maps, chosen, tuple(motions))


def audit_generator(
    apply: Callable[[Any, jax.Array, Record], jax.Array],
    latents: Any,
    *,
    motions: Sequence[Motion] = MOTIONS,
    layers: Sequence[str] | None = None,
    rates: Mapping[str, float] | None = None,
    centers: Mapping[str, tuple[float, float]] | None = None,
    batch_size: int = 4,
) -> AliasAudit:
    """Tells a generator to move its picture and compares every map with the unmoved map, moved.

    The same numbers as `audit_network`. Compared is what lies inside of the picture: margins that
    layers keep around it are there to take up the errors of borders.

    Args:
        apply: (latents, transform (3, 3), record) -> pictures (B, H, W, C), audited as "output".
            The transform is the inverse of the motion; it acts on coordinates x right, y down in
            units of the picture's shorter side. Compiled with `jax.jit`.
        latents: any pytree of arrays with N rows.
        motions: of the picture, in its pixels.
        layers: names to audit; None: all.
        rates: samples per unit length (the picture's shorter side) of layers by name. Layers
            without one must have no margin: their shorter side is taken as one unit.
        centers: as of `audit_network`.
        batch_size: pictures per call.

    Returns:
        The audit.

    Raises:
        ValueError: an unknown or ambiguous layer, or `apply` returns no pictures.
    """
    identity = np.eye(3, dtype=np.float32)
    first = jax.tree.map(lambda leaf: jnp.asarray(leaf)[:1], latents)
    found, maps_of = _recorded(apply, first, identity)
    if OUTPUT not in found:
        raise ValueError("apply must return pictures (B, height, width, channels)")
    height, width = found[OUTPUT][:2]
    resolution = min(height, width)
    rates = {name: rate / resolution for name, rate in (rates or {}).items()}

    def default_rate(name, size):
        return size / resolution

    chosen = _choose(found, layers, rates, centers, default_rate, (height, width))
    transforms = [identity, *(np.float32(motion.transform(resolution)) for motion in motions)]
    maps = (
        ([maps_of(batch, transform) for transform in transforms], count)
        for batch, count in _batches(latents, batch_size)
    )
    return _audit(maps, chosen, tuple(motions))


def _check_margins(images, crop_size: int, motions: Sequence[Motion]) -> tuple[int, int]:
    """Rows above and columns beside the view, or ValueError where the motions show more."""
    sizes = images.shape[1:3]
    if not 1 < crop_size <= min(sizes) or any((size - crop_size) % 2 for size in sizes):
        raise ValueError(
            f"images must be larger than crop_size by an even number of pixels, got {sizes[0]} by "
            f"{sizes[1]} for crop_size={crop_size}"
        )
    for motion in motions:
        needed = motion.margin(crop_size, crop_size)
        if any(crop_size + 2 * m > size for m, size in zip(needed, sizes, strict=True)):
            least = [crop_size + 2 * max(0, int(np.ceil(m))) for m in needed]
            raise ValueError(
                f"images of {sizes[0]} by {sizes[1]} pixels are too small for {motion}: views of "
                f"{crop_size} need at least {least[0]} by {least[1]}"
            )
    return (sizes[0] - crop_size) // 2, (sizes[1] - crop_size) // 2


def _recorded(apply, *inputs) -> tuple[dict[str, tuple[int, int, int]], Callable]:
    """Shapes of a network's maps in their order, and a compiled function that returns the maps."""

    def maps_of(*inputs):
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

    def ordered(*inputs):
        maps = maps_of(*inputs)
        order[:] = maps
        return maps

    shapes = jax.eval_shape(ordered, *inputs)  # a tree's dictionaries come back sorted by name
    return {name: shapes[name].shape[1:] for name in order}, jax.jit(maps_of)


def _is_map(array) -> bool:
    shape = np.shape(array)
    return len(shape) == 4 and min(shape[1:3]) > 1 and jnp.issubdtype(array.dtype, jnp.floating)


def _choose(found, names, rates, centers, default_rate, extent) -> list[_Layer]:
    """The layers to audit."""
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
        shape = found[name]
        rate = rates[name] if name in rates else default_rate(name, min(shape[:2]))
        if not rate > 0:
            raise ValueError(f"rates must be positive, got {rate!r} for layer {name!r}")
        chosen.append(_Layer(name, shape, float(rate), extent, tuple(centers.get(name, (0, 0)))))
    return chosen


def _batches(inputs, batch_size: int):
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


def _audit(maps, layers: list[_Layer], motions: tuple[Motion, ...]) -> AliasAudit:
    """Sums over all batches of ([maps by name, unmoved and for every motion], rows that count)."""
    errors, powers = [], []
    regions = [layer.region() for layer in layers]
    for (still, *moved), count in maps:
        sums = [
            [
                _sums(motion, still[layer.name], after[layer.name], layer, region)
                for motion, after in zip(motions, moved, strict=True)
            ]
            for layer, region in zip(layers, regions, strict=True)
        ]
        for kind, parts in (("error", errors), ("power", powers)):
            rows = [
                [np.asarray(cell[kind], np.float64).sum(1)[:count] for cell in line]
                for line in sums
            ]
            parts.append(np.array(rows))
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


def _sums(motion: Motion, still, moved, layer: _Layer, region):
    dtype = jnp.promote_types(still.dtype, jnp.float32)
    reference, moved, mask = motion.compare(
        still.astype(dtype), moved.astype(dtype), layer.rate, layer.center
    )
    return sums_of_squares(reference, moved, mask & region, deviations=True)
