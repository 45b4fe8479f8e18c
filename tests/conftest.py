"""Shared test set-up: eight simulated CPU devices and the persistent compilation cache."""

import os
import pathlib
import tempfile

# Before jax is imported: device count and cache are read at start-up.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
_flags = os.environ.get("XLA_FLAGS", "")
if "xla_force_host_platform_device_count" not in _flags:
    os.environ["XLA_FLAGS"] = f"{_flags} --xla_force_host_platform_device_count=8".strip()
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(tempfile.gettempdir()) / "aa_jax_test_cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

# A first call compiles, which may take any time on a busy machine.
hypothesis.settings.register_profile("aa_jax", deadline=None)
hypothesis.settings.load_profile("aa_jax")

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden():
    """Loads a reference file by its path below tests/golden, without pickle."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / name, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}

    return load


@pytest.fixture
def rng():
    return np.random.default_rng(0)
