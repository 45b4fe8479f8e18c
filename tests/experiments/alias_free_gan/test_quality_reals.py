"""Features of real images: padding, the cache, and what it refuses."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.inception import InceptionOutput, inception_input
from aa_jax.models.perceptual import vgg16_input
from aa_jax.training import distributed
from experiments.alias_free_gan.detectors import of_network
from experiments.alias_free_gan.features import Batch, gather
from experiments.alias_free_gan.real_statistics import real_batches, real_features
from tests.experiments.alias_free_gan import quality_fakes as fakes


@pytest.fixture(scope="module")
def mesh():
    return distributed.data_mesh()


@pytest.fixture(scope="module")
def inception():
    return fakes.detectors()["inception"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AA_JAX_CACHE", str(tmp_path / "statistics"))
    return tmp_path / "statistics"


@pytest.fixture
def compute(mesh, inception):
    def run(source, *, detector=inception, kept=(), count=None):
        source.reads = 0
        count = len(source) if count is None else count
        found = real_features(source, count, detector, kept, mesh=mesh, batch_size=10)
        return found, source.reads > 2  # more than the shape was read

    return run


def check(found, images):
    expected = fakes.features_of(images)
    assert found.statistics.count == len(images)
    np.testing.assert_allclose(found.statistics.mean, expected.mean(0), rtol=1e-12)
    covariance = np.cov(expected.T, bias=True)
    np.testing.assert_allclose(found.statistics.covariance, covariance, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("count", "channels"), [(37, 3), (5, 3), (16, 3), (20, 1)])
def test_what_fills_up_the_last_batch_does_not_count(compute, count, channels):
    source = fakes.TinySource(count, channels)
    found, _ = compute(source, kept={"features"})
    check(found, source.images)
    expected = fakes.features_of(source.images)
    np.testing.assert_allclose(found.kept["features"], expected, rtol=1e-6)


def test_part_of_a_data_set_is_evenly_spaced(compute):
    source = fakes.TinySource(37)
    found, _ = compute(source, count=12)
    check(found, source.images[[0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33]])


def test_batches_are_of_one_size_and_divided_over_the_devices(mesh):
    source = fakes.TinySource(37)
    batches = list(real_batches(source, 37, mesh=mesh, batch_size=10))
    assert [batch.count for batch in batches] == [16, 16, 5]
    assert all(batch.images.shape == (16, 8, 8, 3) for batch in batches)
    assert all(len(batch.images.sharding.device_set) == mesh.size for batch in batches)
    images = np.concatenate([np.asarray(batch.images)[: batch.count] for batch in batches])
    np.testing.assert_array_equal(images, source.images)


def test_the_second_time_comes_from_the_cache(compute, cache, capsys):
    source = fakes.TinySource()
    first, read = compute(source, kept={"features"})
    assert read and "computing features of 37 real images" in capsys.readouterr().out
    again, read = compute(source, kept={"features"})
    assert not read and capsys.readouterr().out == ""
    np.testing.assert_array_equal(again.statistics.covariance, first.statistics.covariance)
    np.testing.assert_array_equal(again.kept["features"], first.kept["features"])
    assert len(list(cache.iterdir())) == 1


def test_other_images_networks_and_counts_are_kept_apart(compute, cache, inception):
    mine = fakes.TinySource()
    other = fakes.TinySource(seed=6, digest="other")
    every_row, some_rows = np.arange(37), np.arange(30) * 37 // 30
    for source, changes, rows in (
        (mine, {}, every_row),
        (other, {}, every_row),
        (mine, {"detector": dataclasses.replace(inception, digest="d2")}, every_row),
        (mine, {"detector": dataclasses.replace(inception, dialect="pytorch")}, every_row),
        (mine, {"count": 30}, some_rows),
    ):
        found, read = compute(source, **changes)
        assert read
        check(found, source.images[rows])
    assert len(list(cache.iterdir())) == 5


def test_a_file_of_other_images_is_refused_and_replaced(compute, cache, capsys):
    compute(fakes.TinySource())
    (theirs,) = cache.iterdir()
    content = theirs.read_bytes()
    theirs.unlink()
    mine = fakes.TinySource(seed=6, digest="mine")
    compute(mine)
    (place,) = cache.iterdir()
    place.write_bytes(content)
    capsys.readouterr()
    found, read = compute(mine)
    assert read
    check(found, mine.images)
    (line,) = capsys.readouterr().out.splitlines()
    assert "dataset_digest is 'abc', not 'mine'" in line
    assert not compute(mine)[1]


def test_a_damaged_file_is_replaced(compute, cache, capsys):
    source = fakes.TinySource()
    compute(source)
    (place,) = cache.iterdir()
    place.write_bytes(place.read_bytes()[:-100])
    capsys.readouterr()
    found, read = compute(source)
    assert read
    check(found, source.images)
    (line,) = capsys.readouterr().out.splitlines()
    assert "again" in line and str(place) in line
    assert not compute(source)[1]


def test_features_are_added_where_only_their_mean_was_kept(compute, capsys):
    source = fakes.TinySource()
    assert compute(source)[0].kept == {}
    capsys.readouterr()
    found, read = compute(source, kept={"features"})
    assert read and len(found.kept["features"]) == 37
    assert "mean and covariance only" in capsys.readouterr().out
    assert not compute(source)[1]


def test_a_folder_that_cannot_be_written_is_no_error(compute, cache, capsys):
    cache.write_text("a file where the folder should be")
    source = fakes.TinySource()
    check(compute(source)[0], source.images)
    assert "could not be kept" in capsys.readouterr().out


def test_a_data_set_of_one_image_is_an_error(compute):
    with pytest.raises(ValueError, match="some/folder/tiny must hold at least 2"):
        compute(fakes.TinySource(1))


def test_missing_images_are_an_error(mesh, inception):
    images = jax.device_put(np.zeros((8, 8, 8, 3), np.uint8), distributed.batch_sharding(mesh))
    with pytest.raises(ValueError, match="must be 9 images, got 8"):
        gather([Batch(images, 8)], 9, {inception: ()}, mesh)


class Echo(nnx.Module):
    """Gives back some of what it sees."""

    def __init__(self):
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, x):
        return self.kind(x[:, ::50, ::50].reshape(len(x), -1) * self.scale[...])


@pytest.mark.parametrize("name", ["inception", "vgg16"])
def test_networks_see_images_in_the_dialect(name, rng):
    echo, images = Echo(), rng.integers(0, 256, (2, 8, 8, 3), np.uint8)
    echo.kind = (lambda x: InceptionOutput(x, x)) if name == "inception" else (lambda x: x)
    prepare = {"inception": inception_input, "vgg16": vgg16_input}[name]
    found = {}
    for dialect in ("pytorch", "tensorflow"):
        detector = of_network(name, echo, dialect=dialect, digest="d")
        assert (detector.name, detector.dialect, detector.digest) == (name, dialect, "d")
        found[dialect] = detector.apply(detector.weights, images)["features"]
        expected = prepare(images, dialect=dialect)[:, ::50, ::50].reshape(2, -1)
        np.testing.assert_allclose(found[dialect], expected, rtol=1e-6)
    assert np.abs(found["pytorch"] - found["tensorflow"]).max() > 0.01


def test_path_lengths_see_images_as_they_are(rng):
    echo, images = Echo(), rng.uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    echo.kind = lambda x: x
    detector = of_network("lpips", echo, dialect="clean", digest="d")
    assert detector.dialect == ""
    found = detector.apply(detector.weights, images)["features"]
    np.testing.assert_array_equal(found, images[:, 0, 0])
