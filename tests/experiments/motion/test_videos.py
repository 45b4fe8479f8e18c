"""The films that configs describe."""

import numpy as np
import pytest

from experiments.motion import videos
from tests.data.films import write_film
from tests.experiments.motion.tiny_motion import SIDE, frames, tiny_config


@pytest.fixture
def folder(tmp_path):
    for split, names in (("train", ("a#1", "a#2", "b#1")), ("test", ("c", "d", "e"))):
        (tmp_path / split).mkdir()
        for number, name in enumerate(names):
            film = frames(2, seed=number, height=40, width=48)
            write_film(tmp_path / split / f"{name}.mkv", film)
    return tmp_path


def config_of(folder, **settings):
    config = tiny_config()
    config.data.source = str(folder)
    config.data.update(settings)
    return config


def test_films_of_a_folder(folder):
    config = config_of(folder, id_sampling=True, test_videos=2, repeats=5)
    train, test = videos.open_videos(config)
    assert len(train) == 3 and len(train.groups) == 2, "two people"
    assert videos.samples_per_epoch(config, train) == 10
    assert len(test) == 2 and len(list(test)) == 2
    assert test[1]["frames"].shape == (2, SIDE, SIDE, 3)
    with pytest.raises(IndexError, match="index must be less than 2, got 2"):
        test[2]
    every = config_of(folder, id_sampling=False, test_videos=0)
    train, test = videos.open_videos(every)
    assert len(train.groups) == 3 and len(test) == 3
    assert len(videos.open_test_videos(every)) == 3


def test_photographs_for_testing_are_others():
    config = tiny_config()
    config.data.train_videos, config.data.test_videos = 1, 1
    train, test = videos.open_videos(config)
    again = videos.open_test_videos(config)[0]["frames"]
    assert train[0]["frames"].shape == (3, SIDE, SIDE, 3)
    assert (train[0]["frames"] != test[0]["frames"]).any()
    np.testing.assert_array_equal(test[0]["frames"], again)


def test_a_source_must_be_named():
    config = config_of("")
    for function in (videos.open_videos, videos.open_test_videos):
        with pytest.raises(ValueError, match="it is empty: set it with --config.data.source="):
            function(config)
