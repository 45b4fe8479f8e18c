"""Filter design on the host, in float64 NumPy: no JAX, nothing to trace.

A 1-D array is a separable filter (the same taps along rows and columns), a 2-D array a full one,
and `LowRank` a full one written as a short sum of separable ones.
"""

from aa_jax.filters.binomial import binomial
from aa_jax.filters.factor import LowRank, factorize
from aa_jax.filters.gaussian import (
    downsampling_gaussian,
    downsampling_sigma,
    downsampling_stride,
    gaussian,
    half_value_gaussian,
)
from aa_jax.filters.kaiser import firwin_jinc, firwin_sinc, kaiser_attenuation, kaiser_beta
from aa_jax.filters.prepare import setup_filter
from aa_jax.filters.response import (
    frequency_response,
    frequency_response_2d,
    stopband_leakage,
)
from aa_jax.filters.wavelet import octave_filter_bank, symlet

__all__ = [
    "LowRank",
    "binomial",
    "downsampling_gaussian",
    "downsampling_sigma",
    "downsampling_stride",
    "factorize",
    "firwin_jinc",
    "firwin_sinc",
    "frequency_response",
    "frequency_response_2d",
    "gaussian",
    "half_value_gaussian",
    "kaiser_attenuation",
    "kaiser_beta",
    "octave_filter_bank",
    "setup_filter",
    "stopband_leakage",
    "symlet",
]
