"""Running a network over many images in batches of one shape, so that it compiles once."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]
"""images (B, h, w, C) -> logits (B, classes); NumPy or JAX arrays."""


def check_batch_size(batch_size: int) -> None:
    """Raises ValueError unless `batch_size` is a positive integer."""
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size!r}")


def batch_slices(count: int, batch_size: int) -> list[slice]:
    """Consecutive slices of at most `batch_size` that cover range(count).

    Raises:
        ValueError: `batch_size` is not a positive integer.
    """
    check_batch_size(batch_size)
    return [slice(i, min(i + batch_size, count)) for i in range(0, count, batch_size)]


def pad_rows(images: np.ndarray, count: int) -> np.ndarray:
    """Appends zero images until there are `count`."""
    missing = count - len(images)
    if missing <= 0:
        return images
    return np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])


def predict_each(
    predict: Predict, batches: Iterable[np.ndarray], *, batch_size: int
) -> Iterator[np.ndarray]:
    """Yields each batch's logits as NumPy; short batches are padded with zero images.

    The next batch is handed to the network before the last result is fetched, so that preparing
    images and an accelerator's work overlap.

    Raises:
        ValueError: the network returns another number of rows, or NaN (whose arg-max would be
            the same everywhere and pass for perfect consistency).
    """
    waiting = None
    for images in batches:
        logits = predict(pad_rows(images, batch_size))
        if waiting is not None:
            yield _fetch(*waiting)
        waiting = (logits, len(images), max(batch_size, len(images)))
    if waiting is not None:
        yield _fetch(*waiting)


def _fetch(logits: np.ndarray, count: int, rows: int) -> np.ndarray:
    if np.ndim(logits) != 2 or np.shape(logits)[0] != rows or np.shape(logits)[1] < 1:
        raise ValueError(
            f"predict must return logits ({rows}, classes) for {rows} images, got shape "
            f"{np.shape(logits)}"
        )
    logits = np.asarray(logits)[:count]
    # Narrow floats of JAX are no NumPy floats; float32 holds them exactly.
    if logits.dtype.kind not in "fiu" or logits.dtype.itemsize < 4:
        logits = logits.astype(np.float32)
    if np.isnan(logits).any():
        raise ValueError(
            "predict returned NaN logits; expected numbers. Check that the weights are finite and "
            "that images have the range the network was trained on"
        )
    return logits


def predict_all(predict: Predict, images: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
    """Logits of all images, computed in batches of one shape.

    Args:
        predict: images (batch_size, h, w, C) -> logits (batch_size, classes).
        images: (N, h, w, C).
        batch_size: rows per call; the last batch is padded with zero images and cut again.

    Returns:
        Logits (N, classes) as NumPy.

    Raises:
        ValueError: a wrong batch size, or `predict` returns another shape or NaN.
    """
    batches = (images[rows] for rows in batch_slices(len(images), batch_size))
    return np.concatenate(list(predict_each(predict, batches, batch_size=batch_size)))
