"""Which implementation computes the sums, decided when they are lowered for a platform.

XLA's runs everywhere; the kernels on NVIDIA GPUs from Hopper on.
"""

import functools
import importlib
import logging

import jax

from aa_jax.ops.splat import xla

# For tests: the kernels on the CPU, interpreted, outside of jit only.
INTERPRETED = ("pallas_gpu_interpreted",)
IMPLEMENTATIONS = (None, "xla", "pallas", *INTERPRETED)


def run(name: str, *arguments, implementation, platform: str | None = None, dtype, **static):
    """Computes `xla.peak`, `xla.evaluate` or `xla.moments` with what serves.

    Args:
      name: which of them.
      *arguments: its arrays.
      implementation: one of `IMPLEMENTATIONS`.
      platform: one of `platforms.PLATFORMS`; None outside of jit.
      dtype: of the sums.
      **static: its options.

    Raises:
      ValueError: "pallas" was asked for where it can't run.
    """
    kernels, options = _chosen(implementation, platform, dtype, static.get("terms", ()))
    return getattr(kernels, name)(*arguments, **static, **options)


def _chosen(implementation, platform, dtype, terms):
    """The module that serves, and its options."""
    if implementation in INTERPRETED:
        if platform is not None:
            raise ValueError(
                f"implementation={implementation!r} can't run inside of jit: the interpreter's "
                "effects are ordered, and a primitive has none; call it outside."
            )
        _need(implementation, _kernels().unsupported(dtype, terms))
        return _kernels(), {"interpret": True}
    if implementation == "xla" or (implementation is None and platform != "cuda"):
        return xla, {}
    reason = _reason_against(platform, dtype, terms)
    if reason is None:
        return _kernels(), {}
    if implementation == "pallas":
        _need(implementation, reason)
    _say_once(f"sums of Gaussians fall back to XLA, which is slower: {reason}")
    return xla, {}


def _need(implementation: str, reason: str | None) -> None:
    if reason is not None:
        raise ValueError(
            f"implementation={implementation!r} can't run here: {reason}; use implementation=None "
            "to choose automatically, or 'xla'"
        )


def _reason_against(platform, dtype, terms) -> str | None:
    if platform != "cuda":
        return "there are kernels for NVIDIA GPUs only, and this is another platform"
    if (capability := _oldest_gpu()) < 9.0:
        return (
            f"the kernels need compute capability 9.0 (Hopper) or newer, this GPU has {capability}"
        )
    return _kernels().unsupported(dtype, terms)


def _oldest_gpu() -> float:
    """Least compute capability of this process's GPUs; without any, ahead of time, no bound."""
    if jax.default_backend() != "gpu":
        return float("inf")
    return min(float(device.compute_capability) for device in jax.local_devices())


def _kernels():
    return importlib.import_module("aa_jax.ops.splat.pallas_gpu")


@functools.cache
def _say_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)
