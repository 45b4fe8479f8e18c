"""The multi-scale patch discriminator of keypoint-driven motion.

Siarohin et al., "First Order Motion Model for Image Animation" (NeurIPS 2019): valid 4 x 4
convolutions, instance norms and means of 2 x 2 on every scale of an image pyramid, optionally with
spectral norms (its first checkpoints) or with the keypoints as additional channels (its
adversarially refined ones).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
from flax import nnx
from jax import Array, lax, numpy as jnp

from aa_jax.models.motion.keypoints import gaussian_heatmaps
from aa_jax.nn import Conv
from aa_jax.nn.initializers import uniform_fan_in
from aa_jax.nn.instance_norm import InstanceNorm
from aa_jax.nn.spectral_norm import SpectralNormConv
from aa_jax.ops.average import avg_pool

SPECTRAL_NORMS = ("none", "power_iteration")
"""What may be done to the kernels of a discriminator."""

_TAPS = 4
_SLOPE = 0.2


class Judgement(NamedTuple):
    """What a discriminator finds in images of one scale.

    Attributes:
      maps: outputs of the blocks (N, H_i, W_i, C_i), for feature matching.
      prediction: (N, H', W', 1), one where patches look real; not bounded.
    """

    maps: tuple[Array, ...]
    prediction: Array


class DiscriminatorBlock(nnx.Module):
    """Valid 4 x 4 convolution, instance norm, leaky ReLU, mean of 2 x 2."""

    def __init__(
        self, inputs: int, outputs: int, *, normalized: bool, pooled: bool, conv: type, **options
    ):
        """Builds the block; `options` are `dtype`, `param_dtype`, `rngs`.

        Args:
          inputs: channels in.
          outputs: channels out.
          normalized: whether there is a norm (the first block has none).
          pooled: whether resolution is halved (the last block keeps it).
          conv: class of the convolution.
        """
        self.conv = conv(
            inputs, outputs, _TAPS, use_bias=True, kernel_init=uniform_fan_in, **options
        )
        self.norm = InstanceNorm(outputs, **options) if normalized else None
        self.pooled = pooled

    def __call__(self, x: Array, *, train: bool) -> Array:
        """Maps (N, H, W, inputs) to (N, H', W', outputs)."""
        y = _convolve(self.conv, x, train=train)
        y = jax.nn.leaky_relu(y if self.norm is None else self.norm(y), _SLOPE)
        return avg_pool(y) if self.pooled else y


class Discriminator(nnx.Module):
    """The discriminator of one scale.

    Attributes:
      down_blocks: list of `DiscriminatorBlock`.
      conv: the 1 x 1 convolution to the prediction.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], *, conv: type, **options):
        """Draws the weights; `options` are `dtype`, `param_dtype`, `rngs`.

        Args:
          inputs: channels in.
          widths: channels of the blocks.
          conv: class of the convolutions.
        """
        blocks = []
        for index, (before, after) in enumerate(zip((inputs, *widths), widths, strict=False)):
            places = dict(normalized=index > 0, pooled=index < len(widths) - 1)
            blocks.append(DiscriminatorBlock(before, after, conv=conv, **places, **options))
        self.down_blocks = nnx.List(blocks)
        self.conv = conv(widths[-1], 1, 1, use_bias=True, kernel_init=uniform_fan_in, **options)

    def __call__(self, x: Array, *, train: bool = False) -> Judgement:
        """Judges (N, H, W, inputs)."""
        maps = []
        for block in self.down_blocks:
            x = block(x, train=train)
            maps.append(x)
        return Judgement(tuple(maps), _convolve(self.conv, x, train=train))


