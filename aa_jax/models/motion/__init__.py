"""Keypoint-driven animation (Siarohin et al., NeurIPS 2019): detector, flow, generator, critic."""

from aa_jax.models.motion.dense_motion import DenseMotion, DenseMotionNetwork, sparse_motions
from aa_jax.models.motion.discriminator import MultiScaleDiscriminator
from aa_jax.models.motion.generator import Generated, MotionGenerator
from aa_jax.models.motion.hourglass import Hourglass, Resampling
from aa_jax.models.motion.keypoint_detector import KeypointDetector
from aa_jax.models.motion.keypoints import Keypoints, gaussian_heatmaps
from aa_jax.models.motion.losses import equivariance_losses
from aa_jax.models.motion.transfer import best_frame, hull_scale, relative_motion

__all__ = [
    "DenseMotion",
    "DenseMotionNetwork",
    "Generated",
    "Hourglass",
    "KeypointDetector",
    "Keypoints",
    "MotionGenerator",
    "MultiScaleDiscriminator",
    "Resampling",
    "best_frame",
    "equivariance_losses",
    "gaussian_heatmaps",
    "hull_scale",
    "relative_motion",
    "sparse_motions",
]
