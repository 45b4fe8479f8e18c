"""Shared test set-up: eight simulated CPU devices and the persistent compilation cache."""

import hashlib
import os
import pathlib
import tempfile

# Before jax is imported: device count and cache are read at start-up.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
_flags = os.environ.get("XLA_FLAGS", "")
if "xla_force_host_platform_device_count" not in _flags:
    os.environ["XLA_FLAGS"] = f"{_flags} --xla_force_host_platform_device_count=8".strip()
# Code compiled for one processor may not run on another: a folder for each kind.
_processor = pathlib.Path("/proc/cpuinfo")
_lines = _processor.read_text().splitlines() if _processor.exists() else []
_features = "".join(sorted({line for line in _lines if line.startswith(("flags", "Features"))}))
_folder = f"aa_jax_test_cache_{hashlib.sha256(_features.encode()).hexdigest()[:8]}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), _folder))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import hypothesis  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

# A first call compiles, which may take any time on a busy machine.
hypothesis.settings.register_profile("aa_jax", deadline=None)
hypothesis.settings.load_profile("aa_jax")

_MOST_MAPS = 20_000

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden():
    """Loads a reference file by its path below tests/golden, without pickle."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / name, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}

    return load


@pytest.fixture(scope="module", autouse=True)
def bounded_memory_maps():
    """Lets go of compiled functions before a process has more memory maps than Linux allows.

    Every compiled function is mapped several times, and at 65 530 maps the compiler aborts: a
    worker that runs half of all tests gets there.
    """
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
