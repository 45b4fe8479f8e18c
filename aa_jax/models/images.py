"""What every network asks of its input."""

from jax import Array


def check_images(x: Array) -> None:
    """Raises ValueError unless `x` holds images (N, H, W, 3)."""
    if x.ndim != 4 or x.shape[-1] != 3:
        raise ValueError(f"x must be images (N, H, W, 3), got shape {x.shape}")
