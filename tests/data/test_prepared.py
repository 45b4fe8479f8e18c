"""Reading prepared data sets: what comes back, what is damaged, and batches of bytes."""

import json
import logging
import struct

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import (
    DataError,
    HorizontalFlip,
    Normalize,
    UnreadableImageError,
    make_loader,
    open_source,
)
from aa_jax.data.preparation import Output, prepare
from aa_jax.data.preparation_pictures import Fit, encode_png
from aa_jax.data.prepared import prepared_source
from aa_jax.data.record import pack_record, unpack_record

COUNT = 12


def picture(number, channels=3):
    return np.random.default_rng(number).integers(0, 256, (6, 8, channels), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Made by hand: class number % 3 in a dataset.json."""
    root = tmp_path_factory.mktemp("hand")
    for number in range(COUNT):
        Image.fromarray(picture(number)).save(root / f"{number:02d}.png")
    pairs = [[f"{number:02d}.png", number % 3] for number in range(COUNT)]
    (root / "dataset.json").write_text(json.dumps({"labels": pairs}))
    return root


@pytest.fixture(scope="module")
def places(folder, tmp_path_factory):
    """The same pictures in every form that can be read."""
    root = tmp_path_factory.mktemp("forms")
    outputs = {
        "png": Output(shard_size=5),
        "raw": Output(encoding="raw", shard_size=5),
        "folder": Output(format="folder"),
    }
    for name, output in outputs.items():
        prepare(folder, root / name, fit=Fit(transform="none"), output=output)
    return {"hand": folder, **{name: root / name for name in outputs}}


FORMS = ["hand", "png", "raw", "folder"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_the_same(places, form):
    source = prepared_source(places[form])
    assert (len(source), source.resolution, source.channels) == (COUNT, (6, 8), 3)
    assert (source.num_classes, source.label_dim, source.label_kind) == (3, 3, "class")
    assert source.class_names == ("0", "1", "2")
    assert source.labels.dtype == np.int32
    assert source.labels.tolist() == [number % 3 for number in range(COUNT)]
    for index in range(COUNT):
        sample = source[index]
        assert sample["image"].dtype == np.uint8
        assert isinstance(sample["label"], int)
        np.testing.assert_array_equal(sample["image"], picture(index))
        assert sample["label"] == index % 3
    with pytest.raises(IndexError):
        source[COUNT]


@pytest.mark.parametrize("form", FORMS)
def test_mirror_appends_flipped_pictures(places, form):
    source = prepared_source(places[form], mirror=True)
    assert len(source) == 2 * COUNT
    assert source.labels.tolist() == [number % 3 for number in range(COUNT)] * 2
    sample = source[COUNT + 4]
    np.testing.assert_array_equal(sample["image"], picture(4)[:, ::-1])
    assert sample["label"] == 1
    np.testing.assert_array_equal(source[4]["image"], picture(4))


def test_subsets_are_random_fixed_and_sorted(places):
    source = prepared_source(places["raw"], max_images=5, seed=3)
    again = prepared_source(places["hand"], max_images=5, seed=3)
    chosen = [next(n for n in range(COUNT) if (picture(n) == source[i]["image"]).all())
              for i in range(5)]  # fmt: skip
    assert chosen == sorted(set(chosen))
    assert source.labels.tolist() == [number % 3 for number in chosen]
    for index in range(5):
        np.testing.assert_array_equal(again[index]["image"], source[index]["image"])
    others = {tuple(prepared_source(places["raw"], max_images=5, seed=s).labels) for s in range(9)}
    assert len(others) > 1
    assert len(prepared_source(places["raw"], max_images=99)) == COUNT
    assert len(prepared_source(places["raw"], max_images=5, mirror=True)) == 10


def test_digests_tell_sets_and_options_apart(places):
    path = places["raw"]
    variants = [
        prepared_source(path),
        prepared_source(path, mirror=True),
        prepared_source(path, max_images=5),
        prepared_source(path, max_images=5, seed=1),
        prepared_source(places["hand"]),
    ]
    assert len({source.digest for source in variants}) == len(variants)
    assert prepared_source(path).digest == prepared_source(places["png"]).digest
    assert prepared_source(path, max_images=COUNT).digest == prepared_source(path).digest


def test_a_touched_folder_has_another_digest(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "0.png")
    first = prepared_source(tmp_path).digest
    assert prepared_source(tmp_path).digest == first
    Image.fromarray(picture(1)).save(tmp_path / "0.png")
    assert prepared_source(tmp_path).digest != first


def test_without_labels(tmp_path):
    for number in range(3):
        Image.fromarray(picture(number, 1)[..., 0]).save(tmp_path / f"{number}.png")
    source = prepared_source(tmp_path)
    assert (source.labels, source.num_classes, source.label_dim) == (None, 0, 0)
    assert source.label_kind == "none"
    assert source.channels == 1
    assert source[2]["label"] == 0
    np.testing.assert_array_equal(source[2]["image"], picture(2, 1))


@pytest.mark.parametrize("encoding", ["raw", "png"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("label", [None, 7, (0.5, -2.0)])
def test_records_come_back(encoding, channels, label):
    pixels = picture(0, channels)
    content = encode_png(pixels) if encoding == "png" else pixels.tobytes()
    record = pack_record(pixels.shape, content, encoding, label)
    image, found = unpack_record(record)
    np.testing.assert_array_equal(image, pixels)
    np.testing.assert_array_equal(found, 0 if label is None else label)
    image[0] = 0  # writable
    for broken in (record[:5], b"", b"XXXX" + record[4:], record[: len(record) // 2]):
        with pytest.raises((ValueError, OSError, SyntaxError, struct.error)):
            unpack_record(broken)


def damage(root, name, place):
    path = root / name
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture
def damaged(folder, tmp_path):
    """Picture 7, of the second shard, has a wrong byte."""
    prepare(folder, tmp_path / "x", fit=Fit(transform="none"),
            output=Output(encoding="raw", shard_size=5))  # fmt: skip
    name = "images-00001.array_record"
    content = (tmp_path / "x" / name).read_bytes()
    # Records are compressed; each begins a chunk of its own, in order.
    intact = prepared_source(tmp_path / "x")
    assert intact[7]["label"] == 1
    for place in range(0, len(content), 16):
        damage(tmp_path / "x", name, place)
        source = prepared_source(tmp_path / "x")
        try:
            bad = [index for index in range(COUNT) if _fails(source, index)]
        except DataError:
            bad = []
        if bad == [7]:
            return tmp_path / "x"
        damage(tmp_path / "x", name, place)
    raise AssertionError("no byte belongs to picture 7 alone")


def _fails(source, index):
    try:
        source[index]
    except UnreadableImageError:
        return True
    return False


def test_a_damaged_record_stops_the_run_by_name(damaged):
    loader = make_loader(prepared_source(damaged), batch_size=4, seed=0, shuffle=False)
    next(loader)
    with pytest.raises(
        UnreadableImageError, match=r"images-00001.array_record\[2\] .picture 7.*RuntimeError"
    ):
        next(loader)


def test_a_damaged_record_is_skipped_logged_and_counted(damaged, caplog):
    source = prepared_source(damaged, on_error="skip")
    options = dict(batch_size=4, seed=0, shuffle=False, num_epochs=1)
    with caplog.at_level(logging.WARNING, "aa_jax.data"):
        training = [batch["label"].tolist() for batch in make_loader(source, **options)]
    assert training == [[0, 1, 2, 0], [1, 2, 0, 2], [2, 0, 1, 2]]
    assert source.num_skipped == 1
    assert len(caplog.records) == 1
    (place,) = source.skipped
    assert "[2] (picture 7)" in place


def test_a_shard_that_was_cut_off_or_lost_is_named(folder, tmp_path):
    prepare(folder, tmp_path / "x", fit=Fit(transform="none"), output=Output(shard_size=5))
    shard = tmp_path / "x" / "images-00001.array_record"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="images-00001.array_record holds 0 of 5 records"):
        prepared_source(tmp_path / "x")[6]
    shard.unlink()
    with pytest.raises(DataError, match="lacks images-00001.array_record"):
        prepared_source(tmp_path / "x")


def test_files_that_do_not_belong(folder, tmp_path):
    (tmp_path / "0.png").write_bytes((folder / "00.png").read_bytes())
    Image.fromarray(picture(0)[:5]).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_text("no picture")
    source = prepared_source(tmp_path)
    with pytest.raises(UnreadableImageError, match=r"1.png: its shape is \(5, 8, 3\), but that of"):
        source[1]
    with pytest.raises(UnreadableImageError, match="2.png"):
        source[2]
    Image.fromarray(picture(0)[..., 0]).save(tmp_path / "0.png")
    Image.fromarray(picture(0)).save(tmp_path / "1.png")
    with pytest.raises(UnreadableImageError, match="1.png: it is coloured, but .* grey"):
        prepared_source(tmp_path)[1]


def test_mistakes_are_named(folder, tmp_path):
    with pytest.raises(DataError, match="is no folder; make it with prepare_data.py"):
        prepared_source(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds neither prepared.json nor pictures"):
        prepared_source(tmp_path)
    with pytest.raises(DataError, match='on_error must be "raise" or "skip"'):
        prepared_source(folder, on_error="ignore")
    with pytest.raises(DataError, match="max_images must be at least 1, got 0"):
        prepared_source(folder, max_images=0)
    (tmp_path / "prepared.json").write_text('{"arguments": {}}')
    with pytest.raises(DataError, match="prepared.json is malformed: KeyError 'format'"):
        prepared_source(tmp_path)
    Image.fromarray(picture(0)).save(tmp_path / "0.png")
    (tmp_path / "prepared.json").unlink()
    (tmp_path / "dataset.json").write_text('{"labels": [["1.png", 0]]}')
    with pytest.raises(DataError, match="has no label for 1 of 1 pictures, such as 0.png"):
        prepared_source(tmp_path)


def test_open_source_knows_prepared_sets(places, folder, tmp_path):
    assert open_source(places["raw"], "train", mirror=True).name.endswith("raw+mirrored")
    with pytest.raises(DataError, match="one prepared data set without splits, got split 'test'"):
        open_source(places["raw"], "test")
    for split, choice in (("train", "auto"), ("test", "auto"), ("val", "none")):
        prepare(folder, tmp_path / split, fit=Fit(transform="none"), labels=choice)
    assert len(open_source(tmp_path, "test")) == COUNT
    with pytest.raises(DataError, match="prepared with different classes .0 and 3."):
        open_source(tmp_path, "val")


@pytest.mark.parametrize("form", ["raw", "folder"])
def test_batches_of_bytes(places, form):
    source = prepared_source(places[form])
    options = dict(batch_size=4, seed=1, transform=HorizontalFlip(), num_threads=2)
    floats, numbers = make_loader(source, **options), make_loader(source, as_bytes=True, **options)
    for _ in range(7):
        one, other = next(floats), next(numbers)
        assert other["image"].dtype == np.uint8
        assert one["image"].dtype == np.float32
        np.testing.assert_array_equal(one["image"], other["image"] / np.float32(255))
        np.testing.assert_array_equal(one["label"], other["label"])
    state = json.loads(json.dumps(numbers.get_state()))
    resumed = make_loader(source, as_bytes=True, **options)
    resumed.set_state(state)
    for _ in range(5):
        one, other = next(numbers), next(resumed)
        np.testing.assert_array_equal(one["image"], other["image"])
        np.testing.assert_array_equal(one["label"], other["label"])


def test_transforms_to_floats_stay_floats(places):
    source = prepared_source(places["raw"])
    loader = make_loader(source, batch_size=4, seed=1, transform=Normalize(), as_bytes=True)
    assert next(loader)["image"].dtype == np.float32


class Vectors:
    """Images whose label is a vector."""

    name, on_error = "vectors", "raise"

    def __len__(self):
        return 5

    def __getitem__(self, index):
        label = np.float32([index / 3, -index])
        return {"image": np.full((2, 2, 1), index, np.uint8), "label": label}


def test_labels_may_be_vectors():
    options = dict(seed=0, shuffle=False, num_epochs=1, drop_remainder=False, as_bytes=True)
    batches = list(make_loader(Vectors(), batch_size=2, **options))
    assert all(batch["label"].dtype == np.float32 for batch in batches)
    joined = np.concatenate([batch["label"] for batch in batches])
    np.testing.assert_array_equal(joined, np.float32([[i / 3, -i] for i in range(5)]))
    # A process without rows in the last batch has arrays of the same kinds.
    parts = [
        list(make_loader(Vectors(), batch_size=1, process_index=p, process_count=4, **options))
        for p in range(4)
    ]
    empty = parts[3][1]
    assert (empty["label"].shape, empty["label"].dtype) == ((0, 2), np.float32)
    assert (empty["image"].shape, empty["image"].dtype) == ((0, 2, 2, 1), np.uint8)
