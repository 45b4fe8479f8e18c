"""Does a classifier answer the same when the picture moves?

Every function takes `predict`, a function from images (B, h, w, C) to logits (B, classes), and
measures any network. Shifts are drawn per batch, as published, from NumPy's legacy generator, so
that a seed and a batch size name the exact shifts of the original measurements.
"""

from collections.abc import Callable

import numpy as np

from aa_jax.metrics.agreement import Consistency
from aa_jax.metrics.prediction import Predict, batch_slices, predict_each
from aa_jax.metrics.shift import center_crop, check_images, circular_shift, crop

Move = Callable[[np.ndarray, np.ndarray], np.ndarray]


def predict_moved(
    predict: Predict, images: np.ndarray, shifts: np.ndarray, move: Move, *, batch_size: int
) -> np.ndarray:
    """Classes of every image under its batch's shifts.

    Args:
        predict: images -> logits.
        images: (N, H, W, C).
        shifts: (batches, views, 2), one row per batch of `batch_size` images.
        move: (images, shift) -> images as the network sees them; one shape for all shifts.
        batch_size: images per call.

    Returns:
        int64 (views, N).
    """
    slices = batch_slices(len(images), batch_size)
    batches = (
        move(images[rows], shift)
        for rows, views in zip(slices, shifts, strict=True)
        for shift in views
    )
    classes = [row.argmax(-1) for row in predict_each(predict, batches, batch_size=batch_size)]
    views = shifts.shape[1]
    return np.stack([np.concatenate(classes[view::views]) for view in range(views)])


def _measure(
    predict: Predict, images: np.ndarray, shifts: np.ndarray, move: Move, batch_size: int
) -> Consistency:
    """Runs all passes: shifts (passes, batches, views, 2)."""
    predicted = [
        predict_moved(predict, images, rows, move, batch_size=batch_size) for rows in shifts
    ]
    sizes = [rows.stop - rows.start for rows in batch_slices(len(images), batch_size)]
    return Consistency(np.stack(predicted), shifts, np.asarray(sizes))


def _check_counts(**counts: int) -> None:
    """Each named count has a least value: views need two, everything else one."""
    for name, value in counts.items():
        least = 2 if name == "views" else 1
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")


def _number_of_batches(images: np.ndarray, batch_size: int) -> int:
    return len(batch_slices(len(images), batch_size))


def classification_consistency(
    predict: Predict,
    images: np.ndarray,
    *,
    crop_size: int,
    max_offset: int,
    views: int = 2,
    passes: int = 5,
    batch_size: int = 64,
    seed: int = 7,
) -> Consistency:
    """Classification consistency as published (Zhang, ICML 2019; Zou et al., BMVC 2020).

    Per batch (not per image) `views` crop positions (row, column) are drawn uniformly from
    0 .. max_offset - 1 by the legacy NumPy generator; a sample counts when all crops get the same
    class; the mean over batches is weighted by their size, over `passes` passes. ImageNet: images
    of 256, crops of 224, max_offset 32, two views, five passes; Zou et al. seed 7, Zhang's code
    does not seed. The batch size changes which shifts are drawn: state it with a figure.

    Args:
        predict: images (batch_size, crop_size, crop_size, C) -> logits.
        images: (N, H, W, C), H and W at least crop_size + max_offset - 1.
        crop_size: side of what the network sees, in pixels.
        max_offset: exclusive upper bound of the offsets.
        views: crops per sample.
        passes: how often the whole set is measured.
        batch_size: images that share their offsets, and rows per call.
        seed: of the legacy generator.

    Returns:
        The answers; `.percent` is the published figure.

    Raises:
        ValueError: counts out of range, or crops that do not fit.
    """
    images = check_images(images)
    _check_counts(views=views, passes=passes, max_offset=max_offset, crop_size=crop_size)
    least = crop_size + max_offset - 1
    if min(images.shape[1:3]) < least:
        raise ValueError(
            f"images must be at least {least} pixels high and wide for crops of {crop_size} at "
            f"offsets up to {max_offset - 1}, got {images.shape[1]} by {images.shape[2]}"
        )
    shape = (passes, _number_of_batches(images, batch_size), views, 2)
    shifts = np.random.RandomState(seed).randint(0, max_offset, shape)
    return _measure(
        predict, images, shifts, lambda batch, at: crop(batch, at, crop_size), batch_size
    )


