"""The generator's input: sinusoids of random frequencies, which can be moved exactly."""

import math

import jax
from flax import nnx
from jax import lax, numpy as jnp

from aa_jax.models.alias_free.layer_spec import Size
from aa_jax.nn import initializers
from aa_jax.nn.equalized import EqualizedLinear
from aa_jax.nn.variables import Constant


class FourierInput(nnx.Module):
    """A map of band-limited plane waves, turned and shifted by the latent and by the user.

    Karras et al., "Alias-Free Generative Adversarial Networks" (NeurIPS 2021), section 3.1: the
    signal is infinite, so a transform of it is exact, borders included. Sample j of an axis with
    `size` samples sits at (j + 1/2 - size / 2) / sampling_rate, x to the right and y down.

    Attributes:
      affine: from the latent to (r_cos, r_sin, t_x, t_y), a rotation and a translation.
      kernel: (channels, channels), mixes the waves.
      freqs: (channels, 2), x and y, uniform on the disc of radius `bandwidth`; constant.
      phases: (channels,) in cycles, constant.
    """

    def __init__(
        self,
        w_dim: int,
        channels: int,
        size: Size,
        sampling_rate: float,
        bandwidth: float,
        *,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws frequencies, phases and weights.

        Args:
          w_dim: length of the latent.
          channels: of the map.
          size: (height, width) of the map.
          sampling_rate: samples per unit length.
          bandwidth: largest frequency, in cycles per unit length.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        self.size, self.sampling_rate, self.bandwidth = tuple(size), sampling_rate, bandwidth
        constants_dtype = jnp.promote_types(param_dtype, jnp.float32)
        normal, uniform = initializers.normal(1.0), initializers.uniform(0.5)
        direction = normal(rngs.params(), (channels, 2), constants_dtype)
        radius = jnp.linalg.norm(direction, axis=1, keepdims=True)
        # exp(-radius^2 / 2) is uniform on (0, 1), and its root is the radius of a uniform disc.
        freqs = direction / radius * jnp.exp(-(radius**2) / 4) * bandwidth
        self.freqs = Constant(freqs)
        self.phases = Constant(uniform(rngs.params(), (channels,), constants_dtype))
        self.kernel = nnx.Param(normal(rngs.params(), (channels, channels), param_dtype))
        # It starts as the identity for every latent.
        self.affine = EqualizedLinear(
            w_dim,
            4,
            kernel_deviation=0.0,
            bias_init=lambda key, shape, dtype: jnp.asarray([1, 0, 0, 0], dtype),
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def __call__(self, w: jax.Array, transform: jax.Array | None = None) -> jax.Array:
        """Evaluates the map.

        Args:
          w: latents (N, w_dim).
          transform: (3, 3) or (N, 3, 3), from coordinates of the wanted picture to coordinates of
            the picture without it, hence the inverse of how content moves; None: identity.
            `picture_transform` makes one.

        Returns:
          (N, height, width, channels), float32 or better.

        Raises:
          ValueError: `transform` has another shape.
        """
        freqs, phases, amplitudes = self._waves(w, transform)
        rows, columns = (
            (jnp.arange(size, dtype=w.dtype) + (0.5 - size / 2)) / self.sampling_rate
            for size in self.size
        )
        cycles = (
            columns[None, None, :, None] * freqs[:, None, None, :, 0]
            + rows[None, :, None, None] * freqs[:, None, None, :, 1]
            + phases[:, None, None]
        )
        waves = jnp.sin(2 * math.pi * cycles) * amplitudes[:, None, None]
        return waves @ (self.kernel[...] / math.sqrt(self.kernel.shape[0])).astype(w.dtype)

    def _waves(self, w, transform):
        """Frequencies (N, C, 2), phases (N, C) and amplitudes (N, C) as transformed."""
        pose = self.affine(w)
        pose = pose * lax.rsqrt(jnp.sum(pose[:, :2] ** 2, axis=1, keepdims=True))
        cosine, sine, right, down = jnp.moveaxis(pose, 1, 0)
        zero, one = jnp.zeros_like(cosine), jnp.ones_like(cosine)
        rotation = _matrix([[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one]])
        translation = _matrix([[one, zero, -right], [zero, one, -down], [zero, zero, one]])
        moved = jnp.matmul(rotation, translation)
        if transform is not None:
            transform = jnp.asarray(transform, w.dtype)
            if transform.shape not in ((3, 3), (w.shape[0], 3, 3)):
                raise ValueError(
                    f"transform must be (3, 3) or ({w.shape[0]}, 3, 3), got shape {transform.shape}"
                )
            moved = jnp.matmul(moved, transform)
        freqs = self.freqs[...].astype(w.dtype)
        phases = self.phases[...] + jnp.einsum("cf,nf->nc", freqs, moved[:, :2, 2])
        freqs = jnp.einsum("cf,nfg->ncg", freqs, moved[:, :2, :2])
        # Waves that a scaling takes beyond the band fade, to be gone at the Nyquist frequency.
        beyond = jnp.linalg.norm(freqs, axis=2) - self.bandwidth
        room = self.sampling_rate / 2 - self.bandwidth
        return freqs, phases, jnp.clip(1 - beyond / room, 0, 1)


def _matrix(rows) -> jax.Array:
    """(N, 3, 3) from three rows of three (N,)."""
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
