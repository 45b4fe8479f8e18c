"""Statistics of a data set's features on disk, with the record of what they were computed from.

A distance to statistics of other pictures, or of another detector, is a number like any other.
So a file says what it holds, and is only read by one who asks for that.
"""

import dataclasses
import json
import math
import os
import pathlib
import tempfile
import zipfile
from typing import BinaryIO

import numpy as np

from aa_jax.metrics.moments import FeatureStatistics

_RECORD = "record.json"
_ARRAYS = ["mean", "covariance"]
_MAX_RECORD_BYTES = 65536
_FEATURE_DTYPES = ("float16", "float32", "float64")


class StatisticsFileError(ValueError):
    """A file of statistics is damaged, or of something else than was asked for."""


@dataclasses.dataclass(frozen=True)
class StatisticsRecord:
    """What statistics were computed from. Two records are the same only if all of it is.

    Attributes:
        dataset: its name.
        dataset_digest: of its pictures, hexadecimal, or whatever tells two versions apart.
        resolution: pixels along a side.
        detector: name of the network whose features these are.
        detector_digest: of its weights.
        dialect: how pictures are brought to the detector: resizing, range, which layer.
        count: number of pictures.
    """

    dataset: str
    dataset_digest: str
    resolution: int
    detector: str
    detector_digest: str
    dialect: str
    count: int

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type:
                raise ValueError(
                    f"{field.name} must be {field.type.__name__}, got {value!r:.80} "
                    f"({type(value).__name__})"
                )


def save_statistics(
    path: str | os.PathLike,
    record: StatisticsRecord,
    statistics: FeatureStatistics,
    *,
    features: np.ndarray | None = None,
) -> None:
    """Writes statistics as an uncompressed `.npz`, whole or not at all.

    Args:
        path: the file to write; its folder must exist.
        record: what they are of.
        statistics: count, mean and covariance.
        features: (count, dim), if they are to be kept, as kernel distance, precision and recall
            need them; float16 to float64.

    Raises:
        ValueError: shapes or counts disagree.
        OSError: the file cannot be written; an earlier one is intact.
    """
    mean, covariance = (np.asarray(x, "<f8") for x in (statistics.mean, statistics.covariance))
    arrays = {"mean": mean, "covariance": covariance}
    if features is not None:
        features = np.asarray(features)
        arrays["features"] = features.astype(features.dtype.newbyteorder("<"), copy=False)
    if statistics.count != record.count:
        raise ValueError(
            f"record.count must be the number of samples, {statistics.count}, got {record.count}"
        )
    for name, array in arrays.items():
        problem = _layout_problem(name, array.shape, array.dtype, record.count, mean.shape)
        if problem:
            raise ValueError(problem)
    path = pathlib.Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = pathlib.Path(folder) / path.name
        with open(temporary, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                header = {"record": dataclasses.asdict(record), "arrays": list(arrays)}
                archive.writestr(_RECORD, json.dumps(header, indent=1))
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def load_statistics(
    path: str | os.PathLike, expected: StatisticsRecord
) -> tuple[FeatureStatistics, np.ndarray | None]:
    """Reads statistics back, if they are those asked for.

    Record, shapes, dtypes and sizes are checked before anything large is read; nothing is
    unpickled or unpacked.

    Args:
        path: the file.
        expected: what the statistics must be of.

    Returns:
        The statistics, and features (count, dim) where the file holds them.

    Raises:
        StatisticsFileError: the record is another one, naming every difference; or the file is
            damaged or has another layout.
        OSError: there is no such file, or it cannot be read.
    """
    path = pathlib.Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            found, names = _read_record(archive)
            _compare(found, expected)
            arrays, mean_shape = {}, None
            for name in names:
                arrays[name] = _read_array(archive, name, found.count, mean_shape)
                mean_shape = arrays["mean"].shape
    except StatisticsFileError as error:
        raise StatisticsFileError(f"{path}: {error}") from error
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError) as error:
        raise StatisticsFileError(f"{path}: not a readable .npz file: {error}") from error
    statistics = FeatureStatistics(found.count, arrays["mean"], arrays["covariance"])
    return statistics, arrays.get("features")


