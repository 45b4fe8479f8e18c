"""Which implementation runs a stage, decided when it is lowered for a platform.

XLA's runs everywhere; the kernels on TPU and on NVIDIA GPUs from Hopper on.
"""

import functools
import importlib
import logging

import jax

from aa_jax.ops.filtered_activation import xla
from aa_jax.ops.filtered_activation.stage import Stage

_KERNELS = {"tpu": "pallas_tpu", "cuda": "pallas_gpu"}
# For tests: a platform's kernels on the CPU, interpreted; the GPU's outside of jit only.
INTERPRETED = {"pallas_tpu_interpreted": "tpu", "pallas_gpu_interpreted": "cuda"}
IMPLEMENTATIONS = (None, "xla", "pallas", *INTERPRETED)


def filtered(x, *, stage: Stage, with_codes: bool, implementation, platform: str | None = None):
    """Runs the forward stage; always a list, of one or two arrays."""
    kernels, options = _chosen(implementation, platform, stage, x)
    result = kernels.filtered(x, stage, with_codes=with_codes, **options)
    return list(result) if with_codes else [result]


def gated(v, codes, *, stage: Stage, implementation, platform: str | None = None):
    """Runs the gated stage."""
    kernels, options = _chosen(implementation, platform, stage, v)
    return kernels.gated(v, codes, stage, **options)


def _chosen(implementation, platform, stage, x):
    """The module that serves, and its options.

    Raises:
      ValueError: "pallas" was asked for where it can't run.
    """
    if implementation == "pallas_gpu_interpreted" and platform is not None:
        raise ValueError(
            "implementation='pallas_gpu_interpreted' can't run inside of jit: the interpreter's "
            "effects are ordered, and a primitive has none; call it outside."
        )
    if implementation in INTERPRETED:
        return _kernels(INTERPRETED[implementation]), {"interpret": True}
    plain = xla, {"on_cpu": platform not in _KERNELS}
    if implementation == "xla" or (implementation is None and platform not in _KERNELS):
        return plain
    if implementation is None and stage.is_pointwise:
        return plain  # XLA fuses it into its neighbours, which a kernel prevents
    reason = _reason_against(platform, stage, x)
    if reason is None:
        return _kernels(platform), {}
    if implementation == "pallas":
        raise ValueError(
            f"implementation='pallas' can't run here: {reason}; use implementation=None to choose "
            "automatically, or 'xla'"
        )
    _say_once(f"filtered activation falls back to XLA, which is slower: {reason}")
    return plain


def _reason_against(platform, stage: Stage, x) -> str | None:
    if platform not in _KERNELS:
        return f"there are kernels for TPU and NVIDIA GPUs, not for {platform or 'this platform'}"
    if platform == "cuda" and (capability := _oldest_gpu()) < 9.0:
        return (
            f"the kernel needs compute capability 9.0 (Hopper) or newer, this GPU has {capability}"
        )
    return _kernels(platform).unsupported(stage, x.dtype, x.shape[-1])


def _oldest_gpu() -> float:
    """Least compute capability of this process's GPUs; without any, ahead of time, no bound."""
    if jax.default_backend() != "gpu":
        return float("inf")
    return min(float(device.compute_capability) for device in jax.local_devices())


def _kernels(platform: str):
    return importlib.import_module(f"aa_jax.ops.filtered_activation.{_KERNELS[platform]}")


@functools.cache
def _say_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)
