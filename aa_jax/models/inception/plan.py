"""The layers of the Inception network, as data.

Inception v3 (Szegedy et al., CVPR 2016) as TensorFlow published it on 2015-12-05 for ImageNet,
the network of the Inception score and of the Fréchet distance. A block runs several branches on
the same map and concatenates what they give along channels. A branch is a tuple of steps: a layer,
the name of a pool, or a fork of layers whose results are concatenated.

Layer names are those of the PyTorch layout, in which the weights are commonly found.
"""

import dataclasses
from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution with batch normalisation and ReLU.

    Attributes:
      name: within its block.
      width: channels out.
      taps: height and width of the kernel.
      stride: step between output positions.
      padded: whether the map keeps its size (at stride one).
    """

    name: str
    width: int
    taps: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros at the top and bottom, and at the left and right."""
        return (self.taps[0] // 2, self.taps[1] // 2) if self.padded else (0, 0)


# Pools: a mean over those neighbours that are in the map; a maximum over neighbours; and a
# maximum of every second window.
MEAN, MAX, HALVE = "mean", "max", "halve"

Fork = tuple[Layer, ...]
Branch = tuple[Layer | str | Fork, ...]


@dataclasses.dataclass(frozen=True)
class Block:
    """Branches on one map, concatenated; `name` is that of the published layout."""

    name: str
    branches: tuple[Branch, ...]


_WIDE, _TALL = (1, 7), (7, 1)


def _down(name: str, width: int) -> Layer:
    return Layer(name, width, (3, 3), stride=2, padded=False)


def _fine(name: str, pooled: int) -> Block:
    """At 35 x 35; PyTorch's block A."""
    return Block(
        name,
        (
            (Layer("branch1x1", 64),),
            (Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, (5, 5))),
            (
                Layer("branch3x3dbl_1", 64),
                Layer("branch3x3dbl_2", 96, (3, 3)),
                Layer("branch3x3dbl_3", 96, (3, 3)),
            ),
            (MEAN, Layer("branch_pool", pooled)),
        ),
    )


def _middle(name: str, width: int) -> Block:
    """At 17 x 17, with 7 x 7 windows in two steps each; PyTorch's block C."""
    return Block(
        name,
        (
            (Layer("branch1x1", 192),),
            (
                Layer("branch7x7_1", width),
                Layer("branch7x7_2", width, _WIDE),
                Layer("branch7x7_3", 192, _TALL),
            ),
            (
                Layer("branch7x7dbl_1", width),
                Layer("branch7x7dbl_2", width, _TALL),
                Layer("branch7x7dbl_3", width, _WIDE),
                Layer("branch7x7dbl_4", width, _TALL),
                Layer("branch7x7dbl_5", 192, _WIDE),
            ),
            (MEAN, Layer("branch_pool", 192)),
        ),
    )


def _coarse(name: str, pool: str) -> Block:
    """At 8 x 8, with forks; PyTorch's block E."""

    def fork(prefix: str) -> Fork:
        return (Layer(f"{prefix}a", 384, (1, 3)), Layer(f"{prefix}b", 384, (3, 1)))

    return Block(
        name,
        (
            (Layer("branch1x1", 320),),
            (Layer("branch3x3_1", 384), fork("branch3x3_2")),
            (
                Layer("branch3x3dbl_1", 448),
                Layer("branch3x3dbl_2", 384, (3, 3)),
                fork("branch3x3dbl_3"),
            ),
            (pool, Layer("branch_pool", 192)),
        ),
    )


STEM: Branch = (
    _down("Conv2d_1a_3x3", 32),
    Layer("Conv2d_2a_3x3", 32, (3, 3), padded=False),
    Layer("Conv2d_2b_3x3", 64, (3, 3)),
    HALVE,
    Layer("Conv2d_3b_1x1", 80),
    Layer("Conv2d_4a_3x3", 192, (3, 3), padded=False),
    HALVE,
)
"""From the image at 299 x 299 to a map of 35 x 35."""

BLOCKS = (
    _fine("Mixed_5b", 32),
    _fine("Mixed_5c", 64),
    _fine("Mixed_5d", 64),
    Block(
        "Mixed_6a",
        (
            (_down("branch3x3", 384),),
            (
                Layer("branch3x3dbl_1", 64),
                Layer("branch3x3dbl_2", 96, (3, 3)),
                _down("branch3x3dbl_3", 96),
            ),
            (HALVE,),
        ),
    ),
    _middle("Mixed_6b", 128),
    _middle("Mixed_6c", 160),
    _middle("Mixed_6d", 160),
    _middle("Mixed_6e", 192),
    Block(
        "Mixed_7a",
        (
            (Layer("branch3x3_1", 192), _down("branch3x3_2", 320)),
            (
                Layer("branch7x7x3_1", 192),
                Layer("branch7x7x3_2", 192, _WIDE),
                Layer("branch7x7x3_3", 192, _TALL),
                _down("branch7x7x3_4", 192),
            ),
            (HALVE,),
        ),
    ),
    _coarse("Mixed_7b", MEAN),
    # A maximum, where the paper and every other block have a mean: so it is in the graph that
    # TensorFlow published, and so all published numbers have it.
    _coarse("Mixed_7c", MAX),
)
"""After the stem, in order."""

CLASSES = 1008
"""Outputs of the classifier: 1000 classes of ImageNet and eight that stand for nothing."""
