"""The residual discriminator of StyleGAN2, which judges the alias-free generator's images.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), section 4.1 and
appendix B; kept as it is by "Alias-Free Generative Adversarial Networks" (NeurIPS 2021), in all
configurations and with the same channels. Conditioning is a projection: Miyato & Koyama, "cGANs
with Projection Discriminator" (ICLR 2018).

Convolutions multiply at the platform's default precision, on accelerators less than float32's
(TF32 on NVIDIA GPUs, bfloat16 on TPUs): a judge in training needs no more. Where it is compared
with another, call it inside of `jax.default_matmul_precision("highest")`.
"""

import math

import jax
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free.filtered_conv import ANTIALIAS, Convolution, convolution
from aa_jax.models.alias_free.mapping import MappingNetwork, check_latents
from aa_jax.nn.equalized import EqualizedLinear
from aa_jax.nn.record import Record
from aa_jax.ops.bias_activation import bias_activation
from aa_jax.ops.minibatch_std import group_of, minibatch_std
from aa_jax.ops.pad import is_integer

_HALF_DTYPES = ("float16", "bfloat16")
# The two branches of a residual block are of unit power each; so is their sum.
_BRANCH_GAIN = math.sqrt(0.5)
# Side of the map that the epilogue judges as a whole, and of the smallest block in front of it.
_LAST_SIDE, _LEAST_BLOCK = 4, 8
# A block's convolutions as the published option `freezed` counts them.
_FREEZING_ORDER = ("fromrgb", "conv0", "conv1", "skip")


