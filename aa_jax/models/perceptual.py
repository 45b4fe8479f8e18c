"""VGG-16 as image-quality metrics use it: features for precision and recall, LPIPS distances.

Both read torchvision's VGG-16 (Simonyan & Zisserman, ICLR 2015); LPIPS (Zhang et al., CVPR 2018)
adds one learnt weight per channel of five of its maps. Evaluation only; `aa_jax.models.vgg` has
the network for training. Weights come from a user's files, `aa_jax.weights.load_vgg16` and
`load_lpips`; built directly, networks are random, which measures nothing.
"""

from collections.abc import Callable

import jax
import numpy as np
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.inception.preprocessing import check_dialect, resize_as
from aa_jax.models.inception.units import precise
from aa_jax.models.vgg import flatten_channels_first
from aa_jax.models.vgg_maps import IMAGENET, VGG16_STAGES, VGGMaps, check_size, normalised
from aa_jax.nn import Linear
from aa_jax.nn.initializers import normal
from aa_jax.ops.average import adaptive_avg_pool
from aa_jax.ops.pool import max_pool

_DENSE = 4096
_SIDE = 224

# Mean and deviation of ImageNet's pixels, to three digits on [-1, 1], which is what LPIPS's weights
# were learnt with.
_LPIPS = (np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450]))
# Added to the length of a vector before dividing by it.
_LPIPS_EPSILON = 1e-10


class VGG16Features(nnx.Module):
    """The 4096 activations of VGG-16's second dense layer, behind its ReLU.

    Features of precision and recall (Kynkäänniemi et al., NeurIPS 2019). Of torchvision's network
    it has all but the last layer, which gives classes.
    """

    def __init__(
        self,
        *,
        width_divisor: int = 1,
        precision: str = "highest",
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          width_divisor: what all widths are divided by, 1 to 64; anything but one is for tests.
          precision: of matrix products, "highest", "high" or "default".
          param_dtype: dtype of weights and computation.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: `width_divisor` is out of range.
        """
        self.precision = precision
        options = dict(width_divisor=width_divisor, param_dtype=param_dtype, rngs=rngs)
        self.maps = VGGMaps(VGG16_STAGES, **options)
        width = _DENSE // width_divisor
        start = dict(kernel_init=normal(0.01), bias_init=nnx.initializers.zeros)
        start |= dict(param_dtype=param_dtype, rngs=rngs)
        inputs = self.maps.widths[-1] * 7 * 7
        self.dense = nnx.List([Linear(inputs, width, **start), Linear(width, width, **start)])

    def __call__(self, x: Array) -> Array:
        """Features (N, 4096) of images as `vgg16_input` makes them.

        Args:
          x: images (N, H, W, 3), normally 224 x 224, at least 32 x 32.

        Raises:
          ValueError: `x` does not hold images, or too small ones.
        """
        check_size(x, 32)
        with precise(self.precision):
            y = self.maps(x.astype(self.dense[0].kernel.dtype))[-1]
            y = adaptive_avg_pool(max_pool(y, window=2, stride=2), size=7)
            y = flatten_channels_first(y)
            for layer in self.dense:
                y = jax.nn.relu(layer(y))
            return y


class LPIPS(nnx.Module):
    """An embedding in which squared Euclidean distance is the LPIPS distance (v0.1, VGG).

    A map's vectors along channels are brought to length one and weighted by the square roots of
    the learnt weights; a mean over pixels becomes a division by the square root of their number.

    Attributes:
      maps: the convolutions.
      weights: five arrays (channels,), not negative.
    """

    def __init__(
        self,
        *,
        width_divisor: int = 1,
        precision: str = "highest",
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the convolutions' weights; channel weights start at one.

        Arguments and errors as of `VGG16Features`.
        """
        self.precision = precision
        options = dict(width_divisor=width_divisor, param_dtype=param_dtype, rngs=rngs)
        self.maps = VGGMaps(VGG16_STAGES, **options)
        ones = [nnx.Param(jnp.ones((width,), param_dtype)) for width in self.maps.widths]
        self.weights = nnx.List(ones)

    def __call__(self, images: Array) -> Array:
        """Embeds images (N, H, W, 3) on [0, 255], integer or not, at least 16 x 16.

        Returns:
          (N, D), D = 122 H W where both are multiples of 16: 32 MB for an image of 256 x 256.

        Raises:
          ValueError: `images` does not hold images, or too small ones.
        """
        check_size(images)
        x = jnp.asarray(images, self.weights[0].dtype) / 127.5 - 1
        parts = []
        with precise(self.precision):
            for y, weight in zip(self.maps(normalised(x, _LPIPS)), self.weights, strict=True):
                length = jnp.sqrt(jnp.sum(jnp.square(y), -1, keepdims=True))
                share = jnp.sqrt(weight[...] / (y.shape[1] * y.shape[2]))
                parts.append((y / (length + _LPIPS_EPSILON) * share).reshape(y.shape[0], -1))
        return jnp.concatenate(parts, -1)


def vgg16_input(images: Array, *, dialect: str) -> Array:
    """Resizes 8-bit images (N, H, W, 3) to 224 x 224 and normalises them by ImageNet's statistics.

    Args:
      images: uint8.
      dialect: how they are resized, "clean", "pytorch" or "tensorflow", see `inception_input`.
        "tensorflow" is comparable with torch-fidelity; what the StyleGAN family's own file does
        before its first layer has not been compared.

    Returns:
      (N, 224, 224, 3) float32.

    Raises:
      ValueError: there is no such dialect, or `images` are no 8-bit images.
    """
    return normalised(resize_as(images, size=_SIDE, dialect=dialect) / 255, IMAGENET)


def vgg16_extractor(network: VGG16Features, *, dialect: str) -> Callable[[Array], Array]:
    """A compiled function from uint8 images (N, H, W, 3) to features (N, 4096).

    Args:
      network: with weights of `aa_jax.weights.load_vgg16`.
      dialect: as of `vgg16_input`.

    Raises:
      ValueError: there is no such dialect.
    """
    check_dialect(dialect)
    return _compiled(network, lambda images: vgg16_input(images, dialect=dialect))


def lpips_extractor(network: LPIPS) -> Callable[[Array], Array]:
    """A compiled function from images (N, H, W, 3) on [0, 255] to embeddings.

    Args:
      network: with weights of `aa_jax.weights.load_lpips`.

    Example:
      >>> embed = lpips_extractor(weights.load_lpips())
      >>> distances = jnp.sum((embed(images) - embed(others)) ** 2, -1)  # (N,)
    """
    return _compiled(network, lambda images: images)


def _compiled(network: nnx.Module, prepare: Callable) -> Callable[[Array], Array]:
    graph, state = nnx.split(network)

    @jax.jit
    def run(state, images):
        return nnx.merge(graph, state)(prepare(images))

    return lambda images: run(state, images)