class MultiScaleDiscriminator(nnx.Module):
    """One discriminator for each of some scales of an image pyramid.

    Attributes:
      discs: list of `Discriminator`, in the order of `scales`.
      scales: of the pyramid, 1 for the full size.
    """

    def __init__(
        self,
        *,
        scales: tuple[float, ...] = (1.0,),
        block_expansion: int = 32,
        max_features: int = 512,
        num_blocks: int = 4,
        spectral_norm: str = "none",
        keypoint_maps: int = 0,
        keypoint_variance: float = 0.01,
        channels: int = 3,
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          scales: what scales of the pyramid are judged.
          block_expansion: half the channels of the first block; they double from block to block.
          max_features: most channels of a block.
          num_blocks: blocks of each discriminator.
          spectral_norm: "none", or "power_iteration" for a `SpectralNormConv` everywhere.
          keypoint_maps: number of keypoints that it sees as Gaussian maps, 0 for none.
          keypoint_variance: of these Gaussians, in squared units of half an image side.
          channels: of the images.
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: `scales` is empty or has repetitions, `num_blocks` is not positive, or
            `spectral_norm` is unknown.
        """
        if not scales or len(set(scales)) != len(scales):
            raise ValueError(f"scales must be different numbers, at least one, got {scales}")
        if num_blocks < 1:
            raise ValueError(f"num_blocks must be positive, got {num_blocks}")
        if spectral_norm not in SPECTRAL_NORMS:
            raise ValueError(
                f"spectral_norm must be one of {', '.join(SPECTRAL_NORMS)}, got {spectral_norm!r}"
            )
        conv = Conv if spectral_norm == "none" else SpectralNormConv
        widths = tuple(
            min(max_features, block_expansion * 2 ** (index + 1)) for index in range(num_blocks)
        )
        options = dict(conv=conv, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        inputs = channels + keypoint_maps
        self.discs = nnx.List([Discriminator(inputs, widths, **options) for _ in scales])
        self.scales, self.channels = tuple(scales), channels
        self.keypoint_maps, self.keypoint_variance = keypoint_maps, keypoint_variance
        # What the valid convolutions and the halvings between them leave two pixels of.
        self.smallest = 2 + _TAPS - 1
        for _ in range(num_blocks - 1):
            self.smallest = 2 * self.smallest + _TAPS - 1

    @property
    def scale_names(self) -> tuple[str, ...]:
        """Names of `discs` in published checkpoints: "1", or "0-5" for one half."""
        return tuple(f"{scale:g}".replace(".", "-") for scale in self.scales)

    def __call__(
        self,
        pyramid: Mapping[float, Array],
        keypoints: Array | None = None,
        *,
        train: bool = False,
    ) -> dict[float, Judgement]:
        """Judges the images of every scale.

        Args:
          pyramid: scale -> images (N, H, W, channels), with at least the scales of this module.
          keypoints: (N, keypoint_maps, 2), x and y on [-1, 1] between the centres of the outermost
            pixels; needed if and only if the module has keypoint maps. No gradient goes to them.
          train: whether spectral norms take a power iteration each.

        Returns:
          Scale -> what its discriminator finds.

        Raises:
          ValueError: a scale is missing, images are of another shape or too small, or keypoints
            are missing, not asked for, or of another shape.
        """
        judgements = {}
        for scale, disc in zip(self.scales, self.discs, strict=True):
            if scale not in pyramid:
                raise ValueError(
                    f"pyramid must have scale {scale}, got {', '.join(map(str, pyramid))}"
                )
            images = pyramid[scale]
            self._check(images, keypoints, scale)
            if keypoints is not None:
                points = lax.stop_gradient(keypoints).astype(images.dtype)
                options = dict(size=images.shape[1:3], variance=self.keypoint_variance)
                images = jnp.concatenate([images, gaussian_heatmaps(points, **options)], -1)
            judgements[scale] = disc(images, train=train)
        return judgements

    def _check(self, images: Array, keypoints: Array | None, scale: float) -> None:
        if images.ndim != 4 or images.shape[-1] != self.channels:
            raise ValueError(
                f"pyramid[{scale}] must be (N, H, W, {self.channels}), got shape {images.shape}"
            )
        if min(images.shape[1:3]) < self.smallest:
            raise ValueError(
                f"pyramid[{scale}] must be at least {self.smallest} pixels high and wide for "
                f"{len(self.discs[0].down_blocks)} blocks, got shape {images.shape}"
            )
        shape = (images.shape[0], self.keypoint_maps, 2) if self.keypoint_maps else None
        if (None if keypoints is None else keypoints.shape) != shape:
            wanted = f"of shape {shape}" if shape else "None, as keypoint_maps is 0"
            got = "None" if keypoints is None else f"shape {keypoints.shape}"
            raise ValueError(f"keypoints must be {wanted}, got {got}")


def _convolve(conv: Conv, x: Array, *, train: bool) -> Array:
    return conv(x, train=train) if isinstance(conv, SpectralNormConv) else conv(x)
