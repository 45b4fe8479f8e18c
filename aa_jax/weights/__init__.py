"""Other people's checkpoints: a reader that executes nothing, name maps, reports."""

from aa_jax.weights.alias_free import load_discriminator, load_generator, save_generator
from aa_jax.weights.checkpoint import Checkpoint, read_checkpoint, read_checkpoint_with_report
from aa_jax.weights.convert import Conversion, convert
from aa_jax.weights.convert_alias_free import NetworkConversion, convert_network_pickle
from aa_jax.weights.errors import UnsafePickleError, WeightsError
from aa_jax.weights.feature_files import FEATURE_FILES, FeatureFile, feature_file
from aa_jax.weights.feature_networks import (
    load_inception,
    load_lpips,
    load_vgg16,
    load_vgg19,
)
from aa_jax.weights.load import Report, export, export_torch, load_into
from aa_jax.weights.motion import MotionNetworks, load_motion, save_motion
from aa_jax.weights.motion_options import MotionSettings
from aa_jax.weights.network_pickle import NetworkPickle, PickledNetwork, read_network_pickle
from aa_jax.weights.safetensors_file import write_safetensors

__all__ = [
    "Checkpoint",
    "Conversion",
    "FEATURE_FILES",
    "FeatureFile",
    "MotionNetworks",
    "MotionSettings",
    "NetworkConversion",
    "NetworkPickle",
    "PickledNetwork",
    "Report",
    "UnsafePickleError",
    "WeightsError",
    "convert",
    "convert_network_pickle",
    "export",
    "export_torch",
    "feature_file",
    "load_discriminator",
    "load_generator",
    "load_inception",
    "load_into",
    "load_lpips",
    "load_motion",
    "load_vgg16",
    "load_vgg19",
    "read_checkpoint",
    "read_checkpoint_with_report",
    "read_network_pickle",
    "save_generator",
    "save_motion",
    "write_safetensors",
]
