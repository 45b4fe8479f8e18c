"""Numbers of the quality metrics against NumPy and SciPy on the same images."""

import jax
import numpy as np
import pytest
import scipy.linalg
from jax import numpy as jnp

from aa_jax import metrics
from experiments.alias_free_gan import measuring, quality
from experiments.alias_free_gan.sampler import Sampler
from tests.experiments.alias_free_gan import quality_fakes as fakes

NAMES = (
    "fid50k_full", "kid50k_full", "pr50k3_full", "fid50k", "kid50k", "pr50k3", "is50k",
    "ppl2_wend", "eqt_int",
)  # fmt: skip
SAMPLES, SEED = 60, 3


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AA_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AA_JAX_WEIGHTS", str(tmp_path))


@pytest.fixture(scope="module")
def loaded():
    return fakes.detectors()


@pytest.fixture
def measure(loaded, monkeypatch):
    monkeypatch.setattr(measuring, "detectors_of", lambda *args, **options: loaded)

    def run(source, *, devices=8, c_dim=0, **settings):
        program, state = fakes.program(devices, c_dim)
        return quality.measure(fakes.config(**settings), program, source, state)

    return run


def latents():
    return np.random.default_rng((SEED, 0)).standard_normal((SAMPLES, fakes.Z_DIM), np.float32)


def frechet(a, b):
    """By the square root of the product of covariances."""
    (m1, m2), (c1, c2) = (a.mean(0), b.mean(0)), (np.cov(x.T, bias=True) for x in (a, b))
    root = scipy.linalg.sqrtm(c1 @ c2).real
    return ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * root)


