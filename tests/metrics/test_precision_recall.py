"""Precision and recall against all distances at once, ties and duplicates included."""

import numpy as np
import pytest

from aa_jax.metrics.precision_recall import precision_recall


def by_brute_force(real, fake, neighbors) -> tuple[float, float]:
    def distances(a, b):
        difference = a.astype(np.float16).astype(np.float64)[:, None] - b.astype(np.float16)
        return np.sqrt(np.square(difference).sum(-1))

    def inside(points, manifold):
        radii = np.sort(distances(manifold, manifold), 1)[:, neighbors]  # 0 is the sample itself
        return np.mean([(row <= radii).any() for row in distances(points, manifold)])

    return inside(fake, real), inside(real, fake)


@pytest.mark.parametrize(("block", "row_block"), [(10_000, 1_000), (16, 7), (20, 60)])
@pytest.mark.parametrize("kind", ["continuous", "ties"])
def test_equals_brute_force(kind, block, row_block):
    random = np.random.default_rng(1)
    if kind == "continuous":
        real, fake = random.standard_normal((60, 4)), 0.8 * random.standard_normal((45, 4)) + 0.4
    else:  # whole numbers: exact in float32, many equal distances, many duplicates
        real, fake = random.integers(0, 4, (60, 4)), random.integers(1, 5, (45, 4))
    for neighbors in (1, 3):
        result = precision_recall(real, fake, neighbors=neighbors, block=block, row_block=row_block)
        expected = by_brute_force(real, fake, neighbors)
        assert (result.precision, result.recall) == pytest.approx(expected, abs=1e-12)
        assert 0 < result.precision < 1 and 0 < result.recall < 1


def test_a_sample_is_its_own_nearest_neighbour():
    """On the line 0, 1, 3, 6 and k = 1 the radii are 1, 1, 2, 3; the border belongs to the ball."""
    real = np.array([[0.0], [1.0], [3.0], [6.0]])
    for point, inside in ((-1.0, 1), (-1.001, 0), (9.0, 1), (9.01, 0)):
        fake = np.array([[point], [1000.0]])
        assert precision_recall(real, fake, neighbors=1).precision == inside / 2


def test_copies_have_radius_zero_and_are_inside():
    random = np.random.default_rng(2)
    kinds = np.maximum(random.standard_normal((30, 4096)), 0)
    real = np.repeat(kinds[:20], 4, 0)
    result = precision_recall(real, kinds, block=37, row_block=11)
    assert result.precision == pytest.approx(20 / 30)  # rounding neither adds nor loses any
    assert precision_recall(real[:79], kinds[10:], neighbors=3).precision < 1
    assert precision_recall(real, kinds[:20], neighbors=1).recall == 1


def test_equal_sets_are_inside_of_each_other(rng):
    features = rng.standard_normal((50, 100))
    result = precision_recall(features, features[::-1])
    assert (result.precision, result.recall) == (1, 1)
    text = "precision 1.0000, recall 1.0000 (50 real and 50 generated, 3 neighbours)"
    assert str(result) == text


def test_bad_arguments():
    good = np.zeros((5, 3))
    with pytest.raises(ValueError, match="fake must be features .* more than 3 samples"):
        precision_recall(good, good[:3])
    with pytest.raises(ValueError, match="one dimension, got 3 and 2"):
        precision_recall(good, good[:, :2])
    with pytest.raises(ValueError, match="real must be finite and below 65504"):
        precision_recall(good + 1e5, good)
    for name in ("neighbors", "block", "row_block"):
        with pytest.raises(ValueError, match=f"{name} must be a positive integer"):
            precision_recall(good, good, **{name: 0})
