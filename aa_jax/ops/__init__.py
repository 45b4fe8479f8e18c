"""Pure functions of arrays: resampling, blurring, adaptive filtering. No state, no I/O."""
