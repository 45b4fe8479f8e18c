"""Layers: parameters and one call into `aa_jax.ops` each (flax.nnx, explicit `train`)."""

from aa_jax.nn.adaptive_blur_pool import AdaptiveBlurPool
from aa_jax.nn.antialias import AntiAlias, antialias_option
from aa_jax.nn.batch_norm import BatchNorm, FrozenBatchNorm
from aa_jax.nn.blur_pool import BlurPool, MaxBlurPool
from aa_jax.nn.conv import Conv
from aa_jax.nn.gaussian_mixture import GaussianMixture
from aa_jax.nn.instance_norm import InstanceNorm
from aa_jax.nn.linear import Linear
from aa_jax.nn.polyphase_pool import APSPool, LPSPool, PolyphasePool, PolyphaseUnpool
from aa_jax.nn.pool import AvgPool, Identity, MaxPool, Pool
from aa_jax.nn.spectral_norm import SpectralNormConv

__all__ = [
    "APSPool",
    "AdaptiveBlurPool",
    "AntiAlias",
    "AvgPool",
    "BatchNorm",
    "BlurPool",
    "Conv",
    "FrozenBatchNorm",
    "GaussianMixture",
    "Identity",
    "InstanceNorm",
    "LPSPool",
    "Linear",
    "MaxBlurPool",
    "MaxPool",
    "PolyphasePool",
    "PolyphaseUnpool",
    "Pool",
    "SpectralNormConv",
    "antialias_option",
]