def circular_consistency(
    predict: Predict,
    images: np.ndarray,
    *,
    max_shift: int,
    crop_size: int | None = None,
    views: int = 2,
    passes: int = 1,
    batch_size: int = 64,
    seed: int = 0,
) -> Consistency:
    """Consistency under circular shifts: the protocol of APS (Chaman & Dokmanic, CVPR 2021).

    Images are centre-cropped, then rolled by `views` independent pairs of integers, uniform in
    -max_shift .. max_shift - 1, drawn per batch. Nothing enters or leaves the picture, so a
    network with circular padding can be exactly invariant. ImageNet: crops of 224, max_shift 32,
    seed 0, one pass.

    Args:
        predict: images (batch_size, crop_size, crop_size, C) -> logits.
        images: (N, H, W, C).
        max_shift: bound of the rolls in pixels.
        crop_size: side of the centre crop; None takes the images as they are.
        views: rolled copies per sample.
        passes: how often the whole set is measured.
        batch_size: images that share their rolls, and rows per call.
        seed: of the legacy NumPy generator.

    Returns:
        The answers; `.percent` is the figure.

    Raises:
        ValueError: counts out of range, or a crop that does not fit.
    """
    images = check_images(images)
    _check_counts(views=views, passes=passes, max_shift=max_shift)
    if crop_size is not None:
        images = center_crop(images, crop_size)
    shape = (passes, _number_of_batches(images, batch_size), views, 2)
    shifts = np.random.RandomState(seed).randint(-max_shift, max_shift, shape)
    return _measure(predict, images, shifts, circular_shift, batch_size)


def subpixel_consistency(
    predict: Predict,
    images: np.ndarray,
    *,
    crop_size: int,
    max_offset: int,
    passes: int = 1,
    batch_size: int = 64,
    seed: int = 7,
    boundary: str = "mirror",
) -> Consistency:
    """Consistency under shifts of less than a pixel.

    Per batch a whole position is drawn as in `classification_consistency` and a displacement
    uniform in [0, 1) by [0, 1) pixels; the two views are the crop there and the crop displaced by
    it. The displaced one is cut from the whole image interpolated ideally (Fourier phase, see
    `aa_jax.metrics.shift.fractional_shift`), so both hold the same frequencies at the same
    magnitudes and nearly the same content: what disagrees is aliasing, not what entered or left.

    Args:
        predict: images (batch_size, crop_size, crop_size, C) -> logits.
        images: (N, H, W, C), H and W at least crop_size + max_offset.
        crop_size: side of what the network sees, in pixels.
        max_offset: exclusive upper bound of the whole positions.
        passes: how often the whole set is measured.
        batch_size: images that share their position and displacement, and rows per call.
        seed: of the legacy NumPy generator.
        boundary: how the image continues outside, "mirror" or "circular".

    Returns:
        The answers; `.shifts` holds the fractional positions.

    Raises:
        ValueError: counts out of range, or crops that do not fit.
    """
    images = check_images(images)
    _check_counts(passes=passes, max_offset=max_offset, crop_size=crop_size)
    if min(images.shape[1:3]) < crop_size + max_offset:
        raise ValueError(
            f"images must be at least {crop_size + max_offset} pixels high and wide for crops of "
            f"{crop_size} at positions below {max_offset}, got {images.shape[1]} by "
            f"{images.shape[2]}"
        )
    random = np.random.RandomState(seed)
    shape = (passes, _number_of_batches(images, batch_size), 1, 2)
    whole = random.randint(0, max_offset, shape)
    shifts = np.concatenate([whole, whole + random.random_sample(shape)], axis=2)

    def move(batch, position):
        return crop(batch, position, crop_size, boundary=boundary)

    return _measure(predict, images, shifts, move, batch_size)
