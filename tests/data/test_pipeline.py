"""Batches: order, resumption, sharding, randomness, and what happens when something is wrong."""

import json

import numpy as np
import pytest

from aa_jax.data import (
    Compose,
    DataError,
    HorizontalFlip,
    Normalize,
    RandomCrop,
    UnreadableImageError,
    make_loader,
    photographs,
)


class Numbered:
    """Image i is constant i, label i; chosen ones cannot be read."""

    name, num_classes, class_names = "numbered", 2, ("a", "b")

    def __init__(self, length, *, unreadable=(), on_error="raise"):
        self.length, self.unreadable, self.on_error = length, set(unreadable), on_error

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index in self.unreadable:
            raise UnreadableImageError(f"number-{index}.png", "torn")
        return {"image": np.full((4, 5, 3), index % 256, np.uint8), "label": index}


class OneByOne:
    """Hides a source's batch method."""

    def __init__(self, source):
        self.source, self.name = source, source.name

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.source[index]


def take(loader, count):
    return [next(loader) for _ in range(count)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for key in ("image", "label"):
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key])


AUGMENT = Compose(RandomCrop(32, padding=4, mode="reflect"), HorizontalFlip())


@pytest.fixture(scope="module")
def source():
    return photographs("train", size=32, num_samples=300)


@pytest.mark.parametrize("num_threads", [0, 1, 3])
def test_resumes_bit_exactly(source, num_threads):
    options = dict(batch_size=16, seed=5, transform=AUGMENT, num_threads=num_threads)
    whole = take(make_loader(source, **options), 45)  # more than two epochs
    for stop in (0, 1, 7, 18, 19, 38):
        loader = make_loader(source, **options)
        take(loader, stop)
        state = json.loads(json.dumps(loader.get_state()))
        resumed = make_loader(source, **options)
        resumed.set_state(state)
        assert_same(take(resumed, 45 - stop), whole[stop:])
        loader.set_state(state)  # also going back on the same iterator
        assert_same(take(loader, 2), whole[stop : stop + 2])


def test_threads_and_batch_method_do_not_change_the_batches(source):
    options = dict(batch_size=16, seed=5, transform=AUGMENT)
    whole = take(make_loader(source, num_threads=0, **options), 6)
    assert_same(take(make_loader(source, num_threads=4, **options), 6), whole)
    assert_same(take(make_loader(OneByOne(source), num_threads=2, **options), 6), whole)


@pytest.mark.parametrize("process_count", [2, 4])
def test_processes_share_the_global_batches(source, process_count):
    options = dict(seed=9, transform=AUGMENT, num_threads=0)
    whole = take(make_loader(source, batch_size=32, **options), 25)
    share = 32 // process_count
    for index in range(process_count):
        loader = make_loader(source, batch_size=share, process_index=index,
                             process_count=process_count, **options)  # fmt: skip
        rows = slice(index * share, (index + 1) * share)
        expected = [{key: value[rows] for key, value in batch.items()} for batch in whole]
        assert_same(take(loader, 25), expected)


def test_state_carries_over_to_another_number_of_processes(source):
    loader = make_loader(source, batch_size=32, seed=9, num_threads=1)
    take(loader, 3)
    halves = [
        make_loader(source, batch_size=16, seed=9, process_index=p, process_count=2) for p in (0, 1)
    ]
    for half in halves:
        half.set_state(loader.get_state())
    following, parts = next(loader), [next(half) for half in halves]
    joined = {key: np.concatenate([part[key] for part in parts]) for key in following}
    assert_same([joined], [following])


def test_every_epoch_is_a_new_permutation():
    loader = make_loader(Numbered(60), batch_size=8, seed=1, num_epochs=2, num_threads=0)
    labels = np.concatenate([batch["label"] for batch in loader])
    assert labels.size == 120
    for epoch in (labels[:60], labels[60:]):
        assert sorted(epoch) == list(range(60))
        assert np.abs(np.corrcoef(epoch, np.arange(60))[0, 1]) < 0.5
    assert not np.array_equal(labels[:60], labels[60:])
    other = make_loader(Numbered(60), batch_size=60, seed=2, num_threads=0)
    assert not np.array_equal(next(other)["label"], labels[:60])


def test_augmentation_differs_between_epochs_and_samples():
    class Same(Numbered):
        def __getitem__(self, index):
            return {"image": np.arange(60, dtype=np.uint8).reshape(4, 5, 3), "label": 0}

    flip = HorizontalFlip()
    loader = make_loader(Same(64), batch_size=64, seed=0, transform=flip, num_threads=0)
    flips = np.array([next(loader)["image"][:, 0, 0, 0] > 0 for _ in range(8)])
    assert 0.35 < flips.mean() < 0.65
    assert len({row.tobytes() for row in flips}) == 8


