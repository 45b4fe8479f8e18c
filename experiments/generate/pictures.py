"""A generator, told once how to draw, as a stream of pictures in bytes."""

import dataclasses
import math
import operator
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from aa_jax.models.alias_free import (
    Generator,
    latents_from_seeds,
    map_latents,
    one_hot,
    synthesize,
    to_uint8,
)
from aa_jax.weights import load_generator

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA


@dataclasses.dataclass(frozen=True)
class Painter:
    """A generator, and what all pictures of one command have in common.

    Attributes:
        generator: the network.
        label: class of all pictures; None for an unconditional network.
        truncation_psi: 1 draws from the whole distribution, smaller values nearer to the mean.
        truncation_cutoff: how many layers are truncated, from the input; None: all.
        batch_size: pictures computed at a time.

    Raises:
        ValueError: a number is out of its range, the class missing or surplus, or the network's
            pictures have a number of channels that no picture file has.
    """

    generator: Generator
    label: int | None = None
    truncation_psi: float = 1.0
    truncation_cutoff: int | None = None
    batch_size: int = 8

    def __post_init__(self):
        if not math.isfinite(self.truncation_psi):
            raise ValueError(f"trunc must be finite, got {self.truncation_psi}")
        cutoff, num_ws = self.truncation_cutoff, self.generator.synthesis.plan.num_ws
        if cutoff is not None and not 0 <= operator.index(cutoff) <= num_ws:
            raise ValueError(f"trunc-cutoff must lie from 0 to {num_ws}, got {cutoff}")
        if operator.index(self.batch_size) < 1:
            raise ValueError(f"batch-size must be at least 1, got {self.batch_size}")
        channels = self.generator.synthesis.plan.img_channels
        if channels not in CHANNELS:
            raise ValueError(
                f"network must draw pictures of {', '.join(map(str, CHANNELS))} channels, got one "
                f"that draws {channels}"
            )
        try:
            one_hot(self.label, 1, self.generator.c_dim)
        except ValueError as error:
            raise ValueError(f"class: {error}") from error

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a picture."""
        return self.generator.synthesis.plan.resolution

    def latents(self, seeds: Sequence[int]) -> np.ndarray:
        """Latents (N, num_ws, w_dim) of seeds."""
        return map_latents(
            self.generator,
            latents_from_seeds(seeds, self.generator.z_dim),
            one_hot(self.label, len(seeds), self.generator.c_dim),
            truncation_psi=self.truncation_psi,
            truncation_cutoff=self.truncation_cutoff,
        )

    def draw(
        self,
        count: int,
        latents: Callable[[np.ndarray], np.ndarray],
        transforms: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Iterator[np.ndarray]:
        """Draws pictures one after another; no more than one batch is held.

        Args:
            count: how many.
            latents: from numbers of pictures, (N,), to their latents (N, num_ws, w_dim).
            transforms: from numbers of pictures to their transforms, (3, 3) or (N, 3, 3); None
                leaves pictures where they are.

        Yields:
            uint8 (height, width, channels).

        Raises:
            ValueError: the device's memory does not suffice for a batch.
        """
        size = min(self.batch_size, count)
        for start in range(0, count, size):
            # The last batch is filled up with the last picture, so that no shape is compiled anew.
            numbers = np.minimum(np.arange(start, start + size), count - 1)
            transform = None if transforms is None else transforms(numbers)
            try:
                images = synthesize(
                    self.generator, latents(numbers), transform=transform, batch_size=size
                )
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                remedy = "choose a smaller one" if size > 1 else "the network needs more memory"
                raise ValueError(
                    f"batch-size: the device has no memory for {size} pictures at a time; {remedy}"
                ) from error
            yield from to_uint8(images[: count - start])


def load_painter(path: str | os.PathLike, **options) -> Painter:
    """Loads a network file, `.pkl` or `.safetensors`, for a `Painter` with `options`.

    Raises:
        ValueError: the file is missing or no such network, or an option is out of its range.
    """
    if not pathlib.Path(path).is_file():
        raise ValueError(f"network must be a file, there is none at {os.fspath(path)}")
    try:
        generator = load_generator(path)
    except OSError as error:
        raise ValueError(f"network: can't read {os.fspath(path)}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"network: {error}") from error
    return Painter(generator, **options)
