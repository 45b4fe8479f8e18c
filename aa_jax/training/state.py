"""The state of a training run: plain nested dicts, split off a module once.

A `flax.nnx` module is a readable way to *write* a network; a dict of arrays is the cheap and
stable way to *carry* it: it flattens fast, shards with `jax.tree.map` and gives checkpoints the
same paths for as long as the attribute names stay. So a module is split once at start-up, the
step function merges it again while it is traced, and nothing of nnx remains at run time.
"""

from typing import Any

import flax
import jax
import optax
from flax import nnx
from jax import numpy as jnp


@flax.struct.dataclass
class LossScale:
    """A dynamic loss scale, for float16 only (bfloat16 has the exponent range of float32).

    Attributes:
        value: () float32, the factor on the loss.
        good_steps: () int32, finite steps since the factor last changed.
    """

    value: jax.Array
    good_steps: jax.Array

    @classmethod
    def create(cls, value: float = 2.0**15) -> "LossScale":
        return cls(jnp.asarray(value, jnp.float32), jnp.zeros((), jnp.int32))


@flax.struct.dataclass
class TrainState:
    """Everything a step reads and writes, and everything needed to go on after a restart.

    Attributes:
        step: () int32, the number of steps taken.
        params: nested dict of trained arrays.
        stats: nested dict of all other variables (batch statistics, buffers).
        opt_state: the optax state.
        ema: moving average of `params` in the same layout, or None.
        key: a typed PRNG key; it stays as it is, steps fold their number into it.
        loss_scale: dynamic scale of float16 training, or None.
    """

    step: jax.Array
    params: dict
    stats: dict
    opt_state: optax.OptState
    ema: dict | None
    key: jax.Array
    loss_scale: LossScale | None = None

    @property
    def averaged_params(self) -> dict:
        """The weights to evaluate: the moving average where there is one."""
        return self.params if self.ema is None else self.ema


def split(model: nnx.Module) -> tuple[nnx.GraphDef, dict, dict]:
    """Splits a module into its structure, its parameters and its other variables.

    Args:
        model: a module whose trained variables are `nnx.Param`.

    Returns:
        `(graphdef, params, stats)`: a hashable structure, and two nested dicts of arrays whose
        keys are attribute names and list positions.
    """
    graphdef, params, stats = nnx.split(model, nnx.Param, ...)
    return graphdef, nnx.to_pure_dict(params), nnx.to_pure_dict(stats)


def merge(graphdef: nnx.GraphDef, params: dict, stats: dict) -> nnx.Module:
    """Builds the module again; the inverse of `split`.

    The variables are new ones, so that a traced function may update the statistics of a module
    merged from arrays of an outer trace.
    """
    return nnx.merge(graphdef, params, stats, copy=True)


def collect_stats(model: nnx.Module) -> dict:
    """The variables of a module that are not parameters, as a nested dict."""
    return nnx.to_pure_dict(nnx.split(model, nnx.Param, ...)[2])


def create_state(
    params: dict,
    stats: dict,
    optimizer: optax.GradientTransformation,
    *,
    key: jax.Array,
    with_ema: bool = False,
    with_loss_scale: bool = False,
) -> TrainState:
    """Makes the state before the first step.

    Args:
        params: nested dict of parameters.
        stats: nested dict of the other variables.
        optimizer: an optax transformation.
        key: typed PRNG key of all randomness inside the steps.
        with_ema: keep a moving average of the parameters (it starts at their values).
        with_loss_scale: keep a dynamic loss scale, for float16.
    """
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        stats=stats,
        opt_state=optimizer.init(params),
        # A copy: the step donates its input, and one buffer cannot be donated twice.
        ema=jax.tree.map(jnp.copy, params) if with_ema else None,
        key=key,
        loss_scale=LossScale.create() if with_loss_scale else None,
    )


def count_parameters(params: Any) -> int:
    """The number of scalars in a tree of arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
