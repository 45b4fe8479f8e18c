"""Runs the PTX of the GPU kernels on the CPU; see `scripts.kernels.emulate`."""
