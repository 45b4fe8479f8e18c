"""Which layer loses equivariance? Every recorded map of a network, before and after a motion.

A picture is moved; a layer without aliasing moves its maps along. `audit_network` moves what a
network is given, `audit_generator` tells a generator to move what it draws.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.metrics.audit_maps import OUTPUT, Record, batches, choose, compare_all, recorded
from aa_jax.metrics.audit_result import AliasAudit
from aa_jax.metrics.motion import Motion, Rotation, Translation
from aa_jax.metrics.shift import check_images

MOTIONS = (Translation(1, 1), Translation(0.5, 0.5), Rotation(15))


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
            Compiled with `jax.jit`; bind the weights of a large network with
            `jax.tree_util.Partial`. A result of that shape is audited as "output".
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

    found, maps_of = recorded(apply, view(images[:1]))
    chosen = choose(
        found,
        layers,
        rates=rates,
        centers=centers,
        pixels=crop_size,
        extent=(crop_size - 2 * border,) * 2,
    )

    def views(pictures):
        yield view(pictures)
        yield from (view(motion.move(pictures)) for motion in motions)

    maps = (
        (map(maps_of, views(pictures)), count)
        for pictures, count in batches(jnp.asarray(images), batch_size)
    )
    return compare_all(maps, chosen, tuple(motions))


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
            units of the picture's shorter side. Compiled as in `audit_network`.
        latents: any pytree of arrays with N rows.
        motions: of the picture, in its pixels.
        layers: names to audit; None: all.
        rates: samples per unit length (the picture's shorter side) of layers by name. The default,
            their own shorter side, is right for layers without a margin; others must be given.
        centers: as of `audit_network`.
        batch_size: pictures per call.

    Returns:
        The audit.

    Raises:
        ValueError: an unknown or ambiguous layer, a rate that must be given, or `apply` returns no
            pictures.
    """
    identity = np.eye(3, dtype=np.float32)
    first = jax.tree.map(lambda leaf: jnp.asarray(leaf)[:1], latents)
    found, maps_of = recorded(apply, first, identity)
    if OUTPUT not in found:
        raise ValueError("apply must return pictures (B, height, width, channels)")
    sides = found[OUTPUT][:2]
    resolution = min(sides)
    chosen = choose(
        found,
        layers,
        rates={name: rate / resolution for name, rate in (rates or {}).items()},
        centers=centers,
        pixels=resolution,
        extent=sides,
    )
    transforms = [identity, *(np.float32(motion.transform(resolution)) for motion in motions)]
    maps = (
        ((maps_of(batch, transform) for transform in transforms), count)
        for batch, count in batches(latents, batch_size)
    )
    return compare_all(maps, chosen, tuple(motions))


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
