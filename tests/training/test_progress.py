"""Lines that say how far a long command has come."""

from aa_jax.training.progress import with_progress


def test_progress_is_a_line_now_and_then(capsys):
    assert list(with_progress(iter("abc"), 3, "frame", seconds=0)) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines() == ["frame 1/3", "frame 2/3", "frame 3/3"]
    assert list(with_progress("abc", 3, "frame", seconds=60)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_progress_without_an_end(capsys):
    assert list(with_progress("ab", None, "frame", seconds=0)) == ["a", "b"]
    assert capsys.readouterr().err.splitlines() == ["frame 1", "frame 2"]
