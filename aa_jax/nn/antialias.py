"""The one place that decides what replaces a strided layer of a network."""

import dataclasses

from flax import nnx

from aa_jax.nn.adaptive_blur_pool import AdaptiveBlurPool
from aa_jax.nn.blur_pool import BlurPool
from aa_jax.nn.polyphase_pool import APSPool, LPSPool
from aa_jax.nn.pool import AvgPool, Identity, MaxPool, Pool

KINDS = ("none", "blur", "adaptive", "aps", "lps")
_FILTER_SIZES = {"none": 1, "blur": 4, "adaptive": 3, "aps": 3, "lps": 1}


@dataclasses.dataclass(frozen=True)
class AntiAlias:
    """How a network reduces resolution.

    Every strided layer of a network is a convolution or a dense pool at full resolution and a
    *slot* behind its nonlinearity. This object fills the slot. With "none" the slot stays empty
    and the layer itself strides.

    Attributes:
      kind: "none"; "blur" (Zhang 2019); "adaptive" (Zou et al. 2020); "aps" (Chaman & Dokmanic
        2021) or "lps" (Rojas-Gomez et al. 2022), for which all boundaries become circular.
      filter_size: of the low-pass filter; None: 4 for blur, 3 for adaptive and aps, 1 (no
        filter) for lps.
      groups: channel groups with a filter of their own (adaptive).
      mode: boundary of the filters; None: reflect, for aps and lps circular.
      first_conv: whether the network's first strided convolution stays "strided", which is
        cheaper and what blur and adaptive do, or is "filtered" too, which the shift guarantee of
        aps and lps needs. None: the one or the other.
      adaptivity, normalization, statistics, norm: options of `AdaptiveBlurPool`.
      criterion: how aps compares phases.
      select_on: whether aps and lps choose on the "filtered" signal or on its "input".
      hidden_reduction: channels per hidden unit of the score networks (lps).
      filter_kind: "binomial" or "adaptive" filter before the choice (lps).
      relaxation: "gumbel" or "convex" (lps, training).
    """

    kind: str = "none"
    filter_size: int | None = None
    groups: int = 8
    mode: str | None = None
    first_conv: str | None = None
    adaptivity: str = "both"
    normalization: str = "joint"
    statistics: str = "all"
    norm: str = "batch"
    criterion: str = "l2"
    select_on: str = "filtered"
    hidden_reduction: int = 1
    filter_kind: str = "binomial"
    relaxation: str = "gumbel"

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"antialias must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.first_conv not in (None, "strided", "filtered"):
            raise ValueError(
                f'first_conv must be "strided", "filtered" or None, got {self.first_conv!r}'
            )

    @property
    def polyphase(self) -> bool:
        """Whether phases are chosen, and boundaries therefore circular."""
        return self.kind in ("aps", "lps")

    @property
    def padding_mode(self) -> str:
        """Boundary mode of the network's convolutions."""
        return "circular" if self.polyphase else "zero"

    @property
    def taps(self) -> int:
        """The filter size, default filled in."""
        return _FILTER_SIZES[self.kind] if self.filter_size is None else self.filter_size

    @property
    def filters_first_conv(self) -> bool:
        """Whether the first strided convolution has a slot behind it."""
        if self.kind == "none":
            return False
        return (self.first_conv or ("filtered" if self.polyphase else "strided")) == "filtered"

    def conv_stride(self, stride: int) -> int:
        """What remains of a convolution's stride when the slot behind it carries it."""
        return stride if self.kind == "none" else 1

    def first_conv_stride(self, stride: int) -> int:
        """The same for the first strided convolution of a network."""
        return 1 if self.filters_first_conv else stride

    def pool(self, channels: int, *, stride: int = 2, **options) -> Pool:
        """Fills the slot behind a strided convolution.

        Args:
          channels: channels of the signal there.
          stride: the layer's stride; 1 leaves the slot empty.
          **options: `dtype`, `param_dtype`, `rngs`.
        """
        return self._fill(channels, stride, chooses=True, taps=self.taps, **options)

    def shortcut_pool(self, channels: int, *, stride: int = 2, **options) -> Pool:
        """Fills the slot of a shortcut, which keeps the phase its main branch has chosen."""
        return self._fill(channels, stride, chooses=False, taps=self.taps, **options)

    def first_pool(self, channels: int, *, stride: int = 2, **options) -> Pool:
        """Fills the slot behind the first strided convolution (lps: without filter)."""
        if not self.filters_first_conv:
            return Identity()
        taps = 1 if self.kind == "lps" else self.taps
        return self._fill(channels, stride, chooses=True, taps=taps, **options)

    def max_pool(
        self,
        channels: int,
        *,
        window: int,
        padding: int = 0,
        dense_window: int | None = None,
        dense_padding: int | None = None,
        **options,
    ) -> MaxPool:
        """A max-pool of stride 2, or a dense one with a filled slot behind it.

        Args:
          channels: channels of the signal.
          window: side of the strided max-pool's window.
          padding: its padding.
          dense_window: the dense max-pool's window; None: `window`.
          dense_padding: its padding; None: `padding`. For aps and lps the padding is instead
            what keeps the size, circular and at the right and bottom.
          **options: `dtype`, `param_dtype`, `rngs`.
        """
        if self.kind == "none":
            return MaxPool(window, stride=2, padding=padding)
        pool = self.pool(channels, **options)
        window = window if dense_window is None else dense_window
        if self.polyphase:
            return MaxPool(window, boundary="circular", pool=pool)
        padding = padding if dense_padding is None else dense_padding
        return MaxPool(window, padding=padding, pool=pool)

    def avg_pool(self, channels: int, **options) -> Pool:
        """An average pool of window and stride 2, or what a filled slot replaces it with."""
        return AvgPool() if self.kind == "none" else self.pool(channels, **options)

    def require(self, kinds: tuple[str, ...], *, model: str) -> "AntiAlias":
        """Returns itself.

        Raises:
          ValueError: the kind is none of those that `model` supports.
        """
        if self.kind not in kinds:
            raise ValueError(
                f"antialias of {model} must be one of {', '.join(kinds)}, got {self.kind!r}; "
                "aps and lps are for ResNets, which keep circular shifts intact to the end"
            )
        return self

    def _fill(
        self, channels: int, stride: int, *, chooses: bool, taps: int, rngs: nnx.Rngs, **dtypes
    ) -> Pool:
        mode = self.mode or ("circular" if self.polyphase else "reflect")
        if self.kind == "none" or stride == 1:
            return Identity()
        if self.kind == "blur":
            return BlurPool(filter_size=taps, stride=stride, mode=mode)
        if self.kind == "adaptive":
            return AdaptiveBlurPool(
                channels,
                filter_size=taps,
                stride=stride,
                groups=self.groups,
                mode=mode,
                adaptivity=self.adaptivity,
                normalization=self.normalization,
                statistics=self.statistics,
                norm=self.norm,
                rngs=rngs,
                **dtypes,
            )
        if stride != 2:
            raise ValueError(f"stride must be 1 or 2 for {self.kind}, got {stride}")
        phases = dict(filter_size=taps, select_on=self.select_on, mode=mode)
        if self.kind == "aps":
            return APSPool(criterion=self.criterion, **phases)
        return LPSPool(
            channels,
            hidden=max(1, channels // self.hidden_reduction),
            chooses=chooses,
            filter_kind=self.filter_kind,
            groups=self.groups,
            relaxation=self.relaxation,
            rngs=rngs,
            **phases,
            **dtypes,
        )


def antialias_option(
    antialias: str | AntiAlias, *, filter_size: int | None = None, groups: int | None = None
) -> AntiAlias:
    """Turns what a model's constructor accepts into an `AntiAlias`.

    Args:
      antialias: a kind, or a complete choice.
      filter_size: overrides the filter size, if given.
      groups: overrides the groups, if given.

    Raises:
      ValueError: the kind is unknown.
    """
    chosen = antialias if isinstance(antialias, AntiAlias) else AntiAlias(antialias)
    overrides = {"filter_size": filter_size, "groups": groups}
    given = {name: value for name, value in overrides.items() if value is not None}
    return dataclasses.replace(chosen, **given)
