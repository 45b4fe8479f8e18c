"""A run's folder describes itself: which settings, which versions, which machine."""

import importlib.metadata
import json
import os
import pathlib
import platform
import sys

import jax
import ml_collections

from aa_jax.training import config as configs, distributed
from aa_jax.training.whole_file import replacing

_PACKAGES = ("aa_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def describe(config: ml_collections.ConfigDict, workdir: str | os.PathLike) -> None:
    """Writes `config.json` and `versions.json`; says what differs from the run's earlier config."""
    if not distributed.is_main_process():
        return
    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / "config.json"
    if path.exists():
        for line in configs.differences(configs.from_json(path.read_text()), config):
            print(f"{config.name}: the config has changed since this run began: {line}")
    _write(path, configs.to_json(config))
    _write(workdir / "versions.json", json.dumps(versions(), indent=2))


def versions() -> dict[str, str]:
    """Versions of what computes, the device, and the command."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    device = jax.devices()[0]
    return {
        **found,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{jax.device_count()} x {device.device_kind}",
        "processes": str(jax.process_count()),
        "command": " ".join(sys.argv),
    }


def _write(path: pathlib.Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
