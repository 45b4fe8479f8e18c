"""Where files of feature networks are looked for, and what is said when they are not there."""

import pathlib

import pytest

from aa_jax.weights import FEATURE_FILES, feature_file


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AA_JAX_WEIGHTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_usual_place(suffix, folder):
    path = folder / f"vgg16-397923af{suffix}"
    path.touch()
    assert feature_file("vgg16") == path


@pytest.mark.parametrize("name", FEATURE_FILES)
def test_missing_file_says_where_to_get_it(name, folder, monkeypatch):
    wanted = FEATURE_FILES[name]
    with pytest.raises(FileNotFoundError) as caught:
        feature_file(name)
    for part in (str(folder / f"{wanted.stem}.pth"), wanted.address, "AA_JAX_WEIGHTS"):
        assert part in str(caught.value)
    # The beginning of the digest is part of a published name.
    assert wanted.sha256 in wanted.stem
    monkeypatch.delenv("AA_JAX_WEIGHTS")
    monkeypatch.setenv("HOME", str(folder))
    with pytest.raises(FileNotFoundError) as caught:
        feature_file(name)
    assert str(folder / ".cache/aa_jax/weights" / f"{wanted.stem}.pth") in str(caught.value)


def test_named_path(tmp_path):
    path = tmp_path / "mine.pth"
    with pytest.raises(FileNotFoundError, match="mine.pth"):
        feature_file("vgg16", path)
    path.touch()
    assert feature_file("vgg16", str(path)) == pathlib.Path(path)


def test_unknown_name():
    with pytest.raises(ValueError, match="name must be one of inception, vgg16, vgg19, lpips"):
        feature_file("alexnet")
