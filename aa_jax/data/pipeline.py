"""From a source to batches: shuffled, sharded per process, resumable. Built on grain.

The element of the grain dataset is a whole batch. Grain decides the order of the samples, runs the
reading threads and keeps the position; a source that can make many samples at once is asked once
per batch, which spares the trainer's cores grain's cost per element.
"""

import os
import sys
from collections.abc import Callable

import numpy as np

from aa_jax.data.counter_random import generator
from aa_jax.data.errors import DataError, UnreadableImageError

MAX_SEED = 2**32


class Batches:
    """Random-access sequence of one process's batches; element t is a function of t only.

    Global batch t is samples [t * G, (t + 1) * G) of the order, G = batch_size * process_count,
    and process p holds its rows [p * batch_size, (p + 1) * batch_size): the same seed gives the
    same global batches on any number of processes.
    """

    def __init__(self, source, order, *, batch_size, process_index, process_count, transform,
                 seed, drop_remainder, as_bytes=False):  # fmt: skip
        self._source, self._order, self._transform = source, order, transform
        self._as_bytes = as_bytes
        self._batch_size, self._seed = batch_size, seed
        self._process_index, self._process_count = process_index, process_count
        self._drop_remainder = drop_remainder
        whole, rest = divmod(len(order), batch_size * process_count)
        self._length = whole if drop_remainder else whole + bool(rest)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        begin = (step * self._process_count + self._process_index) * self._batch_size
        positions = range(begin, min(begin + self._batch_size, len(self._order)))
        indices = [int(self._order[position]) for position in positions]
        images, labels = self._load(indices)
        if self._transform is not None:
            images = [
                self._transform(image, generator(self._seed, position))
                for image, position in zip(images, positions, strict=True)
                if image is not None
            ]
        images = [image for image in images if image is not None]
        labels = [label for label in labels if label is not None]
        return {"image": self._stack(images), "label": self._stack_labels(labels)}

    def _load(self, indices: list[int]):
        if hasattr(self._source, "batch") and indices:
            return self._source.batch(indices)
        samples = [self._sample(index) for index in indices]
        return [s.get("image") for s in samples], [s.get("label") for s in samples]

    def _sample(self, index: int) -> dict:
        """One sample; an unreadable one stops the run unless its source says to skip it.

        Training batches keep their size: the next readable sample stands in. In evaluation, where
        a sample counted twice would falsify the result, the batch gets shorter: {} comes back.
        """
        for candidate in range(index, index + len(self._source)):
            try:
                return self._source[candidate % len(self._source)]
            except UnreadableImageError:
                if getattr(self._source, "on_error", "raise") != "skip":
                    raise
                if not self._drop_remainder:
                    return {}
        raise DataError(f"{self._source.name}: none of its {len(self._source)} images is readable")

    def _stack(self, images: list[np.ndarray]) -> np.ndarray:
        if not images:  # a process without rows in the last batch still takes part in the step
            example = self._example()
            keeps = self._as_bytes and example.dtype == np.uint8
            return np.zeros((0, *example.shape), np.uint8 if keeps else np.float32)
        shapes = {np.shape(image) for image in images}
        if len(shapes) > 1:
            raise DataError(
                f"images of one batch must have one shape, got {sorted(shapes)} from "
                f"{self._source.name}; give make_loader a transform that ends in a fixed size, "
                "such as aa_jax.data.RandomResizedCrop(224)"
            )
        stacked = np.stack(images)
        if stacked.dtype == np.uint8:
            if self._as_bytes:
                return stacked
            return np.divide(stacked, np.float32(255), dtype=np.float32)
        return stacked.astype(np.float32, copy=False)

    def _stack_labels(self, labels: list) -> np.ndarray:
        """Integers, or vectors of floats if the source has such."""
        example = np.asarray(labels[0] if len(labels) else self._source[0]["label"])
        if example.dtype.kind != "f":
            return np.asarray(labels, np.int32)
        return np.asarray(labels, np.float32).reshape(len(labels), *example.shape)

    def _example(self) -> np.ndarray:
        image = self._source[0]["image"]
        if self._transform is not None:
            image = self._transform(image, generator(self._seed, 0))
        return np.asarray(image)


