"""TFDS without TensorFlow: a small dataset prepared here, a mocked one, and the mistakes."""

import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from aa_jax.data import DataError, make_loader, open_source, tfds_source


class TinyShapes(tfds.core.GeneratorBasedBuilder):
    """Ten constant images, of type Tensor because encoding Image needs TensorFlow."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = {}  # nothing to download; TFDS would look for checksums beside this file

    def _info(self):
        features = {
            "image": tfds.features.Tensor(shape=(6, 7, 3), dtype=np.uint8),
            "gray": tfds.features.Tensor(shape=(6, 7, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(names=["even", "odd"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, download_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(10):
            image = np.full((6, 7, 3), 20 * index, np.uint8)
            yield index, {"image": image, "gray": image[..., :1], "label": index % 2}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    TinyShapes(data_dir=folder, file_format="array_record").download_and_prepare()
    return str(folder)


def test_reads_a_prepared_dataset(data_dir):
    source = tfds_source("tiny_shapes", "train", data_dir=data_dir)
    assert source.class_names == ("even", "odd")
    assert len(source) == 10
    values = []
    for index in range(10):
        sample = source[index]
        assert sample["image"].dtype == np.uint8
        assert sample["label"] == sample["image"][0, 0, 0] // 20 % 2
        values.append(int(sample["image"].mean()))
    assert sorted(values) == list(range(0, 200, 20))
    assert "tensorflow" not in sys.modules


def test_opens_by_folder_split_slice_and_prefix(data_dir):
    assert len(tfds_source(f"{data_dir}/tiny_shapes/1.0.0", "train")) == 10
    assert len(open_source("tfds:tiny_shapes", "train[:30%]", data_dir=data_dir)) == 3
    gray = open_source("tiny_shapes", "train", data_dir=data_dir, image_key="gray")
    assert gray[4]["image"].shape == (6, 7, 3)


def test_feeds_the_loader(data_dir):
    source = tfds_source("tiny_shapes", "train", data_dir=data_dir)
    batches = list(make_loader(source, batch_size=5, seed=0, num_epochs=1))
    values = np.concatenate([batch["image"][:, 0, 0, 0] for batch in batches])
    np.testing.assert_allclose(np.sort(values), np.arange(0, 200, 20) / 255, atol=1e-7)


def test_mocked_catalogue_dataset():
    with tfds.testing.mock_data(num_examples=3):
        source = open_source("mnist", "test")
        assert source.num_classes == 10
        assert source[2]["image"].shape == (28, 28, 3)
        assert 0 <= source[2]["label"] < 10


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("cifr10", {}, "knows no dataset 'cifr10'.*did you mean cifar10"),
        ("cifar10", {}, "not prepared in .*file_format='array_record'.*download_and_prepare"),
        ("tiny_shapes:9.9.9", {}, "cannot open 'tiny_shapes:9.9.9'.*9.9.9"),
        ("tiny_shapes", {"split": "tset"}, "no split 'tset'; available: train"),
        ("tiny_shapes", {"image_key": "img"}, "set image_key to one of: .*gray .Tensor."),
        ("tiny_shapes", {"label_key": "gray"}, "'gray' .* is not a class label"),
        ("tiny_shapes", {"image_key": "label"}, "must be a uint8 image .*int64"),
        ("", {}, "expected a TFDS name"),
    ],
)
def test_mistakes_are_named(data_dir, name, options, words):
    options = {"split": "train", "data_dir": data_dir, **options}
    with pytest.raises(DataError, match=words):
        tfds_source(name, options.pop("split"), **options)


def test_a_folder_without_a_dataset_is_named(tmp_path):
    with pytest.raises(DataError, match="no dataset_info.json"):
        tfds_source(str(tmp_path), "train")


def test_tfrecord_files_are_refused_with_the_remedy(data_dir, tmp_path):
    """TFDS can't write tfrecord without TensorFlow, so the format is claimed, not written."""
    shutil.copytree(data_dir, tmp_path, dirs_exist_ok=True)
    info = tmp_path / "tiny_shapes" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(DataError, match="prepared as tfrecord, .* no random access.*array_record"):
        tfds_source("tiny_shapes", "train", data_dir=str(tmp_path))


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(DataError, match="pip install"):
        tfds_source("cifar10", "train")
