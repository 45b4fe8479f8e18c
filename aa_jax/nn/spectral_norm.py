"""Convolution whose kernel is divided by its largest singular value.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (ICLR 2018), section
2.1 and algorithm 1: the kernel is read as a matrix from (taps x inputs) to outputs, and its norm
is estimated by power iteration, one step per call in training.
"""

from flax import nnx
from jax import Array, lax, numpy as jnp

from aa_jax.nn.conv import Conv
from aa_jax.nn.initializers import normal
from aa_jax.nn.precision import promote
from aa_jax.ops.conv import conv2d

# The estimate is wanted in full precision, and costs next to nothing beside the convolution.
_PRECISION = lax.Precision.HIGHEST


def power_iteration(matrix: Array, u: Array, *, epsilon: float = 1e-12) -> tuple[Array, Array]:
    """One step towards the singular vectors of the largest singular value.

    Args:
      matrix: (inputs, outputs).
      u: (outputs,), the former estimate of the right singular vector.
      epsilon: the smallest length that a vector is divided by.

    Returns:
      The new `u` (outputs,) and the left vector `v` (inputs,) that came before it, both of length
      one.
    """
    v = _unit(jnp.dot(matrix, u, precision=_PRECISION), epsilon)
    return _unit(jnp.dot(v, matrix, precision=_PRECISION), epsilon), v


class SpectralNormConv(Conv):
    """A convolution that applies `kernel / sigma`, where sigma estimates the kernel's norm.

    A call in training first moves the estimate by one power iteration. In evaluation the stored
    vectors give sigma. The gradient goes through sigma as a function of the kernel, the vectors
    being constants.

    Attributes:
      kernel: taps as they are trained, (kh, kw, in_features, out_features).
      bias: (out_features,), or None.
      u: (out_features,) state, float32 or better.
      v: (in_features kh kw,) state; inputs vary slowest, the order of the published checkpoints,
        so that their vectors load as they are.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        epsilon: float = 1e-12,
        rngs: nnx.Rngs,
        **options,
    ):
        """Draws the weights and takes one power iteration, so that sigma is positive at once.

        Args:
          in_features: channels in.
          out_features: channels out.
          kernel_size: side of the square kernel.
          epsilon: the smallest length that a vector is divided by.
          rngs: random streams; "params" is used.
          **options: as of `Conv`, without `groups`.

        Raises:
          ValueError: `groups` is not one.
        """
        if options.get("groups", 1) != 1:
            raise ValueError(f"groups must be 1 for a spectral norm, got {options['groups']}")
        super().__init__(in_features, out_features, kernel_size, rngs=rngs, **options)
        self.epsilon = epsilon
        matrix = self._matrix()
        u = _unit(normal(1.0)(rngs.params(), (out_features,), matrix.dtype), epsilon)
        u, v = power_iteration(matrix, u, epsilon=epsilon)
        self.u, self.v = nnx.BatchStat(u), nnx.BatchStat(self._inputs_first(v))

    def __call__(self, x: Array, *, stride: int | None = None, train: bool = False) -> Array:
        """Convolves (N, H, W, in_features) to (N, H', W', out_features).

        Args:
          x: signal.
          stride: overrides the layer's own stride.
          train: whether to take a power iteration and keep its vectors.
        """
        kernel = self.kernel[...] / self.norm(train=train)
        bias = None if self.bias is None else self.bias[...]
        x, kernel, bias = promote(x, kernel, bias, dtype=self.dtype)
        y = conv2d(
            x,
            kernel,
            stride=self.stride if stride is None else stride,
            padding=self.padding,
            padding_mode=self.padding_mode,
        )
        return y if bias is None else y + bias

    def norm(self, *, train: bool = False) -> Array:
        """Sigma, () in float32 or better; in training the vectors are moved first."""
        matrix = self._matrix()
        if train:
            fixed = lax.stop_gradient(matrix)
            u, v = power_iteration(fixed, self.u[...].astype(matrix.dtype), epsilon=self.epsilon)
            self.u[...] = u.astype(self.u.dtype)
            self.v[...] = self._inputs_first(v).astype(self.v.dtype)
        else:
            u, v = self.u[...], self._inputs_last(self.v[...])
        image = jnp.dot(lax.stop_gradient(v), matrix, precision=_PRECISION)
        return jnp.dot(image, lax.stop_gradient(u), precision=_PRECISION)

    def _matrix(self) -> Array:
        kernel = self.kernel[...]
        wide = jnp.promote_types(kernel.dtype, jnp.float32)
        return kernel.astype(wide).reshape(-1, kernel.shape[-1])

    # Reordering the vector is free; reordering the kernel would copy it in every step.
    def _inputs_first(self, v: Array) -> Array:
        taps = self.kernel.shape[:2]
        return v.reshape(*taps, -1).transpose(2, 0, 1).reshape(-1)

    def _inputs_last(self, v: Array) -> Array:
        taps = self.kernel.shape[:2]
        return v.reshape(-1, *taps).transpose(1, 2, 0).reshape(-1)


def _unit(vector: Array, epsilon: float) -> Array:
    length = jnp.sqrt(jnp.sum(jnp.square(vector)))
    return vector / jnp.maximum(length, epsilon)
