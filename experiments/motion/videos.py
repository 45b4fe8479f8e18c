"""The films a config describes: for training in pairs of frames, for evaluation whole."""

import itertools

import ml_collections

from aa_jax import data
from aa_jax.data.frame_pairs import ColourJitter, FramePairs, HeldVideos
from aa_jax.data.moving_photographs import MovingPhotographs
from aa_jax.data.video_folder import VideoFolder
from aa_jax.training import distributed

MOVING_PHOTOGRAPHS = "moving_photographs"
# Far from the seeds of training films, which count up from the config's.
_TEST_SEED = 2**20


def open_videos(config: ml_collections.ConfigDict):
    """Opens (train, test) of `config.data`.

    Raises:
        ValueError: no source is named, or there is no such folder, or no film in it.
    """
    settings = config.data
    if settings.source == MOVING_PHOTOGRAPHS:
        return _moving_photographs(settings, "train", config.seed), open_test_videos(config)
    test = open_test_videos(config)
    grouping = "identity" if settings.id_sampling else "video"
    size = settings.frame_size
    return VideoFolder(settings.source, "train", size=size, grouping=grouping), test


def open_test_videos(config: ml_collections.ConfigDict):
    """Opens the films of `open_videos` that are for evaluation."""
    settings = config.data
    if settings.source == MOVING_PHOTOGRAPHS:
        return _moving_photographs(settings, "test", _TEST_SEED)
    if not settings.source:
        raise ValueError(
            "data.source must be a folder with train/ and test/ of films, or "
            f"{MOVING_PHOTOGRAPHS!r}; it is empty: set it with --config.data.source=FOLDER"
        )
    test = VideoFolder(settings.source, "test", size=settings.frame_size)
    return _First(test, settings.test_videos or len(test))


def train_batches(config: ml_collections.ConfigDict, films, mesh):
    """An endless, resumable iterator over this process's share of batches of frame pairs."""
    settings = config.data
    jitter = None
    if settings.jitter or settings.hue:
        jitter = ColourJitter(*(settings.jitter,) * 3, hue=settings.hue)
    pairs = FramePairs(films, repeats=settings.repeats, seed=config.seed, jitter=jitter)
    return data.make_loader(
        pairs,
        batch_size=distributed.local_batch_size(config.batch_size, mesh),
        seed=config.seed,
        shuffle=True,
        **distributed.process(),
    )


def samples_per_epoch(config: ml_collections.ConfigDict, films) -> int:
    """Pairs of frames in an epoch."""
    return config.data.repeats * len(films.groups)


def _moving_photographs(settings, split: str, seed: int) -> HeldVideos:
    count, options = settings[f"{split}_videos"], dict(size=settings.frame_size, seed=seed)
    names = ("num_frames", "num_parts", "cast", "drift")
    options |= {name: settings[name] for name in names}
    return HeldVideos(MovingPhotographs(count, **options))


class _First:
    """The first so many films of a source."""

    def __init__(self, films, count: int):
        self._films, self._count = films, min(count, len(films))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int):
        if index >= self._count:
            raise IndexError(f"index must be less than {self._count}, got {index}")
        return self._films[index]

    def __iter__(self):
        return (self._films[index] for index in itertools.islice(itertools.count(), self._count))