class Discriminator(nnx.Module):
    """Residual blocks that halve the image down to 4 x 4, then two dense layers: one logit.

    Attributes:
      blocks: the residual blocks, finest first; `blocks[i].resolution` is the side of their input.
      epilogue: what judges the last map.
      mapping: from labels to what the epilogue's result is projected on; None if unconditional.
    """

    def __init__(
        self,
        resolution: int,
        *,
        img_channels: int = 3,
        c_dim: int = 0,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 4,
        half_dtype: str | None = None,
        conv_clamp: float | None = 256.0,
        cmap_dim: int | None = None,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        mapping_layers: int = 8,
        antialias: str = "binomial",
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights. Names and defaults of options are the published ones.

        Args:
          resolution: side of the images, a power of two from 8 on.
          img_channels: channels of the images.
          c_dim: length of the labels; 0 for an unconditional discriminator.
          channel_base: a map of side r has `channel_base // r` channels ...
          channel_max: ... and no more than these.
          num_fp16_res: blocks of how many of the finest resolutions compute in `half_dtype`.
          half_dtype: "float16" or "bfloat16"; None: all blocks compute in float32 or better.
          conv_clamp: bound on the magnitude of the blocks' activations, or None. It is part of the
            network in any dtype, and keeps float16 from overflowing.
          cmap_dim: length of the projection; None: as many as the channels of the last map.
          mbstd_group_size: images that `minibatch_std` compares; None: the batch.
          mbstd_num_channels: channels that it appends; 0 leaves it out.
          mapping_layers: dense layers of the mapping from labels.
          antialias: "binomial" is the published network: a short binomial filter in front of
            strides, and activations on the maps' own grids. "alias_free" has the generator's
            means instead, Kaiser filters and filtered activations throughout, as `map_filter`
            designs them, so that its maps move with the image. Parameters are the same, and a
            training step takes about 1.4 times as long (64 px with 128 channels, on a CPU).
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: an option is out of its range.
        """
        _check_options(locals())
        self.resolution, self.img_channels, self.c_dim = resolution, img_channels, c_dim
        self.antialias = antialias
        self.half_dtype = None if half_dtype is None else jnp.dtype(half_dtype)

        def channels(side: int) -> int:
            return min(channel_base // side, channel_max)

        last = channels(_LAST_SIDE)
        if mbstd_num_channels and last % mbstd_num_channels:
            raise ValueError(
                f"mbstd_num_channels must divide the {last} channels of the last map, got "
                f"{mbstd_num_channels}"
            )
        if cmap_dim is None:
            cmap_dim = last if c_dim else 0
        options = {"param_dtype": param_dtype, "rngs": rngs}
        layers = {"convolution": convolution(antialias, resolution), **options}
        sides = [resolution >> i for i in range(int(math.log2(resolution)) - 2)]
        coarsest_half = max(2 * resolution >> num_fp16_res, _LEAST_BLOCK)
        self.blocks = nnx.List(
            DiscriminatorBlock(
                side,
                channels(side),
                channels(side // 2),
                img_channels=img_channels if side == resolution else None,
                half_precision=side >= coarsest_half,
                conv_clamp=conv_clamp,
                **layers,
            )
            for side in sides
        )
        mapping = None
        if c_dim:
            mapping = MappingNetwork(
                0, c_dim, cmap_dim, num_layers=mapping_layers, w_avg_beta=None, **options
            )
        self.mapping = mapping
        self.epilogue = DiscriminatorEpilogue(
            last,
            cmap_dim or 1,
            mbstd_group_size=mbstd_group_size,
            mbstd_num_channels=mbstd_num_channels,
            conv_clamp=conv_clamp,
            **layers,
        )

    def __call__(
        self,
        images: jax.Array,
        labels: jax.Array | None = None,
        *,
        record: Record | None = None,
        force_fp32: bool = False,
    ) -> jax.Array:
        """Judges images; differentiable to any order, as the R1 penalty needs.

        Args:
          images: (N, resolution, resolution, img_channels) in [-1, 1]. N must be a multiple of the
            group size of `minibatch_std`, or smaller.
          labels: (N, c_dim), one-hot as a rule; None for an unconditional discriminator.
          record: is told "b<r>", the result of the block of resolution r, for every block.
          force_fp32: compute in float32 or better throughout, whatever `half_dtype` says.

        Returns:
          Logits (N, 1), float32 or better: positive means real.

        Raises:
          ValueError: images or labels are not of these shapes, or the batch has no such groups.
        """
        self._check(images, labels)
        dtype = jnp.promote_types(images.dtype, jnp.float32)
        half = dtype if self.half_dtype is None or force_fp32 else self.half_dtype
        x = images
        for block in self.blocks:
            x = block(x.astype(half if block.half_precision else dtype))
            if record is not None:
                record(f"b{block.resolution}", x)
        logits = self.epilogue(x.astype(dtype))
        if self.mapping is None:
            return logits
        directions = self.mapping(None, labels)
        projection = jnp.sum(logits * directions, axis=1, keepdims=True)
        return projection / math.sqrt(directions.shape[1])

    def _check(self, images, labels) -> None:
        wanted = (self.resolution, self.resolution, self.img_channels)
        if images.ndim != 4 or images.shape[1:] != wanted:
            raise ValueError(
                f"images must be (N, {', '.join(map(str, wanted))}), got shape {images.shape}"
            )
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(f"images must be floating, in [-1, 1], got dtype {images.dtype}")
        check_latents(labels, self.c_dim, len(images), name="labels", plural="labels")
        if self.epilogue.mbstd_num_channels:
            group_of(len(images), self.epilogue.mbstd_group_size, name="images")


class DiscriminatorBlock(nnx.Module):
    """Halves a map: two 3 x 3 convolutions beside a 1 x 1 one, both low-pass filtered.

    Attributes:
      fromrgb: 1 x 1 convolution of the image, in the finest block; None in others.
      conv0, conv1: the convolutions; the second is strided.
      skip: the linear branch, strided, without bias and clamp.
    """

    def __init__(
        self,
        resolution: int,
        in_channels: int,
        out_channels: int,
        *,
        img_channels: int | None,
        half_precision: bool,
        conv_clamp: float | None,
        convolution: Convolution,
        param_dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          resolution: side of the map going in.
          in_channels: channels in.
          out_channels: channels out.
          img_channels: of the image that goes in instead of a map; None: a map.
          half_precision: whether the block is among those that compute in 16 bits if any do.
          conv_clamp: bound on the activations' magnitude, or None.
          convolution: from the side of the resulting map to the convolutions' constructor.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        self.resolution, self.half_precision = resolution, half_precision
        options = {"param_dtype": param_dtype, "rngs": rngs}
        keeping, halving = convolution(resolution), convolution(resolution // 2)
        branch = {"down": 2, "gain": _BRANCH_GAIN, **options}
        fromrgb = None
        if img_channels is not None:
            fromrgb = keeping(img_channels, in_channels, 1, clamp=conv_clamp, **options)
        self.fromrgb = fromrgb
        self.conv0 = keeping(in_channels, in_channels, 3, clamp=conv_clamp, **options)
        self.conv1 = halving(in_channels, out_channels, 3, clamp=conv_clamp, **branch)
        self.skip = halving(
            in_channels, out_channels, 1, use_bias=False, activation="identity", **branch
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, r, r, in_channels), or an image, to (N, r / 2, r / 2, out_channels)."""
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        return self.skip(x) + self.conv1(self.conv0(x))


class DiscriminatorEpilogue(nnx.Module):
    """Judges a 4 x 4 map: minibatch deviation, convolution, two dense layers.

    Attributes:
      conv: 3 x 3 convolution.
      fc: dense layer of the whole map, flattened as (height, width, channels). Published weights
        expect (channels, height, width): the rows of the kernel must be permuted.
      out: dense layer to the logit, or to what is projected on the label's direction.
    """

    def __init__(
        self,
        channels: int,
        out_features: int,
        *,
        mbstd_group_size: int | None,
        mbstd_num_channels: int,
        conv_clamp: float | None,
        convolution: Convolution,
        param_dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          channels: of the map.
          out_features: length of the result.
          mbstd_group_size: see `Discriminator`.
          mbstd_num_channels: see `Discriminator`.
          conv_clamp: bound on the convolution's magnitude, or None.
          convolution: see `DiscriminatorBlock`.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        self.mbstd_group_size, self.mbstd_num_channels = mbstd_group_size, mbstd_num_channels
        options = {"param_dtype": param_dtype, "rngs": rngs}
        self.conv = convolution(_LAST_SIDE)(
            channels + mbstd_num_channels, channels, 3, clamp=conv_clamp, **options
        )
        self.fc = EqualizedLinear(_LAST_SIDE**2 * channels, channels, **options)
        self.out = EqualizedLinear(channels, out_features, **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, 4, 4, channels) to (N, out_features)."""
        if self.mbstd_num_channels:
            x = minibatch_std(
                x, group_size=self.mbstd_group_size, num_channels=self.mbstd_num_channels
            )
        x = self.conv(x).reshape(x.shape[0], -1)
        return self.out(bias_activation(self.fc(x)))


def frozen_parameters(discriminator: Discriminator, layers: int) -> dict:
    """Says of every parameter whether Freeze-D fixes it while training on other images.

    Mo, Cho & Shin, "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs" (2020): the
    layers close to the image know images in general. Counted are a block's `fromrgb` (the first
    has one), `conv0`, `conv1` and `skip`, then the next block's; epilogue and mapping are never
    fixed. Published settings for transfer are 10 and 13.

    Example:
      >>> frozen = frozen_parameters(discriminator, 10)
      >>> kinds = jax.tree.map(lambda fixed: "fixed" if fixed else "trained", frozen)
      >>> optimizer = optax.partition({"trained": adam, "fixed": optax.set_to_zero()}, kinds)

    Args:
      discriminator: the network, or its abstract version.
      layers: how many convolutions are fixed, from the image on; 0: none.

    Returns:
      A nested dict of booleans, with the keys of `nnx.to_pure_dict(nnx.state(discriminator,
      nnx.Param))`, which are also those of a training state's `params`.

    Raises:
      ValueError: there are not that many convolutions in front of the epilogue.
    """
    countable = [
        (index, name)
        for index, block in enumerate(discriminator.blocks)
        for name in _FREEZING_ORDER
        if getattr(block, name) is not None
    ]
    if not (is_integer(layers) and 0 <= layers <= len(countable)):
        raise ValueError(
            f"layers must be an integer from 0 to {len(countable)}, the convolutions of a "
            f"{discriminator.resolution} px discriminator's blocks, got {layers!r}"
        )
    fixed = set(countable[:layers])

    def is_fixed(path, _) -> bool:
        keys = [entry.key for entry in path]
        return keys[0] == "blocks" and tuple(keys[1:3]) in fixed

    params = nnx.to_pure_dict(nnx.state(discriminator, nnx.Param))
    return jax.tree_util.tree_map_with_path(is_fixed, params)


def _check_options(options: dict) -> None:
    resolution = options["resolution"]
    if not (is_integer(resolution) and resolution >= _LEAST_BLOCK) or resolution & (resolution - 1):
        raise ValueError(
            f"resolution must be a power of two, at least {_LEAST_BLOCK}, got {resolution!r}"
        )
    least = {
        **dict.fromkeys(("img_channels", "channel_max", "mapping_layers"), 1),
        **dict.fromkeys(("c_dim", "num_fp16_res", "mbstd_num_channels"), 0),
        # A channel at least in the finest map.
        "channel_base": resolution,
    }
    for name in ("cmap_dim", "mbstd_group_size"):
        if options[name] is not None:
            least[name] = 1
    for name, low in least.items():
        if not (is_integer(options[name]) and options[name] >= low):
            raise ValueError(f"{name} must be an integer from {low} on, got {options[name]!r}")
    if options["cmap_dim"] is not None and not options["c_dim"]:
        raise ValueError(f"cmap_dim must be None without labels, got {options['cmap_dim']}")
    if options["antialias"] not in ANTIALIAS:
        raise ValueError(
            f"antialias must be one of {', '.join(ANTIALIAS)}, got {options['antialias']!r}"
        )
    half_dtype = options["half_dtype"]
    if half_dtype is not None and half_dtype not in _HALF_DTYPES:
        raise ValueError(
            f"half_dtype must be one of {', '.join(_HALF_DTYPES)} or None, got {half_dtype!r}"
        )
