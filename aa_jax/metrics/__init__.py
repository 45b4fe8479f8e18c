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
from aa_jax.metrics.motion import Rotation, Translation
from aa_jax.metrics.prediction import predict_all
from aa_jax.metrics.shift import center_crop, circular_shift, crop, fractional_shift, shift_grid
from aa_jax.metrics.spectrum import Spectrum, average_spectrum, pixel_statistics
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
    "Interval",
    "Rotation",
    "Spectrum",
    "Translation",
    "WorstCase",
    "agreement",
    "audit_generator",
    "audit_network",
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
    "in_top_k",
    "measure_equivariance",
    "pixel_statistics",
    "predict_all",
    "random_draws",
    "shift_grid",
    "subpixel_consistency",
    "top_k_accuracy",
    "worst_case_consistency",
]
