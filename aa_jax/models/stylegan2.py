"""The generator of StyleGAN2, the aliased baseline of the alias-free ones.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020): modulated and
demodulated convolutions, noise, and images summed up over resolutions. Activations run on the
maps' own grids, [1, 3, 3, 1] is the only filter, and borders and noise mark absolute positions:
its details stick to the pixel grid, which "Alias-Free Generative Adversarial Networks" (NeurIPS
2021) measures and mends.

Convolutions multiply at the platform's default precision, on accelerators less than float32's.
"""

import math
from typing import get_args

import jax
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free.mapping import MappingNetwork
from aa_jax.models.stylegan2_layers import NoiseMode, SynthesisBlock
from aa_jax.nn import initializers
from aa_jax.nn.record import Record, scoped
from aa_jax.ops.pad import is_integer

NOISE_MODES = get_args(NoiseMode)
_HALF_DTYPES = (None, "float16", "bfloat16")
# Side of the learned constant, and of the coarsest map that may be computed in 16 bits.
_FIRST_SIDE, _LEAST_HALF = 4, 8


class StyleGAN2Generator(nnx.Module):
    """The whole generator: a mapping network, and the synthesis network that it styles.

    It is used like `aa_jax.models.alias_free.Generator`, also with its two parts apart.

    Attributes:
      mapping: the `MappingNetwork`.
      synthesis: the `StyleGAN2Synthesis`.
      resolution, img_channels: of the images.
      z_dim, c_dim, w_dim: lengths of random latent, class vector, and latent that styles.
      num_ws: latents that the synthesis takes.
    """

    def __init__(
        self,
        resolution: int,
        *,
        img_channels: int = 3,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        channel_base: int = 32768,
        channel_max: int = 512,
        mapping_layers: int = 8,
        mapping_learning_rate_multiplier: float = 0.01,
        w_avg_beta: float = 0.998,
        num_fp16_res: int = 4,
        half_dtype: str | None = None,
        conv_clamp: float | None = 256.0,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          resolution: side of the images, a power of two from 8 on.
          img_channels: channels of the images.
          z_dim: length of the random latent.
          c_dim: length of the class vector; 0 for an unconditional network.
          w_dim: length of the latents that style the layers.
          channel_base: a map of side r has `channel_base // r` channels ...
          channel_max: ... and no more than these.
          mapping_layers: dense layers of the mapping network.
          mapping_learning_rate_multiplier: theirs.
          w_avg_beta: share that the latents' running mean keeps at an update.
          num_fp16_res: blocks of how many of the finest resolutions compute in `half_dtype`.
          half_dtype: "float16" or "bfloat16"; None: everything in the dtype of the weights.
          conv_clamp: bound on activations, which keeps float16 in its range, or None.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: an option is out of its range.
        """
        self.synthesis = StyleGAN2Synthesis(
            resolution,
            w_dim,
            img_channels=img_channels,
            channel_base=channel_base,
            channel_max=channel_max,
            num_fp16_res=num_fp16_res,
            half_dtype=half_dtype,
            conv_clamp=conv_clamp,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.mapping = MappingNetwork(
            z_dim,
            c_dim,
            w_dim,
            self.synthesis.num_ws,
            num_layers=mapping_layers,
            learning_rate_multiplier=mapping_learning_rate_multiplier,
            w_avg_beta=w_avg_beta,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.resolution, self.img_channels = resolution, img_channels
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim

    @property
    def num_ws(self) -> int:
        """How many latent vectors the synthesis takes."""
        return self.synthesis.num_ws

    def __call__(
        self,
        z: jax.Array,
        c: jax.Array | None = None,
        *,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
        transform: None = None,
        noise_mode: NoiseMode | None = None,
        key: jax.Array | None = None,
        update_emas: bool = False,
        force_fp32: bool = False,
        record: Record | None = None,
    ) -> jax.Array:
        """Draws images (N, resolution, resolution, img_channels), about [-1, 1].

        Args:
          z: (N, z_dim), standard normal.
          c: class vectors (N, c_dim), or None for an unconditional network.
          truncation_psi: 1 leaves latents as they are, 0 draws the mean image.
          truncation_cutoff: how many latents are truncated, from the coarsest; None: all.
          transform: must be None.
          noise_mode: as `StyleGAN2Synthesis` takes it.
          key: of random noise.
          update_emas: whether the latents' running mean takes this batch in.
          force_fp32: whether blocks eligible for 16 bits compute in float32 after all.
          record: told intermediate results by name.

        Raises:
          ValueError: a latent or class is missing, surplus or of another shape, noise has no key,
            or there is a transform.
        """
        ws = self.mapping(
            z,
            c,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            update_emas=update_emas,
        )
        return self.synthesis(
            ws,
            transform=transform,
            noise_mode=noise_mode,
            key=key,
            force_fp32=force_fp32,
            record=record,
        )


class StyleGAN2Synthesis(nnx.Module):
    """From latents to images: a learned constant, then blocks that double its side.

    Attributes:
      const: (4, 4, channels), the first map.
      blocks: a `SynthesisBlock` for every resolution from 4 on.
      num_ws: latents it takes: one for each convolution, one more for the last image.
    """

    def __init__(
        self,
        resolution: int,
        w_dim: int,
        *,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 4,
        half_dtype: str | None = None,
        conv_clamp: float | None = 256.0,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights; arguments as of `StyleGAN2Generator`."""
        _check_options(locals())
        self.half_dtype = None if half_dtype is None else jnp.dtype(half_dtype)
        sides = [_FIRST_SIDE << i for i in range(int(math.log2(resolution // _FIRST_SIDE)) + 1)]
        self.num_ws = 2 * len(sides)
        channels = {side: min(channel_base // side, channel_max) for side in sides}
        shape = (_FIRST_SIDE, _FIRST_SIDE, channels[_FIRST_SIDE])
        self.const = nnx.Param(initializers.normal(1.0)(rngs.params(), shape, param_dtype))
        coarsest_half = max(2 * resolution >> num_fp16_res, _LEAST_HALF)
        self.blocks = nnx.List(
            SynthesisBlock(
                side,
                channels.get(side // 2),
                channels[side],
                w_dim,
                img_channels=img_channels,
                half_precision=side >= coarsest_half,
                conv_clamp=conv_clamp,
                param_dtype=param_dtype,
                rngs=rngs,
            )
            for side in sides
        )

    def __call__(
        self,
        ws: jax.Array,
        *,
        transform: None = None,
        noise_mode: NoiseMode | None = None,
        key: jax.Array | None = None,
        update_emas: bool = False,
        force_fp32: bool = False,
        record: Record | None = None,
    ) -> jax.Array:
        """Draws images.

        Args:
          ws: latents (N, num_ws, w_dim).
          transform: must be None: the constant it starts from cannot be moved.
          noise_mode: "random" draws noise for every image from `key`, as in training; "const" takes
            one stored pattern for all images, "none" none. None: "random" if there is a key, else
            "const".
          key: of random noise.
          update_emas: without effect, as there are no running means; the alias-free network's are
            updated by it.
          force_fp32: whether blocks eligible for 16 bits compute in float32 after all.
          record: told every result by name: "b4.conv1", "b4.image", "b8.conv0", ...

        Returns:
          Images (N, resolution, resolution, img_channels), about [-1, 1], float32 or better.

        Raises:
          ValueError: `ws` has another shape, there is a transform, or noise is unknown or without
            a key.
        """
        del update_emas
        if ws.ndim != 3 or ws.shape[1] != self.num_ws:
            raise ValueError(f"ws must be (N, {self.num_ws}, w_dim), got shape {ws.shape}")
        if transform is not None:
            raise ValueError("transform must be None: this generator cannot move its pictures")
        if noise_mode is None:
            noise_mode = "const" if key is None else "random"
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode must be one of {NOISE_MODES}, got {noise_mode!r}")
        if noise_mode == "random" and key is None:
            raise ValueError("key must be a random key with noise_mode='random', got None")
        half = None if force_fp32 else self.half_dtype
        x = jnp.broadcast_to(self.const[...].astype(ws.dtype), (len(ws), *self.const.shape))
        image = None
        for index, block in enumerate(self.blocks):
            # A block's image shares its latent with the next block's first convolution.
            first = max(2 * index - 1, 0)
            x, image = block(
                x.astype(half if half and block.half_precision else ws.dtype),
                image,
                ws[:, first : 2 * index + 2],
                noise_mode=noise_mode,
                key=None if noise_mode != "random" else jax.random.fold_in(key, index),
                record=scoped(record, f"b{block.resolution}"),
            )
        return image


def _check_options(options: dict) -> None:
    resolution = options["resolution"]
    if not (is_integer(resolution) and resolution >= 8) or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two, at least 8, got {resolution!r}")
    least = {
        **dict.fromkeys(("img_channels", "channel_max", "w_dim"), 1),
        "num_fp16_res": 0,
        # A channel at least in the finest map.
        "channel_base": resolution,
    }
    for name, low in least.items():
        if not (is_integer(options[name]) and options[name] >= low):
            raise ValueError(f"{name} must be an integer from {low} on, got {options[name]!r}")
    if options["half_dtype"] not in _HALF_DTYPES:
        raise ValueError(f"half_dtype must be one of {_HALF_DTYPES}, got {options['half_dtype']!r}")
