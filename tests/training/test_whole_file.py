"""aa_jax.training.whole_file: an earlier file is replaced by a whole one, or stays."""

import os
import stat

import pytest

from aa_jax.training.whole_file import replacing


def test_a_file_is_replaced_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "earlier"
        assert temporary.name == path.name and temporary.parent.parent == tmp_path
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with pytest.raises(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "earlier" and os.listdir(tmp_path) == ["a.txt"]


def test_it_has_the_rights_that_new_files_have(tmp_path):
    (tmp_path / "plain").touch()
    with replacing(tmp_path / "a") as temporary:
        temporary.touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a")]
    assert modes[0] == modes[1]


def test_there_must_be_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "a"):
        pass
