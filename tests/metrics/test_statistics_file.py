"""Statistics come back as they were, or not at all."""

import dataclasses
import io
import json
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from aa_jax.metrics.moments import FeatureStatistics
from aa_jax.metrics.statistics_file import (
    StatisticsFileError,
    StatisticsRecord,
    load_statistics,
    save_statistics,
)

RECORD = StatisticsRecord(
    dataset="ffhq",
    dataset_digest="0123abcd",
    resolution=256,
    detector="inception",
    detector_digest="4567",
    dialect="published",
    count=7,
)
RECORD_OF_MEAN = json.dumps({"record": dataclasses.asdict(RECORD), "arrays": ["mean"]}).encode()


@pytest.fixture
def features(rng):
    return rng.standard_normal((7, 5)).astype(np.float32)


@pytest.fixture
def statistics(features):
    x = features.astype(np.float64)
    return FeatureStatistics(7, x.mean(0), np.cov(x.T, bias=True))


@pytest.fixture
def path(tmp_path, statistics, features):
    path = tmp_path / "statistics.npz"
    save_statistics(path, RECORD, statistics, features=features)
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f4", None])
@pytest.mark.parametrize("order", ["C", "F"])
def test_round_trip(tmp_path, statistics, features, dtype, order):
    kept = None if dtype is None else np.asarray(features, dtype, order=order)
    save_statistics(tmp_path / "a", RECORD, statistics, features=kept)
    assert os.listdir(tmp_path) == ["a"]  # no suffix is added, nothing temporary is left
    loaded, same = load_statistics(tmp_path / "a", RECORD)
    assert loaded.count == 7
    np.testing.assert_array_equal(loaded.mean, statistics.mean)
    np.testing.assert_array_equal(loaded.covariance, statistics.covariance)
    if dtype is None:
        assert same is None
    else:
        assert same.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(same, kept)


def test_numpy_reads_it(path, statistics):
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["covariance"], statistics.covariance)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(RECORD)])
def test_names_what_differs(path, field):
    old = getattr(RECORD, field)
    new = old + 1 if isinstance(old, int) else "other"
    asked = dataclasses.replace(RECORD, **{field: new})
    message = f"something else: {field} is {old!r}, not {new!r}$"
    with pytest.raises(StatisticsFileError, match=message):
        load_statistics(path, asked)


def test_names_all_that_differs(path):
    asked = dataclasses.replace(RECORD, dataset="cats", resolution=64)
    with pytest.raises(
        StatisticsFileError, match="dataset is 'ffhq', not 'cats'; resolution is 256"
    ):
        load_statistics(path, asked)


