"""Reads and writes networks in the layout of the reference arrays, for the tests only."""

import numpy as np
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free import FourierInput, Generator, MappingNetwork, SynthesisLayer
from aa_jax.nn.equalized import EqualizedLinear

TRANSPOSED = (1, 0)
HWIO = (2, 3, 1, 0)


def variables(module: nnx.Module) -> dict[str, tuple]:
    """Every variable by its official name, with the axes that lead from there to ours."""
    if isinstance(module, EqualizedLinear):
        return {"weight": (module.kernel, TRANSPOSED), "bias": (module.bias, None)}
    named, parts = {}, {}
    if isinstance(module, MappingNetwork):
        parts = {f"fc{i}": layer for i, layer in enumerate(module.layers)}
        parts |= {"embed": module.embed} if module.embed else {}
        named = {"w_avg": (module.w_avg, None)}
    elif isinstance(module, FourierInput):
        parts = {"affine": module.affine}
        named = {"weight": (module.kernel, TRANSPOSED)}
        named |= {"freqs": (module.freqs, None), "phases": (module.phases, None)}
    elif isinstance(module, SynthesisLayer):
        parts = {"affine": module.affine}
        named = {"weight": (module.kernel, HWIO), "bias": (module.bias, None)}
        named |= {"magnitude_ema": (module.magnitude_ema, None)}
    elif isinstance(module, Generator):
        synthesis = module.synthesis
        parts = {"mapping": module.mapping, "synthesis.input": synthesis.input}
        parts |= {f"synthesis.{layer.spec.name}": layer for layer in synthesis.layers}
    for name, part in parts.items():
        named |= {f"{name}.{inner}": entry for inner, entry in variables(part).items()}
    return named


def assign(module: nnx.Module, arrays: dict[str, np.ndarray]) -> None:
    """Sets all variables; what is left over must be filters or the stored transform."""
    left = set(arrays)
    for name, (variable, axes) in variables(module).items():
        value = arrays[name] if axes is None else arrays[name].transpose(axes)
        assert value.shape == variable.shape, name
        variable[...] = jnp.asarray(value, variable.dtype)
        left.remove(name)
    assert all(name.endswith(("_filter", "transform")) for name in left), left


def official(module: nnx.Module) -> dict[str, np.ndarray]:
    """The variables in the official layout."""
    result = {}
    for name, (variable, axes) in variables(module).items():
        value = np.asarray(variable[...])
        result[name] = value if axes is None else value.transpose(np.argsort(axes))
    return result


def channels_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, -1)


def below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The entries whose name starts with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
