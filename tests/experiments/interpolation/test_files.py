"""Files of samples and mixtures: round trips, and what strangers may send."""

import numpy as np
import pytest
from jax import numpy as jnp

from aa_jax.data.array_file import ArrayFileError, read_arrays
from aa_jax.nn import GaussianMixture
from experiments.interpolation import mixture_file
from experiments.interpolation.samples_file import read_samples

RNG = np.random.default_rng(0)


def mixture() -> GaussianMixture:
    model = GaussianMixture(
        RNG.uniform(-5, 45, (50, 2)), RNG.uniform(size=(50, 3)), RNG.uniform(0.5, 3, (50, 2))
    )
    model.shear[...] = jnp.asarray(RNG.normal(size=50), jnp.float32)
    return model


def test_mixture_comes_back_in_sixteen_bits(tmp_path):
    model = mixture()
    mixture_file.save_mixture(tmp_path / "m.npz", model, (30, 40))
    loaded, size = mixture_file.load_mixture(tmp_path / "m.npz")
    assert size == (30, 40)
    np.testing.assert_allclose(loaded.points[...], model.points[...], atol=40 / 65535 + 1e-5)
    np.testing.assert_allclose(loaded.values[...], model.values[...], atol=5e-4)
    np.testing.assert_allclose(loaded.covariances(), model.covariances(), rtol=4e-3, atol=4e-3)
    again = mixture_file.rounded(model, (30, 40))
    np.testing.assert_array_equal(loaded(size).image, again(size).image)
    payload = sum(a.nbytes for a in read_arrays(tmp_path / "m.npz").values())
    assert payload == 50 * mixture_file.BYTES_PER_POINT + 8 + 12


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("points", np.zeros((50, 3), "<u2")),
        ("points", np.zeros((50, 2), "<f2")),
        ("values", np.full((50, 3), np.nan, "<f2")),
        ("values", np.zeros((49, 3), "<f2")),
        ("size", np.array([30, -1], "<i4")),
        ("size", np.array([2**30, 2**30], "<i4")),
        ("rendering", np.array([1, 1e9, 0], "<f4")),
        ("shear", None),
    ],
)
def test_damaged_mixtures_are_refused(tmp_path, name, array):
    path = tmp_path / "m.npz"
    mixture_file.save_mixture(path, mixture(), (30, 40))
    arrays = read_arrays(path) | {name: array}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(ArrayFileError, match=name):
        mixture_file.load_mixture(path)


def test_samples_of_csv_and_npz_agree(tmp_path):
    points, values = RNG.uniform(0, 9, (7, 2)), RNG.integers(0, 256, (7, 3))
    pairs = zip(points, values, strict=True)
    lines = [",".join(map(repr, (*map(float, p), *map(int, v)))) for p, v in pairs]
    (tmp_path / "s.csv").write_text("x,y,red,green,blue\n" + "\n".join(lines) + "\n\n")
    np.savez(tmp_path / "s.npz", points=points, values=values)
    for name in ("s.csv", "s.npz"):
        samples = read_samples(tmp_path / name, maximum=255)
        np.testing.assert_array_equal(samples.points, points)
        np.testing.assert_allclose(samples.values, values / 255)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no samples"),
        ("x,y,v\n", "no samples"),
        ("1,2,.5\n1,2\n", "sample 2 has 2 numbers"),
        ("1,2,.5\na,b,c\n", "sample 2 isn't numbers"),
        ("1,2,.5\n3,nan,.5\n", "samples must be finite; 1 are not, the first is number 2"),
        ("1,2,200\n", "values must lie from 0 to 1, got 200 to 200; say --maximum 255"),
        ("1,2,.1,.2\n", "has 4 numbers"),
    ],
)
def test_bad_tables_are_named(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ArrayFileError, match=message):
        read_samples(tmp_path / "s.csv")


def test_bad_arrays_are_named(tmp_path):
    np.savez(tmp_path / "s.npz", points=np.zeros((3, 2)))
    with pytest.raises(ArrayFileError, match="expected arrays points and values, got points"):
        read_samples(tmp_path / "s.npz")
    np.savez(tmp_path / "s.npz", points=np.zeros((3, 2)), values=np.zeros((4, 3)))
    with pytest.raises(ArrayFileError, match=r"values must be \(3, 1\) or \(3, 3\), got \(4, 3\)"):
        read_samples(tmp_path / "s.npz")
    with pytest.raises(ArrayFileError, match=r"\.csv or \.npz"):
        read_samples(tmp_path / "s.txt")
