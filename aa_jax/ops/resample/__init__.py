"""Upsampling, FIR filtering and downsampling in one differentiable operator."""

from aa_jax.ops.resample.api import downsample2d, filter2d, upfirdn1d, upfirdn2d, upsample2d

__all__ = ["downsample2d", "filter2d", "upfirdn1d", "upfirdn2d", "upsample2d"]
