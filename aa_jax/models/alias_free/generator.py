"""The alias-free generator (Karras et al., NeurIPS 2021), configurations T and R."""

import inspect

import jax
from flax import nnx
from jax import numpy as jnp

from aa_jax.models.alias_free.fourier_input import FourierInput
from aa_jax.models.alias_free.layer_plan import config_r, config_t
from aa_jax.models.alias_free.layer_spec import GeneratorPlan, Size
from aa_jax.models.alias_free.mapping import MappingNetwork
from aa_jax.models.alias_free.synthesis_layer import SynthesisLayer
from aa_jax.nn.record import Record

HALF_DTYPES = (None, "float16", "bfloat16")


class SynthesisNetwork(nnx.Module):
    """From latents to images: Fourier features, then the plan's layers.

    Attributes:
      input: the `FourierInput`.
      layers: a `SynthesisLayer` for every layer of the plan.
    """

    def __init__(
        self,
        plan: GeneratorPlan,
        w_dim: int,
        *,
        output_scale: float = 0.25,
        half_dtype: str | None = None,
        conv_clamp: float | None = 256.0,
        magnitude_ema_beta: float = 0.999,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights; arguments as of `Generator`."""
        if half_dtype not in HALF_DTYPES:
            raise ValueError(f"half_dtype must be one of {HALF_DTYPES}, got {half_dtype!r}")
        self.plan, self.output_scale, self.half_dtype = plan, output_scale, half_dtype
        options = {"param_dtype": param_dtype, "rngs": rngs}
        self.input = FourierInput(
            w_dim,
            plan.input_channels,
            plan.input_size,
            plan.input_sampling_rate,
            plan.input_bandwidth,
            **options,
        )
        options |= {"conv_clamp": conv_clamp, "magnitude_ema_beta": magnitude_ema_beta}
        self.layers = nnx.List(SynthesisLayer(spec, w_dim, **options) for spec in plan.layers)

    @property
    def num_ws(self) -> int:
        """How many latent vectors it takes."""
        return self.plan.num_ws

    def __call__(
        self,
        ws: jax.Array,
        *,
        transform: jax.Array | None = None,
        update_emas: bool = False,
        force_fp32: bool = False,
        implementation: str | None = None,
        record: Record | None = None,
    ) -> jax.Array:
        """Draws images.

        Args:
          ws: latents (N, num_ws, w_dim): the input's, then each layer's.
          transform: (3, 3) or (N, 3, 3), as `FourierInput` takes it; `picture_transform` makes
            one.
          update_emas: whether the layers' running magnitudes take this batch in.
          force_fp32: whether layers eligible for 16 bits compute in float32 after all.
          implementation: of the filtered activations; None chooses by platform.
          record: told the input's map as "input" and every layer's result by the layer's name.

        Returns:
          Images (N, height, width, img_channels), about [-1, 1], float32 or better.

        Raises:
          ValueError: `ws` or `transform` has another shape.
        """
        if ws.ndim != 3 or ws.shape[1] != self.plan.num_ws:
            raise ValueError(f"ws must be (N, {self.plan.num_ws}, w_dim), got shape {ws.shape}")
        tell = record or (lambda name, array: None)
        half = None if force_fp32 else self.half_dtype
        # Phases and filters need all of float32, which accelerators otherwise round away.
        with jax.default_matmul_precision("highest"):
            x = self.input(ws[:, 0], transform)
            tell("input", x)
            for index, layer in enumerate(self.layers):
                x = layer(
                    x,
                    ws[:, index + 1],
                    dtype=half if half and layer.spec.use_fp16 else ws.dtype,
                    update_emas=update_emas,
                    implementation=implementation,
                )
                tell(layer.spec.name, x)
        return x.astype(ws.dtype) * self.output_scale


class Generator(nnx.Module):
    """The whole generator: a mapping network, and the synthesis network that it styles.

    Attributes:
      mapping: the `MappingNetwork`.
      synthesis: the `SynthesisNetwork`.
      options: pairs of name and value, from which, with `plan`, an equal network can be made.
    """

    def __init__(
        self,
        plan: GeneratorPlan,
        *,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        mapping_layers: int = 2,
        mapping_learning_rate_multiplier: float = 0.01,
        w_avg_beta: float = 0.998,
        output_scale: float = 0.25,
        half_dtype: str | None = None,
        conv_clamp: float | None = 256.0,
        magnitude_ema_beta: float = 0.999,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          plan: from `config_t`, `config_r` or `generator_plan`.
          z_dim: length of the random latent.
          c_dim: length of the class vector; 0 for an unconditional network.
          w_dim: length of the latents that style the layers.
          mapping_layers: dense layers of the mapping network.
          mapping_learning_rate_multiplier: theirs.
          w_avg_beta: share that the latents' running mean keeps at an update.
          output_scale: factor of the last layer's result.
          half_dtype: "float16" or "bfloat16" for layers that the plan deems eligible; None:
            everything in the dtype of the weights.
          conv_clamp: bound on activations, which keeps float16 in its range, or None.
          magnitude_ema_beta: share that running magnitudes keep at an update.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: an option is out of its range.
        """
        given = locals()
        self.plan, self.options = plan, tuple((name, given[name]) for name in OPTIONS)
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.mapping = MappingNetwork(
            z_dim,
            c_dim,
            w_dim,
            plan.num_ws,
            num_layers=mapping_layers,
            learning_rate_multiplier=mapping_learning_rate_multiplier,
            w_avg_beta=w_avg_beta,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.synthesis = SynthesisNetwork(
            plan,
            w_dim,
            output_scale=output_scale,
            half_dtype=half_dtype,
            conv_clamp=conv_clamp,
            magnitude_ema_beta=magnitude_ema_beta,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    @property
    def num_ws(self) -> int:
        """How many latent vectors the synthesis takes."""
        return self.plan.num_ws

    def __call__(
        self,
        z: jax.Array,
        c: jax.Array | None = None,
        *,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
        transform: jax.Array | None = None,
        update_emas: bool = False,
        force_fp32: bool = False,
        implementation: str | None = None,
        record: Record | None = None,
    ) -> jax.Array:
        """Draws images (N, height, width, img_channels), about [-1, 1].

        Args:
          z: (N, z_dim), standard normal.
          c: class vectors (N, c_dim), or None for an unconditional network.
          truncation_psi: 1 leaves latents as they are, 0 draws the mean image.
          truncation_cutoff: how many layers' latents are truncated, from the input; None: all.
          transform: how the picture is moved, as `SynthesisNetwork` takes it.
          update_emas: whether running means take this batch in.
          force_fp32: whether layers eligible for 16 bits compute in float32 after all.
          implementation: of the filtered activations.
          record: told intermediate results by name.

        Raises:
          ValueError: a latent or class is missing, surplus or of another shape.
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
            update_emas=update_emas,
            force_fp32=force_fp32,
            implementation=implementation,
            record=record,
        )


_parameters = inspect.signature(Generator.__init__).parameters
OPTIONS = tuple(name for name in _parameters if name not in ("self", "plan", "rngs", "param_dtype"))


def alias_free_t(resolution: int | Size, *, rngs: nnx.Rngs, **options) -> Generator:
    """The translation-equivariant generator; options as of `config_t` and `Generator`."""
    return _generator(config_t, resolution, rngs, options)


def alias_free_r(resolution: int | Size, *, rngs: nnx.Rngs, **options) -> Generator:
    """The translation- and rotation-equivariant one; options as of `config_r` and `Generator`."""
    return _generator(config_r, resolution, rngs, options)


def _generator(config, resolution, rngs, options) -> Generator:
    own = {name: options.pop(name) for name in _parameters if name in options}
    return Generator(config(resolution, **options), **own, rngs=rngs)
