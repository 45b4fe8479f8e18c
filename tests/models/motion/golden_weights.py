"""Weights that the reference arrays of the motion model were computed with, drawn again."""

import json

import numpy as np


def golden_tensors(archive: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by name, in PyTorch's layouts, as tests/golden/motion_splat_face describes them."""
    rng = np.random.Generator(np.random.PCG64(int(archive["seed"])))
    tensors = {}
    names = [str(name) for name in archive["param_names"]]
    shapes = [tuple(json.loads(str(shape))) for shape in archive["param_shapes"]]
    for name, shape, first in zip(names, shapes, archive["param_first"], strict=True):
        tensors[name] = _value(name, rng.standard_normal(shape)).astype(np.float32)
        np.testing.assert_allclose(tensors[name].flat[0], first, rtol=1e-6)
    return tensors


def _value(name: str, z: np.ndarray) -> np.ndarray:
    if name.endswith("running_mean"):
        return 0.1 * z
    if name.endswith("running_var"):
        return np.exp(0.2 * z)
    if name.endswith(("weight_u", "weight_v")):
        return z / np.linalg.norm(z)
    if z.ndim == 4:
        gains = {"kp": 4.0, "jacobian": 0.1, "mask": 4.0, "occlusion": 4.0}
        owner = name.removesuffix(".weight").rpartition(".")[2]
        gain = gains.get(owner, np.sqrt(2)) if name.endswith(".weight") else np.sqrt(2)
        return z * gain / np.sqrt(np.prod(z.shape[1:]))
    if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
        return 1 + 0.1 * z
    if name.endswith("jacobian.bias"):
        return np.tile([1.0, 0, 0, 1], len(z) // 4) + 0.1 * z
    return 0.1 * z