def test_values_are_float_in_the_unit_interval_unless_the_transform_is_float():
    batch = next(make_loader(Numbered(256), batch_size=256, seed=0, shuffle=False, num_threads=0))
    assert batch["image"].dtype == np.float32
    assert batch["label"].dtype == np.int32
    assert batch["image"].shape == (256, 4, 5, 3)
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], np.arange(256, dtype="f4") / 255)
    loader = make_loader(Numbered(4), batch_size=4, seed=0, shuffle=False, transform=Normalize())
    expected = (np.arange(4) / 255 - 0.485) / 0.229
    np.testing.assert_allclose(next(loader)["image"][:, 0, 0, 0], expected, atol=1e-6)


def test_evaluation_sees_every_sample_once_in_order():
    options = dict(seed=0, shuffle=False, num_epochs=1, drop_remainder=False)
    batches = list(make_loader(Numbered(21), batch_size=8, **options))
    assert [len(batch["label"]) for batch in batches] == [8, 8, 5]
    np.testing.assert_array_equal(np.concatenate([b["label"] for b in batches]), np.arange(21))
    dropped = list(make_loader(Numbered(21), batch_size=8, **{**options, "drop_remainder": True}))
    assert [len(batch["label"]) for batch in dropped] == [8, 8]


def test_evaluation_on_processes_takes_equal_steps():
    options = dict(seed=0, shuffle=False, num_epochs=1, drop_remainder=False, process_count=3)
    parts = [
        list(make_loader(Numbered(17), batch_size=4, process_index=p, **options)) for p in range(3)
    ]
    assert [len(part) for part in parts] == [2, 2, 2]
    assert [len(part[1]["label"]) for part in parts] == [4, 1, 0]
    assert parts[2][1]["image"].shape == (0, 4, 5, 3)
    joined = np.concatenate([part[step]["label"] for step in (0, 1) for part in parts])
    np.testing.assert_array_equal(joined, np.arange(17))


@pytest.mark.parametrize("num_threads", [0, 2])
def test_an_unreadable_image_stops_the_run_by_name(num_threads):
    source = Numbered(20, unreadable=[13])
    loader = make_loader(source, batch_size=4, seed=0, shuffle=False, num_threads=num_threads)
    take(loader, 3)
    with pytest.raises(UnreadableImageError, match="number-13.png: torn.*on_error"):
        next(loader)


def test_skipping_keeps_training_batches_full_and_evaluation_exact():
    source = Numbered(12, unreadable=[2, 3, 11], on_error="skip")
    options = dict(batch_size=4, seed=0, shuffle=False, num_epochs=1)
    training = [batch["label"].tolist() for batch in make_loader(source, **options)]
    assert training == [[0, 1, 4, 4], [4, 5, 6, 7], [8, 9, 10, 0]]  # the next readable stands in
    evaluation = list(make_loader(source, drop_remainder=False, **options))
    assert [b["label"].tolist() for b in evaluation] == [[0, 1], [4, 5, 6, 7], [8, 9, 10]]
    assert [b["image"].shape[0] for b in evaluation] == [2, 4, 3]


def test_nothing_readable_is_an_error():
    source = Numbered(3, unreadable=range(3), on_error="skip")
    with pytest.raises(DataError, match="none of its 3 images is readable"):
        next(make_loader(source, batch_size=2, seed=0, num_threads=0))


def test_differing_shapes_are_an_error_with_the_remedy():
    class Growing(Numbered):
        def __getitem__(self, index):
            return {"image": np.zeros((4 + index, 5, 3), np.uint8), "label": 0}

    with pytest.raises(DataError, match=r"one shape, got .*\(4, 5, 3\).*RandomResizedCrop"):
        next(make_loader(Growing(4), batch_size=2, seed=0, shuffle=False, num_threads=0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(batch_size=0), "batch_size must lie in"),
        (dict(batch_size=2.0), "batch_size must be an integer, got 2.0"),
        (dict(seed=-1), "seed must lie in"),
        (dict(seed=2**32), "seed must lie in"),
        (dict(num_epochs=0), "num_epochs must lie in"),
        (dict(process_index=2, process_count=2), r"process_index must lie in \[0, 1\], got 2"),
        (dict(process_count=0), "process_count must lie in"),
        (dict(num_threads=-1), "num_threads must lie in"),
        (dict(batch_size=8, num_epochs=1), "6 samples do not fill one batch of 8"),
    ],
)
def test_bad_arguments_are_named(options, words):
    with pytest.raises(DataError, match=words):
        make_loader(Numbered(6), **{"batch_size": 2, "seed": 0, **options})


def test_empty_source_is_named():
    with pytest.raises(DataError, match="numbered is empty"):
        make_loader(Numbered(0), batch_size=1, seed=0)