def make_loader(
    source,
    *,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    transform: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    num_epochs: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    drop_remainder: bool = True,
    num_threads: int | None = None,
    as_bytes: bool = False,
):
    """Makes an iterator of batches over a source.

    The sequence is a function of the source, the seed and the global batch size
    (batch_size * process_count), not of the number of processes or threads. Epochs follow each
    other without a gap: a batch may hold the end of one and the beginning of the next, and every
    epoch has its own order. For evaluation pass shuffle=False, num_epochs=1, drop_remainder=False:
    every sample then comes exactly once and the last batch may be shorter; with several processes
    all of them make the same number of steps, so the last one may be empty on some.

    Args:
        source: has `len` and `[i] -> {"image": uint8 (H, W, C), "label": int or float32 (D,)}`;
            when it also has `batch(indices) -> (images, labels)`, that is used instead.
        batch_size: samples per batch of this process.
        seed: of the order and of the transform's random numbers, 0 to 2^32 - 1.
        shuffle: False keeps the source's order.
        transform: called as transform(image, rng) on each image, with a generator that depends on
            the seed and the sample's position in the stream. Images it returns as uint8 are
            divided by 255; any other dtype is taken as it is.
        num_epochs: None goes on without end.
        process_index: this process, 0 to process_count - 1.
        process_count: number of processes that share every global batch.
        drop_remainder: True drops the last batch if it is not full (a finite stream only).
        num_threads: reading threads, each making one batch at a time; 0 reads in the caller's
            thread; None takes one thread for sources in memory, else up to eight.
        as_bytes: True leaves uint8 images as they are, 0 to 255, which are a quarter of the bytes
            to move to a device.

    Returns:
        A grain iterator of {"image": float32 (B, h, w, C) in [0, 1], or uint8 with `as_bytes`,
        "label": int32 (B,), or float32 (B, D) if the source's labels are vectors}. Its
        `get_state()` is a small JSON-serialisable dict; `set_state(state)` on a loader made with
        the same arguments goes on with exactly the batches that would have followed.
        `grain.checkpoint.CheckpointSave` takes it as it is.

    Raises:
        DataError: an argument is out of range or no full batch can be made. While iterating: an
            image is unreadable, or images of one batch differ in shape.
    """
    import grain  # two seconds of import that sources and transforms do without

    _check(source, batch_size, seed, num_epochs, process_index, process_count, num_threads)
    order = grain.MapDataset.range(len(source))
    if shuffle:
        order = order.shuffle(seed=seed)
    order = order.repeat(num_epochs)
    batches = Batches(
        source, order, batch_size=batch_size, process_index=process_index,
        process_count=process_count, transform=transform, seed=seed, drop_remainder=drop_remainder,
        as_bytes=as_bytes,
    )  # fmt: skip
    if len(batches) == 0:
        raise DataError(
            f"{source.name}: {len(order)} samples do not fill one batch of {batch_size} on each of "
            f"{process_count} processes; lower batch_size or pass drop_remainder=False"
        )
    if num_threads is None:
        num_threads = 1 if hasattr(source, "batch") else min(8, os.cpu_count() or 1)
    options = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=max(2, 2 * num_threads) if num_threads else 0
    )
    return iter(grain.MapDataset.source(batches).to_iter_dataset(options))


def _check(source, batch_size, seed, num_epochs, process_index, process_count, num_threads):
    bounds = (
        ("batch_size", batch_size, 1, sys.maxsize),
        ("seed", seed, 0, MAX_SEED - 1),
        ("num_epochs", 1 if num_epochs is None else num_epochs, 1, sys.maxsize),
        ("process_count", process_count, 1, sys.maxsize),
        ("process_index", process_index, 0, process_count - 1),
        ("num_threads", 0 if num_threads is None else num_threads, 0, 1024),
    )
    for name, value, least, most in bounds:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise DataError(f"{name} must be an integer, got {value!r}")
        if not least <= value <= most:
            raise DataError(f"{name} must lie in [{least}, {most}], got {value}")
    if len(source) == 0:
        raise DataError(f"{source.name} is empty: expected at least one sample")
