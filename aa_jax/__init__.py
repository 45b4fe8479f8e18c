"""Anti-aliasing for neural networks in JAX: filters, resampling, layers, models, metrics."""

__version__ = "0.1.0"
