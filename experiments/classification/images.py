"""The training and test images a config describes, and how they are augmented."""

import ml_collections

from aa_jax import data
from aa_jax.training import distributed

AUGMENTATIONS = ("none", "standard", "center")


def open_sources(config: ml_collections.ConfigDict):
    """Opens (train, test) of `config.data`.

    Raises:
        ValueError: there is no such data, fewer than two classes, or the two do not agree on
            the classes.
    """
    settings = config.data
    train, test = (
        data.open_source(settings.source, split, **options.to_dict())
        for split, options in (
            (settings.train_split, settings.train_options),
            (settings.test_split, settings.test_options),
        )
    )
    if train.num_classes < 2:
        raise ValueError(
            f"data.source must have at least two classes to tell apart, {train.name} has "
            f"{train.num_classes}: {', '.join(train.class_names) or 'none'}"
        )
    if tuple(train.class_names) != tuple(test.class_names):
        raise ValueError(
            f"the test set must have the classes of the training set, {train.name} has "
            f"{train.num_classes} and {test.name} {test.num_classes}, not all with the same names"
        )
    return train, test


def train_transform(config: ml_collections.ConfigDict):
    """What happens to a training image.

    "standard": a random part of random area and aspect ratio, resized, mirrored at random.
    "center": resized, its centre cut out, mirrored at random. "none": the image as it is.
    """
    size, resize = config.data.image_size, config.data.resize
    if config.data.augmentation == "standard":
        return data.Compose(data.RandomResizedCrop(size), data.HorizontalFlip())
    if config.data.augmentation == "center":
        return data.Compose(
            data.ResizeShorterSide(resize), data.CenterCrop(size), data.HorizontalFlip()
        )
    if config.data.augmentation == "none":
        return None
    raise ValueError(
        f"data.augmentation must be one of {', '.join(AUGMENTATIONS)}, got "
        f"{config.data.augmentation!r}"
    )


def test_transform(config: ml_collections.ConfigDict):
    """What happens to a test image: resized and its centre cut out, or nothing."""
    if config.data.augmentation == "none":
        return None
    return data.Compose(
        data.ResizeShorterSide(config.data.resize), data.CenterCrop(config.data.image_size)
    )


def train_batches(config: ml_collections.ConfigDict, source, mesh):
    """An endless, resumable iterator over this process's share of shuffled batches."""
    return data.make_loader(
        source,
        batch_size=distributed.local_batch_size(config.batch_size, mesh),
        seed=config.seed,
        shuffle=True,
        transform=train_transform(config),
        **distributed.process(),
    )


def test_batches(config: ml_collections.ConfigDict, source, mesh):
    """One pass over this process's share of the test set, in order."""
    return data.make_loader(
        source,
        batch_size=distributed.local_batch_size(config.eval_batch_size, mesh),
        seed=0,
        shuffle=False,
        transform=test_transform(config),
        num_epochs=1,
        drop_remainder=False,
        **distributed.process(),
    )
