"""Primitives whose implementation is chosen when they are lowered for a platform."""

import functools
from collections.abc import Callable, Container

import jax
from jax.extend.core import Primitive
from jax.interpreters import mlir

PLATFORMS = ("other", "tpu", "cuda")


def choose_at_lowering(
    primitive: Primitive, run: Callable, *, static: tuple[str, ...], interpreted: Container[str]
) -> None:
    """Gives a primitive its rules of evaluation and of lowering.

    Args:
      primitive: one with a parameter `implementation`.
      run: of the primitive's arguments and parameters, and of `platform`, one of `PLATFORMS`, or
        None outside of `jit`.
      static: the parameters' names.
      interpreted: the implementations that run without `jit`: Pallas' GPU interpreter orders its
        effects, and a primitive has none to declare.
    """

    def bind(*args, **params):
        return primitive.bind(*args, **params)

    # Outside of jit as well, the rules of lowering choose by platform.
    jitted = jax.jit(bind, static_argnames=static)

    @primitive.def_impl
    def evaluate(*args, implementation, **params):
        function = run if implementation in interpreted else jitted
        return function(*args, implementation=implementation, **params)

    for platform in PLATFORMS:
        mlir.register_lowering(
            primitive,
            mlir.lower_fun(
                functools.partial(run, platform=platform),
                multiple_results=primitive.multiple_results,
            ),
            platform=None if platform == "other" else platform,
        )
