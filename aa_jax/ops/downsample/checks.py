"""What can be asked for: the names of methods and phases, and the errors of a wrong call."""

import functools
import math
import numbers
from typing import Literal, get_args

from jax import numpy as jnp

from aa_jax.ops.downsample.designs import PILLOW

Phase = Literal["native", "aligned"]
PHASES = get_args(Phase)
METHODS = (
    *("gaussian", "subsample", "nearest", "bicubic", "bilinear", "area", "average_pool"),
    *("median", "bilateral", "lanczos", "kaiser_sinc", "jinc", "ideal", "adaptive"),
)
# Those that take a factor that is not whole.
FRACTIONAL = ("gaussian", "nearest", *PILLOW, "ideal")


@functools.lru_cache(maxsize=1024, typed=True)
def check_call(shape, dtype, factor, method, phase) -> None:
    """Raises ValueError for what `downsample` cannot do.

    Remembers what is right: checks must not take longer than keeping every fourth pixel.
    """
    check_images(shape, dtype)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    if phase not in PHASES:
        raise ValueError(f"phase must be one of {', '.join(PHASES)}, got {phase!r}.")
    number = isinstance(factor, numbers.Real) and not isinstance(factor, bool)
    if not number or not math.isfinite(factor) or factor < 1:
        raise ValueError(f"factor must be a number, at least 1, got {factor!r}.")
    if method not in FRACTIONAL and factor != int(factor):
        raise ValueError(
            f"factor must be whole for method={method!r}, got {factor!r}; methods that take others "
            f"are {', '.join(FRACTIONAL)}."
        )
    if min(shape[-3:-1]) < factor:
        raise ValueError(
            f"images must not be smaller than factor={factor!r}, got shape {shape}: nothing would "
            "be left of them."
        )


def check_images(shape, dtype) -> None:
    if len(shape) not in (3, 4) or 0 in shape or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            "images must be floats of shape ([batch,] height, width, channels), got "
            f"{dtype} of shape {shape}."
        )
