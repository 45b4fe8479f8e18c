"""VGG-19's maps as losses of image synthesis read them.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution" (ECCV 2016),
compare images by such maps; the motion model of Siarohin et al. (NeurIPS 2019) does it on every
scale of an image pyramid, see `aa_jax.training.feature_distance`. Weights come from a user's file,
`aa_jax.weights.feature_networks.load_vgg19`; built directly, the network is random.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.inception.units import precise
from aa_jax.models.vgg_maps import IMAGENET, VGG19_STAGES, VGGMaps, check_size, normalised


class VGG19Features(nnx.Module):
    """relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG-19, for images on [0, 1].

    Attributes:
      maps: the convolutions.
    """

    def __init__(
        self,
        *,
        width_divisor: int = 1,
        precision: str = "default",
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          width_divisor: what all widths are divided by, 1 to 64; anything but one is for tests.
          precision: of matrix products, "highest", "high" or "default", which on a GPU has ten
            bits: enough for a loss, and several times faster.
          param_dtype: dtype of weights and computation.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: `width_divisor` is out of range.
        """
        self.precision = precision
        options = dict(width_divisor=width_divisor, param_dtype=param_dtype, rngs=rngs)
        self.maps = VGGMaps(VGG19_STAGES, read="first", **options)

    def __call__(self, images: Array) -> list[Array]:
        """Five maps, full size first.

        Args:
          images: (N, H, W, 3) on [0, 1], at least 16 x 16.

        Raises:
          ValueError: `images` does not hold images, or too small ones.
        """
        check_size(images)
        dtype = self.maps.stages[0][0].kernel.dtype
        with precise(self.precision):
            return self.maps(normalised(images.astype(dtype), IMAGENET))


def frozen(network: nnx.Module) -> tuple[Callable[[Any, Array], Any], dict]:
    """A network as a function of weights and images, for use inside a compiled training step.

    The weights are an argument, as a step would otherwise carry a copy of them as constants. They
    get no gradient, and as they belong to no train state they are never updated.

    Args:
      network: with its final weights, such as `load_vgg19` gives.

    Returns:
      A function (weights, images) -> what the network returns, and the weights to give it.

    Example:
      >>> features, weights = frozen(load_vgg19())
      >>> maps = jax.jit(features)(weights, images)
    """
    graphdef, state = nnx.split(network)

    def apply(weights: Any, images: Array) -> Any:
        return nnx.merge(graphdef, jax.lax.stop_gradient(weights))(images)

    return apply, nnx.to_pure_dict(state)