def test_an_earlier_file_survives_a_failed_write(path, statistics, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_statistics(path, RECORD, statistics)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_what_is_saved_must_fit_together(tmp_path, statistics, features):
    def save(record=RECORD, features=None, **changes):
        save_statistics(tmp_path / "x", record, statistics._replace(**changes), features=features)

    with pytest.raises(ValueError, match="record.count must be the number of samples, 6, got 7"):
        save(count=6)
    with pytest.raises(ValueError, match=r"covariance must be of shape \(5, 5\), got \(4, 4\)"):
        save(covariance=np.eye(4))
    with pytest.raises(ValueError, match=r"mean must be of shape \(dim,\), got \(\)"):
        save(mean=3.0)
    with pytest.raises(ValueError, match=r"features must be of shape \(7, 5\), got \(6, 5\)"):
        save(features=features[:6])
    with pytest.raises(ValueError, match="features must be of float16 or float32 or float64, got"):
        save(features=features.astype(np.int32))
    with pytest.raises(ValueError, match="resolution must be int, got '256'"):
        dataclasses.replace(RECORD, resolution="256")
    assert not os.listdir(tmp_path)


def as_npy(array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


def rewrite(path: pathlib.Path, name: str, data: bytes | None, compression=zipfile.ZIP_STORED):
    """Replaces one member of the archive, or removes it."""
    with zipfile.ZipFile(path) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    members[name] = data
    with zipfile.ZipFile(path, "w", compression) as archive:
        for entry, content in members.items():
            if content is not None:
                archive.writestr(entry, content)


class Trap:
    """Leaves a trace when unpickled."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("record.json", None, "holds no record.json"),
        ("mean.npy", None, "holds .*, but its record announces mean, covariance, features"),
        ("features.npy", None, "holds .*, but its record announces mean, covariance, features"),
        ("more.npy", b"", "holds .* more.npy, record.json, but its record announces"),
        ("record.json", b"[1, 2]", "record cannot be read"),
        ("record.json", b"\xff{", "record cannot be read"),
        ("record.json", b'{"record": {"dataset": "ffhq"}}', "record cannot be read: .*missing"),
        ("record.json", b'{"dataset": "ffhq"}', "record cannot be read: KeyError"),
        ("record.json", b" " * 70_000, "70000 bytes long"),
        ("record.json", RECORD_OF_MEAN, r"announces the arrays \['mean'\]"),
        ("mean.npy", as_npy(np.zeros(4)), r"covariance must be of shape \(4, 4\), got \(5, 5\)"),
        ("mean.npy", as_npy(np.zeros((5, 1))), r"mean must be of shape \(5,\), got \(5, 1\)"),
        ("mean.npy", as_npy(np.zeros(5, np.float32)), "mean must be of float64, got float32"),
        ("mean.npy", as_npy(np.full(5, np.nan)), "mean holds NaN"),
        ("mean.npy", as_npy(np.zeros(5))[:-8], "mean of shape .* is 32 bytes long"),
        ("mean.npy", b"not an array", "mean has no readable header"),
        ("features.npy", as_npy(np.zeros((8, 5))), r"features must be of shape \(7, 5\)"),
        ("covariance.npy", as_npy(np.zeros((10**4, 1))), r"covariance must be of shape \(5, 5\)"),
        ("mean.npy", as_npy(np.array([Trap()] * 5)), "mean must be of float64, got object"),
        ("mean.npy", pickle.dumps(Trap()), "mean has no readable header"),
    ],
)
def test_damaged_or_hostile_files(path, monkeypatch, name, data, message):
    monkeypatch.chdir(path.parent)
    rewrite(path, name, data)
    with pytest.raises(StatisticsFileError, match=message):
        load_statistics(path, RECORD)
    assert os.listdir(path.parent) == [path.name]


def test_a_header_cannot_ask_for_memory(path):
    data = as_npy(np.zeros(5)).replace(b"(5,)", b"(999999999999,)")
    rewrite(path, "mean.npy", data)
    with pytest.raises(StatisticsFileError, match="mean"):
        load_statistics(path, RECORD)


def test_compressed_files_are_refused(path):
    with zipfile.ZipFile(path) as archive:
        data = archive.read("mean.npy")
    rewrite(path, "mean.npy", data, zipfile.ZIP_DEFLATED)
    with pytest.raises(StatisticsFileError, match="compressed"):
        load_statistics(path, RECORD)


def test_no_damage_passes(path, statistics, features):
    """Cut anywhere or changed anywhere, a file gives its error or its values, nothing else."""
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for index in range(300):
        damaged = bytearray(whole)
        if index % 3:
            for place in random.integers(0, len(whole), 1 + index % 4):
                damaged[place] = random.integers(0, 256)
        else:
            del damaged[random.integers(0, len(whole)) :]
        path.write_bytes(damaged)
        try:
            loaded, kept = load_statistics(path, RECORD)
        except StatisticsFileError:
            continue
        np.testing.assert_array_equal(loaded.mean, statistics.mean)
        np.testing.assert_array_equal(loaded.covariance, statistics.covariance)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_statistics(tmp_path / "none.npz", RECORD)
