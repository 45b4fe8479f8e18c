"""Functions whose weights are arguments of the compiled program, not constants in it."""

from collections.abc import Callable

from jax.tree_util import Partial


def as_pytree(function: Callable) -> Partial:
    """The function as an argument for `jax.jit`.

    Arrays that a function closes over become constants of the program: compilation then copies,
    prints and folds all the weights of a network. Those bound by `jax.tree_util.Partial(function,
    weights)` are passed like other arguments.
    """
    return function if isinstance(function, Partial) else Partial(function)
