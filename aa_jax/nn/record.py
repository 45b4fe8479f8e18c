"""Looking at intermediate results: a function that is told names and arrays."""

from collections.abc import Callable

from jax import Array

Record = Callable[[str, Array], None]


def scoped(record: Record | None, name: str | int) -> Record | None:
    """A recorder that puts `name.` before every name, or None where there is none."""
    if record is None:
        return None
    return lambda inner, array: record(f"{name}.{inner}", array)
