"""Mixtures of Gaussians from their formulas: every point at every position, no lists, no blocks.

`xp` is NumPy, or jax.numpy where a test differentiates the formulas instead of evaluating them.
"""

import numpy as np


def grid(height: int, width: int) -> np.ndarray:
    """Centres (height * width, 2) of pixels, x and y, row after row."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x.ravel(), y.ravel()], -1).astype(float)


def covariances(width, points: int, xp=np):
    """Widths as people state them -> covariances (points, 2, 2)."""
    width = xp.asarray(width)
    if width.ndim < 3:
        along = width[..., None] if width.ndim < 2 else width
        width = xp.broadcast_to(along, (points, 2))[:, :, None] ** 2 * np.eye(2)
    return xp.broadcast_to(width, (points, 2, 2))


def rendered(points, width, *, scale=1.0, footprint=0.0, xp=np):
    """Points, covariances and the factor of the peaks after a change of scale and a footprint."""
    narrow = covariances(width, len(points), xp) * scale**2
    wide = narrow + footprint**2 * np.eye(2)
    peaks = xp.sqrt(xp.linalg.det(narrow) / xp.linalg.det(wide))
    return (points + 0.5) * scale - 0.5, wide, peaks


def reach(points, covariance, positions, *, support, window, size=None, xp=np):
    """Squared distances, the window's factor, and who reaches whom, each (positions, points)."""
    offset = positions[:, None] - points
    squared = xp.einsum("qni,nij,qnj->qn", offset, xp.linalg.inv(covariance), offset)
    if support is None:
        return squared, xp.ones_like(squared), xp.ones_like(squared, dtype=bool)
    if window == "square":
        centre = np.trunc(np.asarray(points) + np.copysign(0.5, points))  # halves away from zero
        if size is not None:
            centre = np.clip(centre, 0, [size[1], size[0]])
        inside = (np.abs(positions[:, None] - centre) <= support).all(-1)
        return squared, xp.ones_like(squared), inside
    inside = squared <= support**2
    if window == "ellipse":
        return squared, xp.ones_like(squared), inside
    # One minus the smoothstep of fifth degree.
    t = xp.clip(squared / support**2, 0, 1)
    return squared, 1 - t**3 * (6 * t**2 - 15 * t + 10), inside


def weights(points, width, positions, *, scale=1.0, footprint=0.0, xp=np, **window):
    """Normalised weights (positions, points), and where there are any."""
    points, covariance, _ = rendered(points, width, scale=scale, footprint=footprint, xp=xp)
    squared, factor, inside = reach(points, covariance, positions, xp=xp, **window)
    log = -0.5 * squared - 0.5 * xp.log(xp.linalg.det(covariance))
    covered = inside.any(1)
    peak = xp.where(covered, xp.where(inside, log, -np.inf).max(1), 0)
    weight = xp.where(inside, xp.exp(xp.where(inside, log - peak[:, None], 0)) * factor, 0)
    mass = xp.where(covered, weight.sum(1), 1)
    return weight / mass[:, None], covered


def expectation(points, values, width, positions, *, fallback=0.0, xp=np, **options):
    """Mixture's expected value (positions, channels), and where it is defined."""
    weight, covered = weights(points, width, positions, xp=xp, **options)
    return xp.where(covered[:, None], weight @ values, fallback), covered


def total(points, values, width, positions, *, scale=1.0, footprint=0.0, xp=np, **window):
    """Sum of Gaussians (positions, channels), and where there is any."""
    points, covariance, peaks = rendered(points, width, scale=scale, footprint=footprint, xp=xp)
    squared, factor, inside = reach(points, covariance, positions, xp=xp, **window)
    weight = xp.where(inside, xp.exp(-0.5 * squared) * factor, 0) * peaks
    return weight @ values, inside.any(1)


def plane(points, values, width, positions, *, ridge, fallback=0.0, **options):
    """Local linear regression: least squares at one position after another."""
    weight, covered = weights(points, width, positions, **options)
    points = rendered(points, width, scale=options.get("scale", 1.0))[0]
    out = np.full((len(positions), values.shape[1]), fallback)
    for q in np.flatnonzero(covered):
        offset = points - positions[q]
        penalty = np.sqrt(ridge * np.sum(weight[q] * (offset**2).sum(1)) + 1e-12)
        root = np.sqrt(weight[q])[:, None]
        design = np.concatenate([np.ones((len(points), 1)), offset], 1) * root
        design = np.concatenate([design, [[0, penalty, 0], [0, 0, penalty]]])
        target = np.concatenate([values * root, np.zeros((2, values.shape[1]))])
        out[q] = np.linalg.lstsq(design, target, rcond=None)[0][0]
    return out, covered


def factors(rng, points: int, *, widest=2.0, narrowest=0.5):
    """Random factors L (points, 2, 2), turned: L L^T is a covariance with axes in the range."""
    angle = rng.uniform(0, np.pi, points)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    axes = np.exp(rng.uniform(np.log(narrowest), np.log(widest), (points, 2)))
    return turn.transpose(2, 0, 1) * axes[:, None]


def squared(factor):
    """L L^T."""
    return factor @ factor.swapaxes(-1, -2)
