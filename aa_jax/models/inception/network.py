"""The Inception network: 2048 features of an image, and probabilities of 1008 classes."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.models.images import check_images
from aa_jax.models.inception.plan import BLOCKS, CLASSES, HALVE, MAX, MEAN, STEM, Branch, Layer
from aa_jax.models.inception.preprocessing import check_dialect, inception_input
from aa_jax.models.inception.units import FeatureConv, mean_of_neighbours, precise
from aa_jax.nn import Linear
from aa_jax.nn.initializers import normal
from aa_jax.ops.pool import max_pool

_POOLS = {
    MEAN: mean_of_neighbours,
    MAX: lambda x: max_pool(x, window=3, padding=1),
    HALVE: lambda x: max_pool(x, window=3, stride=2),
}


class InceptionOutput(NamedTuple):
    """What metrics take from the network.

    Attributes:
      features: (N, 2048), the mean of the last map: Fréchet and kernel distance.
      probabilities: (N, 1008), softmax without the classifier's bias: Inception score.
    """

    features: Array
    probabilities: Array


class MixedBlock(nnx.Module):
    """Branches of layers on one map, concatenated along channels."""

    def __init__(self, branches: tuple[Branch, ...], inputs: int, *, divisor: int, **options):
        """Builds the layers; `options` are `param_dtype` and `rngs`."""
        self.branches = branches
        self.layers = nnx.Dict()
        widths = []
        for branch in branches:
            width = inputs
            for step in branch:
                if isinstance(step, str):
                    continue
                fork = (step,) if isinstance(step, Layer) else step
                for layer in fork:
                    self.layers[layer.name] = FeatureConv(
                        width,
                        layer.width // divisor,
                        layer.taps,
                        stride=layer.stride,
                        padding=layer.padding,
                        **options,
                    )
                width = sum(layer.width // divisor for layer in fork)
            widths.append(width)
        self.outputs = sum(widths)

    def __call__(self, x: Array) -> Array:
        """Maps (N, H, W, inputs) to (N, H', W', outputs)."""
        return jnp.concatenate([self._branch(x, branch) for branch in self.branches], -1)

    def _branch(self, x: Array, branch: Branch) -> Array:
        for step in branch:
            if isinstance(step, str):
                x = _POOLS[step](x)
            elif isinstance(step, Layer):
                x = self.layers[step.name](x)
            else:
                x = jnp.concatenate([self.layers[layer.name](x) for layer in step], -1)
        return x


class InceptionV3Features(nnx.Module):
    """Inception v3 as metrics use it: TensorFlow's network of 2015-12-05, evaluation only.

    It differs from torchvision's Inception v3 in weights, in 1008 classes, and in its pools: means
    next to a border are taken over the samples that are there, and the last block has a maximum
    where the others have a mean. Batch normalisation (epsilon 1e-3) is part of kernels and biases.

    Weights come from a user's file, `aa_jax.weights.load_inception`; built directly, they are
    random, which measures nothing.

    Attributes:
      features: length of the feature vector, 2048.
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
          width_divisor: what all widths but the number of classes are divided by (rounded down,
            1 to 32); anything but one is for tests.
          precision: of matrix products, "highest", "high" or "default".
          param_dtype: dtype of weights and computation.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: `width_divisor` is out of range.
        """
        if not 1 <= width_divisor <= 32:
            raise ValueError(f"width_divisor must be from 1 to 32, got {width_divisor}")
        options = dict(divisor=width_divisor, param_dtype=param_dtype, rngs=rngs)
        self.precision = precision
        self.stem = MixedBlock((STEM,), 3, **options)
        self.blocks = nnx.Dict()
        width = self.stem.outputs
        for block in BLOCKS:
            self.blocks[block.name] = MixedBlock(block.branches, width, **options)
            width = self.blocks[block.name].outputs
        self.features = width
        start = dict(kernel_init=normal(0.01), bias_init=nnx.initializers.zeros)
        self.fc = Linear(width, CLASSES, param_dtype=param_dtype, rngs=rngs, **start)

    def __call__(self, x: Array) -> InceptionOutput:
        """Features and class probabilities of images as `inception_input` makes them.

        Args:
          x: images (N, H, W, 3), normally 299 x 299, at least 75 x 75, about [-1, 1].

        Raises:
          ValueError: `x` does not hold images, or too small ones.
        """
        check_images(x)
        if min(x.shape[1:3]) < 75:
            raise ValueError(f"x must be images of at least 75 x 75 pixels, got shape {x.shape}")
        with precise(self.precision):
            y = self.stem(x.astype(self.fc.kernel.dtype))
            for block in BLOCKS:
                y = self.blocks[block.name](y)
            features = y.mean(axis=(1, 2))
            # The bias stays out, as in the Inception score's original program.
            return InceptionOutput(features, jax.nn.softmax(features @ self.fc.kernel[...]))


def inception_layers(network: InceptionV3Features) -> dict[str, FeatureConv]:
    """The convolutions of a network by their names in the PyTorch layout."""
    layers = dict(network.stem.layers.items())
    for block in BLOCKS:
        for name, layer in network.blocks[block.name].layers.items():
            layers[f"{block.name}.{name}"] = layer
    return layers


def inception_extractor(
    network: InceptionV3Features, *, dialect: str
) -> Callable[[Array], InceptionOutput]:
    """A compiled function from images to features and class probabilities.

    Args:
      network: with weights of `aa_jax.weights.load_inception`.
      dialect: how images come to 299 x 299, "clean", "pytorch" or "tensorflow", see
        `inception_input`. Numbers of different dialects are not comparable.

    Returns:
      A function of uint8 images (N, H, W, 3); compiled once per shape, so keep N constant.

    Raises:
      ValueError: there is no such dialect.

    Example:
      >>> extract = inception_extractor(weights.load_inception(), dialect="clean")
      >>> features = extract(images).features
    """
    check_dialect(dialect)
    graph, state = nnx.split(network)

    @jax.jit
    def run(state, images):
        return nnx.merge(graph, state)(inception_input(images, dialect=dialect))

    return lambda images: run(state, images)
