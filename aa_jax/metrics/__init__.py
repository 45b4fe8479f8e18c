"""Numbers about models. Everything here takes functions and arrays, and knows no network."""

from aa_jax.metrics.accuracy import in_top_k, top_k_accuracy
from aa_jax.metrics.agreement import Consistency, agreement, correct_agreement
from aa_jax.metrics.audit import audit_generator, audit_network
from aa_jax.metrics.audit_result import AliasAudit
from aa_jax.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_interval
from aa_jax.metrics.consistency import (
    circular_consistency,
    classification_consistency,
    subpixel_consistency,
)
from aa_jax.metrics.equivariance import equivariance, measure_equivariance
from aa_jax.metrics.equivariance_result import Equivariance, EquivarianceDraws, random_draws
from aa_jax.metrics.filter_variance import filter_variance
from aa_jax.metrics.frechet import FrechetDistance, frechet_distance
from aa_jax.metrics.inception_score import InceptionScore, inception_score
from aa_jax.metrics.kernel_distance import KernelDistance, kernel_distance
from aa_jax.metrics.keypoints import (
    average_keypoint_distance,
    keypoint_error,
    keypoint_errors,
    mean_euclidean_distance,
    missing_rate,
)
from aa_jax.metrics.moments import FeatureStatistics, Moments, zero_moments
from aa_jax.metrics.motion import Rotation, Translation
from aa_jax.metrics.perceptual_path import PerceptualPathLength, perceptual_path_length
from aa_jax.metrics.precision_recall import PrecisionRecall, precision_recall
from aa_jax.metrics.prediction import predict_all
from aa_jax.metrics.reconstruction import (
    average_euclidean_distance,
    mean_feature_distance,
    reconstruction_l1,
)
from aa_jax.metrics.shift import center_crop, circular_shift, crop, fractional_shift, shift_grid
from aa_jax.metrics.spectrum import Spectrum, average_spectrum, pixel_statistics
from aa_jax.metrics.statistics_file import (
    StatisticsFileError,
    StatisticsRecord,
    load_statistics,
    save_statistics,
)
from aa_jax.metrics.worst_case import (
    DiagonalProfile,
    WorstCase,
    diagonal_profile,
    worst_case_consistency,
)

__all__ = [
    "AliasAudit",
    "Consistency",
    "DiagonalProfile",
    "Equivariance",
    "EquivarianceDraws",
    "FeatureStatistics",
    "FrechetDistance",
    "InceptionScore",
    "Interval",
    "KernelDistance",
    "Moments",
    "PerceptualPathLength",
    "PrecisionRecall",
    "Rotation",
    "Spectrum",
    "StatisticsFileError",
    "StatisticsRecord",
    "Translation",
    "WorstCase",
    "agreement",
    "audit_generator",
    "audit_network",
    "average_euclidean_distance",
    "average_keypoint_distance",
    "average_spectrum",
    "bootstrap_difference",
    "bootstrap_interval",
    "center_crop",
    "circular_consistency",
    "circular_shift",
    "classification_consistency",
    "correct_agreement",
    "crop",
    "diagonal_profile",
    "equivariance",
    "filter_variance",
    "fractional_shift",
    "frechet_distance",
    "in_top_k",
    "inception_score",
    "kernel_distance",
    "keypoint_error",
    "keypoint_errors",
    "load_statistics",
    "mean_euclidean_distance",
    "mean_feature_distance",
    "measure_equivariance",
    "missing_rate",
    "perceptual_path_length",
    "pixel_statistics",
    "precision_recall",
    "predict_all",
    "random_draws",
    "reconstruction_l1",
    "save_statistics",
    "shift_grid",
    "subpixel_consistency",
    "top_k_accuracy",
    "worst_case_consistency",
    "zero_moments",
]
