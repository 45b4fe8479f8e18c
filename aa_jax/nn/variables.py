"""Kinds of variables that are stored with a network but not trained.

`flax.nnx` splits a module by the kinds of its variables, so that an optimiser sees `nnx.Param`
only, while checkpoints and averaged networks carry all of them.
"""

from flax import nnx


class MovingAverage(nnx.Variable):
    """A running estimate, which calls with `update_emas=True` move on."""


class Constant(nnx.Variable):
    """Drawn once with the weights and kept, such as the input's random frequencies."""