def _check_members(archive: zipfile.ZipFile) -> None:
    """Stored plainly, within the file, and the record among them."""
    if _RECORD not in archive.namelist():
        raise StatisticsFileError(f"holds no {_RECORD}; it is no file of statistics")
    available = os.fstat(archive.fp.fileno()).st_size
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise StatisticsFileError(
                f"{info.filename} is compressed, but statistics are written plainly"
            )
        # The directory may promise more bytes than there are.
        if not 0 <= info.header_offset <= available - info.file_size:
            raise StatisticsFileError(f"{info.filename} is cut off: the file ends before it")


def _read_record(archive: zipfile.ZipFile) -> tuple[StatisticsRecord, list[str]]:
    """The record, and the names of the arrays beside it: all that the archive holds."""
    info = archive.getinfo(_RECORD)
    if info.file_size > _MAX_RECORD_BYTES:
        raise StatisticsFileError(f"its record is {info.file_size} bytes long, too much for one")
    try:
        header = json.loads(archive.read(info))
        record, names = StatisticsRecord(**header["record"]), header["arrays"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StatisticsFileError(f"its record cannot be read: {error!r:.200}") from error
    members = sorted(archive.namelist())
    if names not in (_ARRAYS, [*_ARRAYS, "features"]):
        raise StatisticsFileError(f"its record announces the arrays {names!r:.200}")
    if members != sorted([_RECORD, *(f"{name}.npy" for name in names)]):
        raise StatisticsFileError(
            f"holds {', '.join(members)[:200]}, but its record announces {', '.join(names)}"
        )
    return record, names


def _compare(found: StatisticsRecord, expected: StatisticsRecord) -> None:
    pairs = (
        (field.name, getattr(expected, field.name), getattr(found, field.name))
        for field in dataclasses.fields(expected)
    )
    differing = [f"{name} is {got!r}, not {asked!r}" for name, asked, got in pairs if got != asked]
    if differing:
        raise StatisticsFileError("statistics of something else: " + "; ".join(differing))


def _read_array(
    archive: zipfile.ZipFile, name: str, count: int, mean_shape: tuple[int, ...] | None
) -> np.ndarray:
    """An array whose header fits both the record and the number of bytes there are."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        shape, dtype, fortran = _read_header(member, name)
        problem = _layout_problem(name, shape, dtype, count, mean_shape or shape)
        size = math.prod(shape) * dtype.itemsize
        if not problem and info.file_size - member.tell() != size:
            problem = f"{name} of shape {shape} is {info.file_size - member.tell()} bytes long"
        if problem:
            raise StatisticsFileError(problem)
        values = np.empty(shape[::-1] if fortran else shape, dtype)
        _fill(member, values, name)
    if name != "features" and not np.isfinite(values).all():
        raise StatisticsFileError(f"{name} holds NaN or infinity")
    return values.T if fortran else values


def _read_header(member: BinaryIO, name: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    try:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ValueError(f"version {version} is not (1, 0)")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
    except ValueError as error:
        raise StatisticsFileError(f"{name} has no readable header: {error}") from error
    return shape, dtype, fortran


def _layout_problem(name, shape, dtype, count, mean_shape) -> str | None:
    """What is wrong with an array of this name, if anything."""
    wanted = {
        "mean": mean_shape[:1],
        "covariance": 2 * mean_shape,
        "features": (count, *mean_shape),
    }[name]
    dtypes = _FEATURE_DTYPES if name == "features" else ("float64",)
    if len(mean_shape) != 1 or shape != wanted or 0 in shape:
        return f"{name} must be of shape {wanted or '(dim,)'}, got {shape}"
    if dtype.name not in dtypes:
        return f"{name} must be of {' or '.join(dtypes)}, got {dtype}"
    return None


def _fill(member: BinaryIO, values: np.ndarray, name: str) -> None:
    """Reads straight into the array: features may be as large as half of the memory."""
    view, filled = memoryview(values.reshape(-1).view(np.uint8)), 0
    while filled < len(view):
        got = member.readinto(view[filled : filled + (1 << 24)])
        if not got:
            raise StatisticsFileError(f"{name} is cut off: the file ends before it")
        filled += got
