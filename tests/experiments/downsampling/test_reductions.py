"""Where samples are, and the baseline read elsewhere."""

import numpy as np
import pytest

from aa_jax.ops.downsample import METHODS, downsample
from experiments.downsampling.reductions import (
    SHIFT,
    mean_of_four,
    reductions,
    sampling_offset,
    shifted_baseline,
)
from tests.experiments.downsampling import methods


@pytest.mark.parametrize(
    "apply, offset",
    [
        (methods.subsample, 0),
        (methods.area, 1.5),
        (lambda x: x[:, 2::4, 2::4], 2),
        (lambda x: 0.95 * methods.gaussian(x, 0.5), 0.5),
    ],
)
def test_a_ramp_tells_where_samples_are(apply, offset):
    assert sampling_offset(lambda x: apply(np.asarray(x))) == offset


def test_odd_places_are_refused():
    for apply in (lambda x: methods.gaussian(x, 0.25), lambda x: x[:, ::4, 1::4]):
        with pytest.raises(ValueError, match="half way"):
            sampling_offset(lambda x, apply=apply: apply(np.asarray(x)))


@pytest.mark.parametrize("shift", [0.0, SHIFT, 0.3])
def test_the_baseline_shifted(rng, shift):
    images = rng.random((2, 32, 32, 3)).astype(np.float32)
    made = shifted_baseline(shift).apply(images)
    np.testing.assert_allclose(made, methods.gaussian(images, shift), atol=1e-6)


def test_unshifted_it_is_the_baseline(rng):
    images = rng.random((1, 32, 32, 3)).astype(np.float32)
    expected = downsample(images, 4, method="gaussian")
    np.testing.assert_allclose(shifted_baseline(0).apply(images), expected, atol=1e-6)


def test_means_of_four_are_half_a_pixel_beside(rng):
    images = rng.random((1, 8, 8, 3)).astype(np.float32)
    expected = images.reshape(1, 2, 4, 2, 4, 3)[:, :, :2, :, :2].mean((2, 4))
    np.testing.assert_allclose(mean_of_four().apply(images), expected, atol=1e-6)
    assert sampling_offset(mean_of_four().apply) == mean_of_four().offset == 0.5


@pytest.mark.slow
def test_every_method_in_its_phases():
    found = {reduction.key: reduction.offset for reduction in reductions()}
    for method in METHODS:
        native = found[f"{method}/native"]
        assert native in (0, 1.5)
        # Aligned only where that is another place, and then it is the baseline's.
        assert found.get(f"{method}/aligned") == (0 if native else None)
    half_way = {"bicubic", "bilinear", "area", "lanczos", "kaiser_sinc", "jinc"}
    assert half_way <= {key.split("/")[0] for key, offset in found.items() if offset}
    assert found["gaussian/native"] == found["subsample/native"] == 0
