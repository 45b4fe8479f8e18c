"""Puts reference weights into our networks, in the dtype that a test compares in."""

import contextlib
import json

import jax
import numpy as np
from jax import numpy as jnp

from aa_jax.models.motion import KeypointDetector, MotionGenerator
from aa_jax.weights.motion import abstract_network, fill_network
from tests.models.motion.golden_weights import golden_tensors


def load_detector(archive: dict, dtype) -> KeypointDetector:
    """The detector of a reference file."""
    options = json.loads(str(archive["config"]))
    options["channels"] = options.pop("num_channels")
    jacobian = options.pop("estimate_jacobian")
    options["estimate_jacobian"] = "per_keypoint" if jacobian else "none"
    return _filled(KeypointDetector, options, archive, dtype)


def load_generator(archive: dict, dtype) -> MotionGenerator:
    """The generator of a reference file."""
    options = json.loads(str(archive["config"]))
    options["channels"] = options.pop("num_channels")
    options.pop("estimate_jacobian")
    options["estimate_occlusion"] = options.pop("estimate_occlusion_map")
    options["dense_motion"] = options.pop("dense_motion_params")
    options["corners"] = "aligned" if archive["align_corners"] else "half_pixel"
    return _filled(MotionGenerator, options, archive, dtype)


def precision(dtype):
    """A context in which arrays of the dtype stay what they are."""
    return jax.enable_x64(True) if dtype == np.float64 else contextlib.nullcontext()


def images(archive_images: np.ndarray, dtype) -> jax.Array:
    """Bytes -> [0, 1]."""
    return jnp.asarray(archive_images / np.float64(255), dtype)


def _filled(kind, options: dict, archive: dict, dtype):
    network = abstract_network(kind, options | {"param_dtype": dtype})
    assert fill_network(network, golden_tensors(archive)) == []
    return network
