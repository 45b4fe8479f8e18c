"""Networks, each with any kind of anti-aliasing."""

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
