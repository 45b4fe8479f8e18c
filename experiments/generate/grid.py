"""Pictures side by side on one canvas: the same as in the training's picture grids."""

from aa_jax.training.pictures import LARGEST_SIDE, canvas_size, tile

__all__ = ["LARGEST_SIDE", "canvas_size", "tile"]
