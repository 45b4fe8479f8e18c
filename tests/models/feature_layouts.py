"""The published layouts of feature networks, and random tensors in them at any width.

Written down from the documented files (pytorch-fid, torchvision, LPIPS), not from our plan.
"""

import numpy as np

# Name, channels out, channels in, height and width of the kernel.
_INCEPTION = """
Conv2d_1a_3x3 32 3 3 3
Conv2d_2a_3x3 32 32 3 3
Conv2d_2b_3x3 64 32 3 3
Conv2d_3b_1x1 80 64 1 1
Conv2d_4a_3x3 192 80 3 3
Mixed_6a.branch3x3 384 288 3 3
Mixed_6a.branch3x3dbl_1 64 288 1 1
Mixed_6a.branch3x3dbl_2 96 64 3 3
Mixed_6a.branch3x3dbl_3 96 96 3 3
Mixed_7a.branch3x3_1 192 768 1 1
Mixed_7a.branch3x3_2 320 192 3 3
Mixed_7a.branch7x7x3_1 192 768 1 1
Mixed_7a.branch7x7x3_2 192 192 1 7
Mixed_7a.branch7x7x3_3 192 192 7 1
Mixed_7a.branch7x7x3_4 192 192 3 3
"""
# For the blocks of one kind: {i} channels in, {p} behind the pool, {c} inside.
_A = """
{n}.branch1x1 64 {i} 1 1
{n}.branch5x5_1 48 {i} 1 1
{n}.branch5x5_2 64 48 5 5
{n}.branch3x3dbl_1 64 {i} 1 1
{n}.branch3x3dbl_2 96 64 3 3
{n}.branch3x3dbl_3 96 96 3 3
{n}.branch_pool {p} {i} 1 1
"""
_C = """
{n}.branch1x1 192 768 1 1
{n}.branch7x7_1 {c} 768 1 1
{n}.branch7x7_2 {c} {c} 1 7
{n}.branch7x7_3 192 {c} 7 1
{n}.branch7x7dbl_1 {c} 768 1 1
{n}.branch7x7dbl_2 {c} {c} 7 1
{n}.branch7x7dbl_3 {c} {c} 1 7
{n}.branch7x7dbl_4 {c} {c} 7 1
{n}.branch7x7dbl_5 192 {c} 1 7
{n}.branch_pool 192 768 1 1
"""
_E = """
{n}.branch1x1 320 {i} 1 1
{n}.branch3x3_1 384 {i} 1 1
{n}.branch3x3_2a 384 384 1 3
{n}.branch3x3_2b 384 384 3 1
{n}.branch3x3dbl_1 448 {i} 1 1
{n}.branch3x3dbl_2 384 448 3 3
{n}.branch3x3dbl_3a 384 384 1 3
{n}.branch3x3dbl_3b 384 384 3 1
{n}.branch_pool 192 {i} 1 1
"""


def inception_convs() -> dict[str, tuple[int, int, int, int]]:
    """Shapes (out, in, height, width) of the convolutions by name."""
    text = _INCEPTION
    for name, inputs, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        text += _A.format(n=f"Mixed_{name}", i=inputs, p=pooled)
    for name, width in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        text += _C.format(n=f"Mixed_{name}", c=width)
    for name, inputs in (("7b", 1280), ("7c", 2048)):
        text += _E.format(n=f"Mixed_{name}", i=inputs)
    rows = (line.split() for line in text.split("\n") if line)
    return {name: tuple(map(int, numbers)) for name, *numbers in rows}


def inception_shapes(divisor: int = 1) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of the file, batch counters left out."""
    shapes = {}
    for name, (outputs, inputs, *taps) in inception_convs().items():
        outputs //= divisor
        inputs = inputs if inputs == 3 else inputs // divisor
        shapes[f"{name}.conv.weight"] = (outputs, inputs, *taps)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{leaf}"] = (outputs,)
    return shapes | {"fc.weight": (1008, 2048 // divisor), "fc.bias": (1008,)}


def vgg16_shapes(divisor: int = 1) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of torchvision's VGG-16."""
    widths = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256}
    widths |= dict.fromkeys((17, 19, 21, 24, 26, 28), 512)
    shapes, inputs = {}, 3
    for position, width in widths.items():
        shapes[f"features.{position}.weight"] = (width // divisor, inputs, 3, 3)
        shapes[f"features.{position}.bias"] = (width // divisor,)
        inputs = width // divisor
    dense = 4096 // divisor
    for position, size in ((0, (dense, inputs * 49)), (3, (dense, dense)), (6, (1000, dense))):
        shapes[f"classifier.{position}.weight"] = size
        shapes[f"classifier.{position}.bias"] = size[:1]
    return shapes


def vgg19_shapes(divisor: int = 1) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of torchvision's VGG-19, of its dense layers the last only."""
    widths = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 16: 256}
    widths |= dict.fromkeys((19, 21, 23, 25, 28, 30, 32, 34), 512)
    shapes, inputs = {}, 3
    for position, width in widths.items():
        shapes[f"features.{position}.weight"] = (width // divisor, inputs, 3, 3)
        shapes[f"features.{position}.bias"] = (width // divisor,)
        inputs = width // divisor
    return shapes | {"classifier.6.weight": (1000, 4096 // divisor), "classifier.6.bias": (1000,)}


def lpips_shapes(divisor: int = 1) -> dict[str, tuple[int, ...]]:
    """Shapes of LPIPS's weights of channels."""
    widths = (64, 128, 256, 512, 512)
    return {f"lin{i}.model.1.weight": (1, w // divisor, 1, 1) for i, w in enumerate(widths)}


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """float32 tensors under which signals neither vanish nor explode."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith("running_var") or name.endswith("bn.weight") or name.startswith("lin"):
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            values = 0.1 * rng.standard_normal(shape)
        else:
            values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        tensors[name] = values.astype(np.float32)
    return tensors
