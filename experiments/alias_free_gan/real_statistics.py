"""Features of real images: computed once for a data set, then read from a cache."""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Collection, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from aa_jax import metrics
from aa_jax.training import distributed
from experiments.alias_free_gan.detectors import Detector
from experiments.alias_free_gan.features import Batch, Features, gather
from experiments.alias_free_gan.main_process import share

CACHE_VARIABLE = "AA_JAX_CACHE"
"""Environment variable that names the folder of cached statistics."""

_CACHE = "~/.cache/aa_jax/statistics"
_READERS = 8  # threads; decoding leaves Python's lock


def real_features(
    source,
    count: int,
    detector: Detector,
    kept: Collection[str],
    *,
    mesh: Mesh,
    batch_size: int,
) -> Features | None:
    """Features of `count` images of a data set. Every process must take part.

    They are kept in the folder that AA_JAX_CACHE names, else in ~/.cache/aa_jax/statistics. A file
    there that is damaged or of something else is written anew, and one printed line says why.

    Args:
        source: of images, with `.name` and `.digest`.
        count: how many; fewer than there are, are evenly spaced over the data set.
        detector: the network that sees them.
        kept: "features", where not only their mean and covariance is needed.
        mesh: the devices.
        batch_size: images at a time, rounded up to a multiple of the devices.

    Returns:
        The features in the main process, None in others.

    Raises:
        ValueError: an image cannot be read, or there are fewer than 2.
    """
    if count < 2:
        raise ValueError(f"{source.name} must hold at least 2 images to be compared with")
    record = _record(source, count, detector)
    main, found = distributed.is_main_process(), None
    if main:
        found = _read(_path(record), record, kept)
    # Folders may differ: what one process decides, all do.
    if share(np.array([found is not None]))[0]:
        return found
    batches = real_batches(source, count, mesh=mesh, batch_size=batch_size)
    computed = gather(batches, count, {detector: kept}, mesh)[detector]
    if not main:
        return None
    _write(_path(record), record, computed)
    return computed


def real_batches(source, count: int, *, mesh: Mesh, batch_size: int) -> Iterator[Batch]:
    """Reads `count` images, evenly spaced over the data set; a process reads its devices' share."""
    size = -(-batch_size // mesh.size) * mesh.size
    chosen = np.arange(count) * len(source) // count
    shape = (size, *source[0]["image"].shape)
    sharding = distributed.batch_sharding(mesh)
    shares = sharding.addressable_devices_indices_map(shape).values()
    rows = sorted({row for part in shares for row in range(size)[part[0]]})
    with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:

        def begin(start: int) -> dict:
            indices = chosen[(start + np.array(rows)) % count]  # the last batch is filled up
            return {
                row: readers.submit(lambda index: source[index]["image"], int(index))
                for row, index in zip(rows, indices, strict=True)
            }

        reading = begin(0)
        for start in range(0, count, size):
            images = {row: image.result() for row, image in reading.items()}
            if start + size < count:
                reading = begin(start + size)
            yield Batch(
                jax.make_array_from_callback(
                    shape,
                    sharding,
                    lambda part, images=images: np.stack([images[r] for r in range(size)[part[0]]]),
                ),
                min(size, count - start),
            )


def _record(source, count: int, detector: Detector) -> metrics.StatisticsRecord:
    return metrics.StatisticsRecord(
        # Without its folder: a data set may be moved.
        dataset=pathlib.PurePath(source.name).name,
        dataset_digest=source.digest,
        resolution=int(source[0]["image"].shape[0]),
        detector=detector.name,
        detector_digest=detector.digest,
        dialect=detector.dialect,
        count=count,
    )


def _path(record: metrics.StatisticsRecord) -> pathlib.Path:
    """Where statistics of a record are: a name to recognise, and a hash of all of it."""
    folder = pathlib.Path(os.environ.get(CACHE_VARIABLE) or _CACHE).expanduser()
    fields = dataclasses.asdict(record)
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^\w.+-]+", "-", record.dataset).strip("-.")[:60]
    stem = f"{name}-{record.resolution}-{record.detector}-{record.dialect}-{record.count}"
    return folder / f"{stem}-{digest[:12]}.npz"


def _read(path: pathlib.Path, record, kept: Collection[str]) -> Features | None:
    """Cached features; None, and a line that says why, where they have to be computed."""
    what = f"features of {record.count} real images ({record.detector})"
    try:
        statistics, features = metrics.load_statistics(path, record)
    except FileNotFoundError:
        print(f"computing {what}, to be kept as {path}", flush=True)
        return None
    except (metrics.StatisticsFileError, OSError) as error:
        print(f"computing {what} again: {error}", flush=True)
        return None
    if "features" in kept and features is None:
        print(f"computing {what} again: {path} has their mean and covariance only", flush=True)
        return None
    return Features(statistics, {} if features is None else {"features": features})


def _write(path: pathlib.Path, record, computed: Features) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        features = computed.kept.get("features")
        metrics.save_statistics(path, record, computed.statistics, features=features)
    except OSError as error:  # the next run computes them again, nothing else is lost
        print(f"features of real images could not be kept: {error}", flush=True)
