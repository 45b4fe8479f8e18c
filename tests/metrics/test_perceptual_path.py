"""Path lengths of generators whose length is known by arithmetic."""

import jax
import numpy as np
import pytest
import scipy.stats
from jax import numpy as jnp
from jax.tree_util import Partial

from aa_jax.metrics.perceptual_path import PerceptualPathLength, perceptual_path_length

GAIN = 0.3


def draw_normal(key, count: int, dim: int = 8):
    return tuple(jax.random.normal(key, (2, count, dim)))


def draw_angles(key, count: int):
    """Two points of the unit circle a sixth of it apart: their distance is 1."""
    start = jax.random.uniform(key, (count,), maxval=2 * np.pi)
    return start, start + np.pi / 3


def on_circle(angles):
    return jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)


def same(x):
    return x


def small_picture(gain, w):
    """(N, 2, dim / 2, 1): one number of w in each pixel."""
    return gain * w.reshape(len(w), 2, -1, 1)


def test_a_linear_generator_on_a_circle():
    """Every pixel is one coordinate, each in three channels of 127.5 times the value."""
    options = dict(samples=30, batch_size=5, seed=3)
    functions = Partial(small_picture, GAIN), on_circle, same
    expected = 3 * (GAIN * 127.5) ** 2
    result = perceptual_path_length(*functions, draw_angles, epsilon=0.25, **options)
    np.testing.assert_allclose(result.distances, expected, rtol=1e-5)
    # A step of 1e-4 loses digits of float32 pictures in [0, 255].
    published = perceptual_path_length(*functions, draw_angles, **options)
    assert published.value == pytest.approx(expected, rel=5e-3)
    assert (published.epsilon, len(published.distances)) == (1e-4, 30)


def test_the_mean_is_that_of_a_trimmed_chi_square():
    """Steps between normal latents of 8 dimensions: half their squared length is chi-square."""
    result = perceptual_path_length(
        Partial(small_picture, GAIN),
        same,
        lambda pictures: pictures[..., :1] / 127.5,
        draw_normal,
        samples=20_000,
        batch_size=5000,
        epsilon=0.5,
        seed=1,
    )
    low, high = scipy.stats.chi2(8).ppf([0.01, 0.99])
    trimmed = 8 * np.diff(scipy.stats.chi2(10).cdf([low, high]))[0] / 0.98
    expected = 2 * GAIN**2 * trimmed
    assert abs(result.value - expected) < 4 * result.standard_error
    assert result.standard_error < 0.005 * expected


def test_speed_is_measured_at_the_start_of_the_path():
    """The speed of exp(w) grows along the path; the pair is ordered and mapped before."""
    result = perceptual_path_length(
        lambda w: jnp.exp(w)[:, :, None, None],
        lambda latents: 2 * latents["z"],
        lambda pictures: pictures[..., 0] / 127.5,
        lambda key, count: ({"z": jnp.zeros((count, 1))}, {"z": jnp.full((count, 1), 0.5)}),
        samples=3,
        batch_size=2,
        epsilon=1e-3,
    )
    assert result.value == pytest.approx(((np.exp(1e-3) - 1) / 1e-3) ** 2, rel=2e-3)
    assert len(result.distances) == 3


def test_large_pictures_are_averaged_over_boxes():
    """A checkerboard disappears, and a picture of one colour keeps its value."""
    board = np.indices((512, 512)).sum(0)[:, :, None] % 2 * 2.0 - 1
    seen = []

    def embed(pictures):
        seen.append(pictures.shape)
        return jnp.stack([pictures.mean((1, 2, 3)), 100 * pictures.std((1, 2, 3))], -1)

    def synthesize(w):
        return w[:, 0, None, None, None] + w[:, 1, None, None, None] * board.astype(np.float32)

    result = perceptual_path_length(
        synthesize, same, embed, lambda *_: (np.float32([[0, 0]]), np.float32([[0.5, 0.5]])),
        samples=1, batch_size=1, epsilon=1.0,
    )  # fmt: skip
    assert seen == [(2, 256, 256, 3)]
    assert result.value == pytest.approx((0.5 * 127.5) ** 2, rel=1e-5)
    assert np.isnan(result.standard_error)


def test_percentiles_are_samples_and_stay():
    # Of 0, 1, ..., 249 the percentiles are 2.49 and 246.51: 2 and 247 are kept.
    values = np.random.default_rng(0).permutation(250).astype(np.float64)
    result = PerceptualPathLength(values, 1e-4, 5)
    assert sorted(result.kept) == list(range(2, 248))
    assert result.value == 124.5
    assert result.standard_error == pytest.approx(np.std(np.arange(246), ddof=1) / 246**0.5)
    assert str(result) == (
        "perceptual path length 124.5000 ± 4.5369 (250 paths, 246 of them kept, step 0.0001, "
        "seed 5)"
    )


def test_seeds_and_batches():
    def measure(**options):
        functions = Partial(small_picture, GAIN), same, same
        return perceptual_path_length(*functions, draw_normal, epsilon=0.5, **options).distances

    few, more = measure(samples=4, seed=2, batch_size=2), measure(samples=5, seed=2, batch_size=2)
    np.testing.assert_array_equal(more[:4], few)
    assert (measure(samples=4, seed=3, batch_size=2) != few).all()


def test_bad_arguments():
    def measure(synthesize=lambda w: w.reshape(len(w), 2, 4, 1), embed=same, **options):
        options = dict(samples=2, batch_size=2) | options
        return perceptual_path_length(synthesize, same, embed, draw_normal, **options)

    with pytest.raises(ValueError, match="samples must be a positive integer"):
        measure(samples=0)
    with pytest.raises(ValueError, match="epsilon must be positive and finite, got 0"):
        measure(epsilon=0)
    with pytest.raises(ValueError, match=r"pictures \(N, H, W, 1 or 3\), got shape \(4, 2, 2, 2\)"):
        measure(lambda w: w.reshape(len(w), 2, 2, 2))
    with pytest.raises(ValueError, match="1 or 3.*float16"):
        measure(lambda w: w.reshape(len(w), 2, 4, 1).astype(jnp.float16))
    with pytest.raises(ValueError, match="515 x 515 pixels must be whole multiples of 2"):
        measure(lambda w: jnp.zeros((len(w), 515, 515, 1)))
    with pytest.raises(ValueError, match=r"features \(N, ...\) of N = 4 pictures, got shape \(2,"):
        measure(embed=lambda pictures: pictures[:2])
    with pytest.raises(ValueError, match="not finite"):
        measure(embed=lambda pictures: pictures * jnp.nan)
