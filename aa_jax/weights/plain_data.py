"""What a pickle says besides tensors, as plain Python data of bounded size."""

from typing import Any

import numpy as np

from aa_jax.weights.errors import WeightsError
from aa_jax.weights.network_globals import NumpyArray, PersistentRecord
from aa_jax.weights.pickle_globals import TensorRecord

_MAX_DEPTH = 16
_MAX_ITEMS = 100_000


def plain(value: Any, where: str) -> Any:
    """Copies numbers, strings, lists and dictionaries out of a pickle; NumPy's become Python's.

    Args:
        value: what the pickle reader built.
        where: what it is, for messages.

    Raises:
        WeightsError: there is something else in it, or too much of it.
    """
    budget = _MAX_ITEMS

    def copy(value: Any, depth: int) -> Any:
        nonlocal budget
        if isinstance(value, NumpyArray):
            budget -= value.value.size
            value = value.value.tolist() if budget > 0 else None
        elif isinstance(value, np.generic):
            value = value.item()
        # Containers shared within a pickle unfold here: a few could become billions of items.
        budget -= 1 + (len(value) if isinstance(value, (str, dict, list, tuple)) else 0)
        if budget < 0 or depth > _MAX_DEPTH:
            raise WeightsError(f"{where} has too many items or nests them too deeply")
        if type(value) is dict:
            return {str(key): copy(item, depth + 1) for key, item in value.items()}
        if type(value) in (list, tuple):
            return [copy(item, depth + 1) for item in value]
        if value is None or type(value) in (bool, float, str):
            return value
        if type(value) is int and abs(value) < 2**63:
            return value
        raise WeightsError(f"{where} has a {kind_of(value)}; expected numbers, strings, containers")

    return copy(value, 0)


def kind_of(value: Any) -> str:
    """What a value is, in a few words: never its content, which may be vast."""
    if isinstance(value, TensorRecord):
        return f"tensor {value.shape}"
    if isinstance(value, PersistentRecord):
        return f"module {value.class_name[:80]}"
    if isinstance(value, (dict, list, tuple)):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