def kernel(real, fake):
    """Published sums of the unbiased estimate, for the documented subsets."""
    size, dim, random, total = (
        min(len(real), len(fake)),
        real.shape[1],
        np.random.default_rng(SEED),
        0,
    )
    for _ in range(100):
        x, y = (s[random.choice(len(s), size, replace=False)] for s in (real, fake))
        xx, yy, xy = ((a @ b.T / dim + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        within = xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)
        total += (within / (size - 1) - 2 * xy.sum() / size) / size
    return total / 100


def share_inside(points, manifold):
    distances = np.linalg.norm(manifold[:, None] - manifold, axis=-1)
    radii = np.sort(distances, 1)[:, 3]
    return (np.linalg.norm(points[:, None] - manifold, axis=-1) <= radii).any(1).mean()


def test_every_metric_is_what_numpy_computes(measure):
    source = fakes.TinySource()
    found = measure(source, names=NAMES)
    real, fake = fakes.features_of(source.images), fakes.features_of(fakes.drawn(latents()))
    expected = {"fid": frechet(real, fake), "kid": kernel(real, fake)}
    for name, value in expected.items():
        assert found[f"{name}0.06k_full"] == pytest.approx(value, rel=1e-9)
        # There are fewer than 50 000 real images: the same ones.
        assert found[f"{name}0.06k"] == found[f"{name}0.06k_full"]

    halves = [features.astype(np.float16).astype(np.float64) for features in (real, fake)]
    for name in ("pr0.06k3", "pr0.06k3_full"):
        assert found[f"{name}_precision"] == share_inside(*halves[::-1])
        assert found[f"{name}_recall"] == share_inside(*halves)
    assert 0 < share_inside(*halves) < 1  # else it would say little

    exponentials = np.exp(8 * fake)
    p = exponentials / exponentials.sum(1, keepdims=True)
    scores = [
        np.exp((part * np.log(part / part.mean(0))).sum(1).mean()) for part in np.split(p, 10)
    ]
    assert found["is0.06k_mean"] == pytest.approx(np.mean(scores), rel=1e-5)
    assert found["is0.06k_std"] == pytest.approx(np.std(scores), rel=1e-3)

    # Everything up to the embedding is linear: images on [0, 255] over 256 at half of w.
    random = np.random.default_rng((SEED, 2))
    starts, ends = random.standard_normal((2, SAMPLES, fakes.Z_DIM), np.float32).astype(np.float64)
    lengths = np.sort((((ends - starts) * 127.5 / 512) ** 2).sum(1))
    # The lower neighbour of the 1st and the higher of the 99th percentile of 60 are the extremes.
    assert found["ppl2_wend_0.06k"] == pytest.approx(lengths.mean(), rel=1e-3)
    assert np.isfinite(found["eqt_int"])


def test_eight_devices_measure_what_one_does(measure, monkeypatch, tmp_path):
    names = (*NAMES[:7], "ppl2_wend")
    found = {}
    for devices in (1, 8):
        monkeypatch.setenv("AA_JAX_CACHE", str(tmp_path / str(devices)))
        found[devices] = measure(fakes.TinySource(), names=names, devices=devices, c_dim=2)
    assert found[8].keys() == found[1].keys()
    for name, value in found[1].items():
        tolerance = {"ppl2_wend_0.06k": 1e-3, "is0.06k_mean": 1e-6, "is0.06k_std": 1e-3}
        assert found[8][name] == pytest.approx(value, rel=tolerance.get(name, 1e-12)), name


def test_labels_are_those_of_random_rows(measure):
    source = fakes.TinySource()
    found = measure(source, c_dim=2)["fid0.06k_full"]
    rows = np.random.default_rng((SEED, 1)).integers(len(source), size=SAMPLES)
    labels = np.eye(2)[source.labels[rows]]
    expected = frechet(
        fakes.features_of(source.images), fakes.features_of(fakes.drawn(latents(), labels))
    )
    assert found == pytest.approx(expected, rel=1e-9)
    assert found != pytest.approx(measure(source)["fid0.06k_full"], rel=1e-3)


def test_a_metric_does_not_depend_on_what_else_is_measured(measure):
    source = fakes.TinySource()
    assert measure(source) == {"fid0.06k_full": measure(source, names=NAMES[:5])["fid0.06k_full"]}


def test_all_images_are_those_without_copies_and_training_images_those_given(measure, monkeypatch):
    everything = fakes.TinySource(50, seed=8, digest="all")
    monkeypatch.setattr(quality.images, "open_source", lambda config: everything)
    config = fakes.config(names=("fid50k", "fid50k_full"))
    config.data.mirror = True
    program, state = fakes.program(8)
    trained = fakes.TinySource()
    found = quality.measure(config, program, trained, state)
    fake = fakes.features_of(fakes.drawn(latents()))
    for name, source in (("fid0.06k", trained), ("fid0.06k_full", everything)):
        expected = frechet(fakes.features_of(source.images), fake)
        assert found[name] == pytest.approx(expected, rel=1e-9)


def test_equivariance_is_that_of_the_metric(measure):
    source = fakes.TinySource()
    found = measure(source, names=("eqt_int", "eqt_frac"), c_dim=2)
    expected = metrics.equivariance(
        lambda latents, transform: jnp.asarray(latents).astype(jnp.float32),
        lambda key, count: _images(key, count, source),
        resolution=fakes.SIDE,
        metrics=("eqt_int", "eqt_frac"),
        samples=8,
        batch_size=4,
        seed=SEED,
    )
    for name, value in found.items():
        assert value == pytest.approx(expected[name].decibels, abs=1e-5)


def _images(key, count, source):
    """Images that do not move, of the latents and labels drawn ever since."""
    z = np.asarray(jax.random.normal(key, (count, fakes.Z_DIM)))
    rows = np.asarray(jax.random.randint(jax.random.fold_in(key, 1), (count,), 0, len(source)))
    w = z + 2 * (np.eye(2)[source.labels[rows]] @ fakes.SHIFT)[:, None]
    return (np.round(w * 8) / 16).reshape(-1, fakes.SIDE, fakes.SIDE, 3).astype(np.float32)


def test_unreadable_real_images_are_found_before_any_is_generated(measure, monkeypatch):
    class Unreadable(fakes.TinySource):
        def __getitem__(self, index):
            if index == 20:
                raise ValueError("some/folder/tiny/20.png is damaged")
            return super().__getitem__(index)

    monkeypatch.setattr(Sampler, "batches", None)
    with pytest.raises(ValueError, match="20.png is damaged"):
        measure(Unreadable())


def test_images_that_are_not_finite_are_an_error(measure):
    program, state = fakes.program(1)
    state.ema["scale"] = state.ema["scale"] * np.nan
    with pytest.raises(ValueError, match="not finite"):
        quality.measure(fakes.config(), program, fakes.TinySource(), state)
