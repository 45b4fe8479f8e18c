"""Who plays and by which rules: what the phases of an iteration need to know."""

import dataclasses

from flax import nnx

from aa_jax.ops.augmentation import Augmentation


@dataclasses.dataclass(frozen=True)
class Players:
    """Both networks' structures.

    Attributes:
        generator: of a module with `mapping`, `synthesis`, `z_dim` and `c_dim`.
        discriminator: of a module called as `discriminator(images, labels)`.
        z_dim: length of the random latent.
        c_dim: length of the labels, 0 without.
        noisy: whether `synthesis` takes a key for noise (StyleGAN2).
    """

    generator: nnx.GraphDef
    discriminator: nnx.GraphDef
    z_dim: int
    c_dim: int
    noisy: bool = False


@dataclasses.dataclass(frozen=True)
class Rules:
    """What is trained for, and how it changes over time.

    Attributes:
        r1_gamma: weight of the R1 penalty.
        r1_interval: iterations from one R1 phase to the next.
        path_length_weight: 0 leaves the path length phase out.
        path_length_interval: iterations from one path length phase to the next.
        path_length_decay: how fast its running mean follows.
        path_length_shrink: by how much its batch is smaller.
        style_mixing: probability that later layers of a batch get other latents.
        equivariance_weight: of the penalty on generated images that do not move as told; 0: none.
        max_translation: of that penalty, in picture widths.
        blur_initial: width of the blur at the start, in pixels; 0: none.
        blur_images: training images after which it is gone.
        ema_half_life: of the weight average, in images.
        ema_ramp_up: see `schedules.ema_decay`.
        augmentation: which transformations there are, or None.
        augmentation_target: wanted mean sign of real logits; None keeps the probability.
        augmentation_images: images in which the probability can move from 0 to 1.
        augmentation_interval: iterations from one adjustment to the next.
        accumulation_steps: parts into which a batch is divided, whose gradients are averaged.
    """

    r1_gamma: float
    r1_interval: int = 16
    path_length_weight: float = 0.0
    path_length_interval: int = 4
    path_length_decay: float = 0.01
    path_length_shrink: int = 2
    style_mixing: float = 0.0
    equivariance_weight: float = 0.0
    max_translation: float = 0.125
    blur_initial: float = 0.0
    blur_images: float = 0.0
    ema_half_life: float = 10_000.0
    ema_ramp_up: float | None = 0.05
    augmentation: Augmentation | None = None
    augmentation_target: float | None = 0.6
    augmentation_images: float = 500_000.0
    augmentation_interval: int = 4
    accumulation_steps: int = 1
