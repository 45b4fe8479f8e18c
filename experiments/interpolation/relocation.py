"""Moving the Gaussians that matter least to where the error is."""

import functools

import jax
import optax
from flax import nnx
from jax import numpy as jnp

_FRESH_WIDTH = 0.7  # pixels, of Gaussians put into details
_APART, _NARROWED = 0.6, 0.625  # of a Gaussian's own width: distance and width of its halves


@functools.partial(jax.jit, static_argnames=("graph", "share"))
def relocate(graph, params: dict, moments: optax.OptState, target, key, *, share: float):
    """Takes the least useful points away and puts them where the error is largest.

    A point's use is how far its value is from what the pixels would be without it: the squared
    distance of its value from the image, over the pixels that it has a part in. Half of the points
    taken away go to pixels drawn by their squared error, with the image's value; the other half
    become second halves of the Gaussians that have the greatest part in that error, which are
    split along their longer axis.

    Args:
      graph: graph definition of a `GaussianMixture`.
      params: its parameters.
      moments: of the optimiser; those of changed points become zero.
      target: (height, width, channels), the image to be fitted.
      key: random key.
      share: of the points that is moved.

    Returns:
      New parameters and moments.
    """
    number = len(params["values"])
    moved = int(share * number) // 2 * 2
    if not moved:
        return params, moments
    size, width = target.shape[:2], target.shape[1]
    picture = nnx.merge(graph, params)(size).image
    error = jnp.sum((target - picture) ** 2, -1)
    use, blame = _use_and_blame(graph, params, picture, error)
    order = jnp.argsort(use)
    taken = order[:moved]
    fresh, halves = taken[: moved // 2], taken[moved // 2 :]
    _, split = jax.lax.top_k(blame.at[taken].set(-1), moved // 2)

    # Drawing without replacement, by the logarithms' order.
    noise = jax.random.gumbel(key, (error.size,))
    _, pixels = jax.lax.top_k(jnp.log(error.ravel() + 1e-12) + noise, moved // 2)
    row, column = jnp.divmod(pixels, width)
    params = dict(params)
    scales = params["log_scales"]
    params["points"] = (
        params["points"].at[fresh].set(jnp.stack([column, row], -1).astype(scales.dtype))
    )
    params["values"] = params["values"].at[fresh].set(target[row, column].astype(scales.dtype))
    params["log_scales"] = scales.at[fresh].set(jnp.log(_FRESH_WIDTH))
    params["shear"] = params["shear"].at[fresh].set(0)

    axis = _longer_axis(nnx.merge(graph, params).covariances()[split])
    for place, sign in ((halves, -1), (split, 1)):
        for name in params:
            params[name] = params[name].at[place].set(params[name][split])
        params["points"] = params["points"].at[place].add(sign * _APART * axis)
    both = jnp.concatenate([halves, split])
    params["log_scales"] = params["log_scales"].at[both].add(jnp.log(_NARROWED))
    params["shear"] = params["shear"].at[both].multiply(_NARROWED)

    changed = jnp.concatenate([taken, split])
    moments = jax.tree.map(
        lambda m: m.at[changed].set(0) if m.ndim and len(m) == number else m, moments
    )
    return params, moments


def _use_and_blame(graph, params: dict, picture, error):
    """What each point contributes to the image, and its part in the squared error; (N,) each."""
    ones = jnp.ones_like(error)[..., None]
    images = [picture, jnp.sum(picture**2, -1, keepdims=True), error[..., None], ones]
    images = jnp.concatenate(images, -1)

    def rendered(values):
        return nnx.merge(graph, params | {"values": values})(error.shape).image

    # The gradient by a point's value sums an image over its part in every pixel.
    nothing = jnp.zeros((len(params["values"]), images.shape[-1]), images.dtype)
    sums = jax.vjp(rendered, nothing)[1](images)[0]
    channels = picture.shape[-1]
    values = params["values"]
    squares, blame, parts = sums[:, channels:].T
    use = jnp.sum(values**2, -1) * parts - 2 * jnp.sum(values * sums[:, :channels], -1) + squares
    return use, blame


def _longer_axis(covariances):
    """(N, 2), along the longer axis, of its standard deviation's length."""
    xx, xy, yy = covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]
    half = (xx - yy) / 2
    root = jnp.hypot(half, xy)
    angle = jnp.arctan2(xy, half + jnp.where(root == 0, 1, 0)) / 2
    length = jnp.sqrt((xx + yy) / 2 + root)
    return length[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
