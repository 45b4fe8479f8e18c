"""Labels: where they may come from, what they may be, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import DataError
from aa_jax.data.preparation import Output, prepare
from aa_jax.data.preparation_labels import load_labels
from aa_jax.data.preparation_pictures import Fit, Rejected
from aa_jax.data.preparation_sources import FolderPictures
from aa_jax.data.prepared import prepared_source

NAMES = ("a/1.png", "a/2.png", "b/1.png", "loose.png")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "pictures"
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(path)
    return folder


def labels_of(root, choice="auto"):
    return load_labels(choice, FolderPictures(root, 10**6))


def test_none_at_all(root):
    assert labels_of(root).kind == "none"
    (root / "dataset.json").write_text('{"labels": null}')
    assert labels_of(root).kind == "none"
    (root / "dataset.json").write_text(json.dumps({"labels": [[name, 1] for name in NAMES]}))
    assert labels_of(root, "none").kind == "none"


def test_dataset_json_of_classes(root):
    pairs = [[name, number] for number, name in enumerate(NAMES)]
    (root / "dataset.json").write_text(json.dumps({"labels": pairs}))
    labels = labels_of(root)
    assert (labels.kind, labels.dim, labels.class_names) == ("class", 4, ())
    assert [labels.of(name, None) for name in NAMES] == [0, 1, 2, 3]


def test_class_folders(root):
    labels = labels_of(root, "folders")
    assert (labels.dim, labels.class_names) == (2, ("a", "b"))
    assert [labels.of(name, None) for name in NAMES[:3]] == [0, 0, 1]
    with pytest.raises(Rejected, match="no label in class folders"):
        labels.of("loose.png", None)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("name,label\na/1.png,1\na/2.png,0\nb/1.png,7\n", "class", [1, 0, 7]),
        ("a/1.png,cat\na/2.png, dog \nb/1.png,cat\n", "class", [0, 1, 0]),
        ("a/1.png,0.5,1\na/2.png,0,0\nb/1.png,-1,2e3\n", "vector", [(0.5, 1), (0, 0), (-1, 2000)]),
    ],
)
def test_csv(root, tmp_path, text, kind, expected):
    (tmp_path / "l.csv").write_text(text)
    labels = labels_of(root, tmp_path / "l.csv")
    assert labels.kind == kind
    assert [labels.of(name, None) for name in NAMES[:3]] == expected


def test_json_of_names(root, tmp_path):
    (tmp_path / "l.json").write_text(json.dumps(dict.fromkeys(NAMES, "x") | {"loose.png": "a"}))
    labels = labels_of(root, tmp_path / "l.json")
    assert labels.class_names == ("a", "x")
    assert [labels.of(name, None) for name in NAMES] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2", "is not valid JSON"),
        ('{"labels": 3}', "must hold"),
        ('{"labels": [["a/1.png"]]}', "must hold"),
        ('{"labels": [["a/1.png", 1], ["a/1.png", 2]]}', "names a picture twice"),
        ('{"labels": [["x.png", 1]]}', "has none of the pictures; it names 'x.png'.*'a/1.png'"),
        ('{"labels": [["a/1.png", 1], ["a/2.png", [0.5]]]}', "must all be integers"),
        ('{"labels": [["a/1.png", [1.0]], ["a/2.png", [1, 2]]]}', "must all be integers"),
        ('{"labels": [["a/1.png", -1]]}', "must all be integers from 0 on"),
        ('{"labels": [["a/1.png", true]]}', "must all be integers"),
        ('{"labels": [["a/1.png", [NaN]]]}', "finite numbers"),
        ('{"labels": [["a/1.png", null]]}', "must all be integers"),
    ],
)
def test_malformed_listings_are_named(root, text, words):
    (root / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=f"labels: .*{words}"):
        labels_of(root)


def test_malformed_csv_is_named(root, tmp_path):
    for text, words in [
        ("a/1.png,1\na/2.png\n", "must all be a name and as many labels"),
        ("a/1.png,1,cat\n", "several columns that are not numbers"),
        ("", "holds none"),
    ]:
        (tmp_path / "l.csv").write_text(text)
        with pytest.raises(DataError, match=words):
            labels_of(root, tmp_path / "l.csv")
    for choice in ("folder", tmp_path / "none.csv", tmp_path / "l.txt"):
        with pytest.raises(DataError, match='labels must be "auto", "none", "folders" or an exist'):
            labels_of(root, choice)


@pytest.mark.parametrize("kind", ["array_record", "folder"])
def test_vectors_go_through_both_formats_unchanged(root, tmp_path, kind):
    vectors = {name: [0.1 * number, 1 / 3, -7] for number, name in enumerate(NAMES[:3])}
    (root / "dataset.json").write_text(json.dumps({"labels": list(vectors.items())}))
    report = prepare(root, tmp_path / "x", fit=Fit(), output=Output(format=kind))
    assert (report.count, report.rejected) == (3, 1)  # the last has no label
    source = prepared_source(tmp_path / "x")
    assert (source.label_kind, source.label_dim, source.num_classes) == ("vector", 3, 0)
    expected = np.float32(list(vectors.values()))
    np.testing.assert_array_equal(source.labels, expected)
    for index in range(3):
        label = source[index]["label"]
        assert label.dtype == np.float32
        np.testing.assert_array_equal(label, expected[index])
