"""The pipeline and each augmentation alone against reference arrays at fixed percentiles."""

import jax
import numpy as np
import pytest

from aa_jax.ops.augmentation import BGC, Augmentation, augment
from aa_jax.ops.augmentation.draws import draw
from aa_jax.ops.augmentation.geometry import inverse_map
from aa_jax.ops.augmentation.warp import warp
from tests.tolerances import relative_error

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)

run = jax.jit(augment, static_argnames="augmentation")


@pytest.fixture(scope="module")
def arrays(golden):
    return {
        name: np.moveaxis(array, 1, -1) if array.ndim == 4 else array
        for name, array in golden("alias_free/augment.npz").items()
    }


def at_percentile(images, percentile, augmentation):
    return run(images, jax.random.key(0), 0.0, augmentation, percentile=percentile)


@jax.jit(static_argnames="augmentation")
def source(percentile, augmentation):
    return inverse_map(draw(jax.random.key(0), 2, 0.0, percentile), augmentation, 32, 32)


warped = jax.jit(warp)


def moved_at_percentile(images, percentile, augmentation):
    return warped(images, *source(percentile, augmentation))


@pytest.mark.parametrize(("images", "results"), [("x", "bgc"), ("x_gray", "gray")])
def test_whole_pipeline(arrays, images, results):
    for q in QUANTILES:
        result = at_percentile(arrays[images], q, BGC)
        assert relative_error(result, arrays[f"{results}_q{q}"]) <= 2e-5, q


def test_each_augmentation_alone(arrays):
    names, quantiles = arrays["single_names"].tolist(), arrays["single_q"].tolist()
    assert len(names) == 13
    for name, q in zip(names, quantiles, strict=True):
        augmentation = Augmentation(**{name: 1.0})
        # Geometry by its two halves, so that the second is compiled once.
        by = moved_at_percentile if augmentation.moves else at_percentile
        result = by(arrays["x"], q, augmentation)
        assert relative_error(result, arrays[f"only_{name}"]) <= 2e-5, name
