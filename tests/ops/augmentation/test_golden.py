"""The pipeline and each augmentation alone against reference arrays at fixed percentiles."""

import jax
import numpy as np
import pytest

from aa_jax.ops.augmentation import BGC, Augmentation, augment
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


@pytest.mark.parametrize(("images", "results"), [("x", "bgc"), ("x_gray", "gray")])
def test_whole_pipeline(arrays, images, results):
    for q in QUANTILES:
        result = at_percentile(arrays[images], q, BGC)
        assert relative_error(result, arrays[f"{results}_q{q}"]) <= 2e-5, q


def test_each_augmentation_alone(arrays):
    names, quantiles = arrays["single_names"].tolist(), arrays["single_q"].tolist()
    assert len(names) == 13
    for name, q in zip(names, quantiles, strict=True):
        result = at_percentile(arrays["x"], q, Augmentation(**{name: 1.0}))
        assert relative_error(result, arrays[f"only_{name}"]) <= 2e-5, name
