"""The filtered activation: upsample, activate, low-pass and downsample as one operator."""

from aa_jax.ops.filtered_activation.api import filtered_activation1d, filtered_activation2d

__all__ = ["filtered_activation1d", "filtered_activation2d"]
