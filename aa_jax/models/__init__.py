"""Networks, each with any kind of anti-aliasing; `create` makes one by name."""

import difflib

from flax import nnx

from aa_jax.models.alexnet import AlexNet, alexnet
from aa_jax.models.densenet import DenseNet, densenet121
from aa_jax.models.inception import InceptionV3Features, inception_extractor
from aa_jax.models.mobilenet import MobileNetV2, mobilenet_v2
from aa_jax.models.perceptual import LPIPS, VGG16Features, lpips_extractor, vgg16_extractor
from aa_jax.models.resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    small_resnet,
    wide_resnet50_2,
)
from aa_jax.models.vgg import VGG, vgg11_bn, vgg16, vgg16_bn

_FACTORIES = (
    alexnet,
    densenet121,
    mobilenet_v2,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    small_resnet,
    vgg11_bn,
    vgg16,
    vgg16_bn,
    wide_resnet50_2,
)
MODELS = {factory.__name__: factory for factory in _FACTORIES}


def create(name: str, **options) -> nnx.Module:
    """Makes a network by name.

    Args:
      name: one of `MODELS`, such as "resnet50".
      **options: `num_classes`, `antialias`, `filter_size`, `groups`, `dtype`, `param_dtype`,
        `rngs`, and what else the network's own function takes.

    Returns:
      The network, with fresh weights; call it as `model(x, train=False, key=None, record=None)`.

    Raises:
      ValueError: there is no such network.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"name must be one of {', '.join(MODELS)}, got {name!r}{hint}")
    return MODELS[name](**options)


__all__ = [
    "MODELS",
    "AlexNet",
    "BasicBlock",
    "Bottleneck",
    "DenseNet",
    "InceptionV3Features",
    "LPIPS",
    "MobileNetV2",
    "ResNet",
    "VGG",
    "VGG16Features",
    "alexnet",
    "create",
    "densenet121",
    "inception_extractor",
    "lpips_extractor",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "small_resnet",
    "vgg11_bn",
    "vgg16",
    "vgg16_bn",
    "vgg16_extractor",
    "wide_resnet50_2",
]
