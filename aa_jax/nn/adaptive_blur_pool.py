"""Content-adaptive low-pass filter before subsampling (Zou et al., BMVC 2020)."""

from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.nn.batch_norm import BatchNorm, FrozenBatchNorm
from aa_jax.nn.conv import Conv
from aa_jax.nn.pool import Pool
from aa_jax.nn.record import Record
from aa_jax.ops.adaptive_filter import adaptive_filter, normalize_filters

_OPTIONS = {
    "adaptivity": ("both", "spatial", "channel"),
    "normalization": ("joint", "per_group"),
    "statistics": ("all", "kept"),
    "norm": ("batch", "frozen"),
}


class AdaptiveBlurPool(Pool):
    """Predicts a low-pass filter per pixel and channel group, applies it, and subsamples.

    A convolution and a batch normalisation predict groups * filter_size^2 numbers per pixel; a
    softmax makes them positive filters (Zou et al., "Delving deeper into anti-aliasing in
    ConvNets", BMVC 2020, section 3). Filters and outputs are computed only at the positions that
    survive the stride.

    Attributes:
      predictor: the convolution, without bias.
      norm: its normalisation.
    """

    def __init__(
        self,
        channels: int,
        *,
        filter_size: int = 3,
        stride: int = 2,
        groups: int = 8,
        mode: str = "reflect",
        adaptivity: str = "both",
        normalization: str = "joint",
        statistics: str = "all",
        norm: str = "batch",
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the predictor's weights.

        Args:
          channels: channels of the signal.
          filter_size: side of the filters and of the predictor's kernel; odd.
          stride: subsampling factor.
          groups: contiguous channel groups that share a filter; divides `channels`.
          mode: boundary of predictor and filter, "reflect", "edge", "zero" or "circular".
          adaptivity: "both": a filter per pixel and group. "spatial": a filter per pixel, shared
            by all channels (`groups` is not used). "channel": a filter per group, the same for
            all pixels of an image; the predictor is that of "both", its normalised output
            averaged over the whole image before the softmax.
          normalization: softmax over all groups' entries together ("joint", as published: a
            group's weights sum to less than one, the groups' sums to one), or over each group's
            ("per_group").
          statistics: which positions the training statistics of `norm` see: "all" (as published;
            the predictor then runs at full resolution in training) or only the "kept" ones.
            Evaluation is the same for both.
          norm: "batch", or "frozen": fixed statistics without epsilon, as in detection networks.
          dtype: dtype of the predictor's computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.

        Raises:
          ValueError: an option is unknown, `filter_size` is even, or `groups` does not divide
            `channels`.
        """
        chosen = dict(
            adaptivity=adaptivity, normalization=normalization, statistics=statistics, norm=norm
        )
        groups = 1 if adaptivity == "spatial" else groups
        _check(channels, filter_size, stride, groups, chosen)
        outputs = groups * filter_size**2
        dtypes = dict(dtype=dtype, param_dtype=param_dtype)
        self.predictor = Conv(
            channels,
            outputs,
            filter_size,
            padding=filter_size // 2,
            padding_mode=mode,
            rngs=rngs,
            **dtypes,
        )
        self.norm = (BatchNorm if norm == "batch" else FrozenBatchNorm)(outputs, **dtypes)
        self.filter_size, self.stride, self.groups = filter_size, stride, groups
        self.mode, self.normalization = mode, normalization
        self.adaptivity, self.positions = adaptivity, statistics

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Reduces (N, H, W, C) to (N, ceil(H / stride), ceil(W / stride), C)."""
        return self._apply(x, self._weights(x, train=train))

    def subsample(
        self,
        x: Array,
        *,
        choice: Array | None = None,
        train: bool = False,
        key: Array | None = None,
        record: Record | None = None,
    ) -> tuple[Array, None]:
        """As in `Pool`; records the predicted filters as "filters"."""
        del choice, key
        weights = self._weights(x, train=train)
        if record is not None:
            record("filters", self._by_group(weights))
        return self._apply(x, weights), None

    def filters(self, x: Array) -> Array:
        """The filters predicted for a signal, as in evaluation.

        Args:
          x: signal (N, H, W, C).

        Returns:
          (N, H', W', groups, filter_size^2), taps row by row; for `adaptivity="channel"` the same
          at all positions.
        """
        return self._by_group(self._weights(x, train=False))

    def _weights(self, x: Array, *, train: bool) -> Array:
        """Normalised filters (N, H', W', groups * filter_size^2) at the kept positions."""
        dense = self.adaptivity == "channel" or (train and self.positions == "all")
        logits = self.predictor(x, stride=1 if dense else self.stride)
        kept = logits[:, :: self.stride, :: self.stride] if dense else logits
        seen = logits if self.positions == "all" else kept
        mean, var = self.norm.statistics(seen, train=train)
        if self.adaptivity == "channel":
            # Averaging commutes with the affine normalisation and comes first: it is cheaper.
            average = jnp.mean(logits, axis=(1, 2), keepdims=True)
            weights = self._softmax(self.norm.normalize(average, mean, var))
            return jnp.broadcast_to(weights, kept.shape)
        return self._softmax(self.norm.normalize(kept, mean, var))

    def _softmax(self, logits: Array) -> Array:
        return normalize_filters(logits, groups=self.groups, normalization=self.normalization)

    def _apply(self, x: Array, weights: Array) -> Array:
        return adaptive_filter(
            x, weights, size=self.filter_size, stride=self.stride, mode=self.mode
        )

    def _by_group(self, weights: Array) -> Array:
        return weights.reshape(*weights.shape[:3], self.groups, self.filter_size**2)


def _check(channels: int, filter_size: int, stride: int, groups: int, chosen: dict) -> None:
    for name, value in chosen.items():
        if value not in _OPTIONS[name]:
            raise ValueError(f"{name} must be one of {', '.join(_OPTIONS[name])}, got {value!r}")
    if filter_size < 1 or filter_size % 2 == 0:
        raise ValueError(f"filter_size must be odd and positive, got {filter_size!r}")
    if not isinstance(stride, int) or stride < 1:
        raise ValueError(f"stride must be a positive integer, got {stride!r}")
    if groups < 1 or channels % groups:
        raise ValueError(
            f"groups must divide the channels, got {groups} groups for {channels} channels; "
            "choose a divisor or change the width of the network"
        )
