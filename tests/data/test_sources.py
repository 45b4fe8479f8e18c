"""The one way in: what a name, a folder and a typo open."""

import numpy as np
import pytest
from PIL import Image

from aa_jax.data import DataError, open_source


def fill(folder, classes):
    for name in classes:
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / name / "1.png")


def test_photographs_by_name():
    source = open_source("photographs", "test", size=24, num_samples=10)
    assert source.name == "photographs-v1/test"
    assert source[9]["image"].shape == (24, 24, 3)


@pytest.mark.parametrize("test_name", ["test", "val", "validation"])
def test_split_folders_share_the_training_labels(tmp_path, test_name):
    fill(tmp_path / "train", ["ant", "bee", "cat"])
    fill(tmp_path / test_name, ["bee", "cat"])  # labels would shift if taken from here
    assert open_source(tmp_path, "train").labels.tolist() == [0, 1, 2]
    source = open_source(str(tmp_path), "test")
    assert source.class_names == ("ant", "bee", "cat")
    assert source.labels.tolist() == [1, 2]


def test_missing_split_folders_are_named(tmp_path):
    fill(tmp_path / "train", ["ant", "bee"])
    with pytest.raises(DataError, match="split 'test' .test or val or validation.; it has train"):
        open_source(tmp_path, "test")
    with pytest.raises(DataError, match="no folder for split 'extra'"):
        open_source(tmp_path, "extra")
    with pytest.raises(DataError, match="holds no split folders"):
        open_source(tmp_path / "train", "train")


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "some/where"])
def test_paths_that_are_no_folder_are_named(name):
    with pytest.raises(DataError, match="is not a folder; expected an existing folder"):
        open_source(name, "train")
