"""Subsampling by two that keeps a chosen polyphase component: APS and LPS, and the way back up."""

import jax
from flax import nnx
from jax import Array, numpy as jnp

from aa_jax.nn import initializers
from aa_jax.nn.adaptive_blur_pool import AdaptiveBlurPool
from aa_jax.nn.blur_pool import BlurPool
from aa_jax.nn.conv import Conv
from aa_jax.nn.pool import Identity, Pool
from aa_jax.nn.randomness import require_key
from aa_jax.nn.record import Record
from aa_jax.ops import polyphase


class PolyphasePool(Pool):
    """What APS and LPS share: filter at full resolution, choose one of four phases, keep it.

    With circular boundaries and even sides a circular shift of the input by whole pixels shifts
    the output, and nothing else, whatever the shift; so a network that ends in a global average
    does not notice it.
    """

    def __init__(self, filter_: Pool, *, order: str, padding: str, select_on: str):
        """Chooses how phases are numbered and what odd sides are padded with.

        Args:
          filter_: low-pass filter of stride 1, applied first.
          order: numbering of the phases, see `aa_jax.ops.polyphase`.
          padding: boundary mode of the row or column appended to an odd side.
          select_on: "filtered": the choice looks at the filtered signal; "input": at the
            unfiltered one.
        """
        _require("select_on", select_on, ("filtered", "input"))
        self.filter, self.order = filter_, order
        self.padding, self.select_on = padding, select_on

    def __call__(
        self,
        x: Array,
        *,
        choice: Array | None = None,
        train: bool = False,
        key: Array | None = None,
    ) -> tuple[Array, Array]:
        """Halves (N, H, W, C) and returns the choice too, as `subsample` does."""
        return self.subsample(x, choice=choice, train=train, key=key)

    def subsample(
        self,
        x: Array,
        *,
        choice: Array | None = None,
        train: bool = False,
        key: Array | None = None,
        record: Record | None = None,
    ) -> tuple[Array, Array]:
        """As in `Pool`: (N, ceil(H / 2), ceil(W / 2), C), and the choice."""
        filtered, _ = self.filter.subsample(x, train=train, record=record)
        filtered = polyphase.make_even(filtered, mode=self.padding)
        if choice is None:
            seen = filtered
            if self.select_on == "input":
                seen = polyphase.make_even(x, mode=self.padding)
            choice = self.choose(seen, train=train, key=key, record=record)
        return polyphase.take(filtered, choice, order=self.order), choice

    def choose(
        self, x: Array, *, train: bool, key: Array | None, record: Record | None = None
    ) -> Array:
        """The choice for (N, H, W, C) with even sides."""
        raise TypeError(f"{type(self).__name__} does not say how it chooses a phase")


class APSPool(PolyphasePool):
    """Keeps the phase of largest norm (Chaman & Dokmanic, CVPR 2021, section 3.2).

    Has no parameters. Odd sides are extended by a circular row or column.
    """

    def __init__(
        self,
        *,
        filter_size: int = 3,
        criterion: str = "l2",
        select_on: str = "filtered",
        mode: str = "circular",
    ):
        """Chooses filter and criterion.

        Args:
          filter_size: taps of the binomial filter before the choice, 1 (none) to 7.
          criterion: see `aa_jax.ops.polyphase.phase_scores`.
          select_on: "filtered" or "input".
          mode: boundary of the filter.
        """
        _require("criterion", criterion, polyphase.CRITERIA)
        filter_ = BlurPool(filter_size=filter_size, stride=1, mode=mode)
        super().__init__(filter_, order="aps", padding="circular", select_on=select_on)
        self.criterion = criterion

    def choose(
        self, x: Array, *, train: bool, key: Array | None, record: Record | None = None
    ) -> Array:
        """Index (N,) of the winning phase; recorded as "choice"."""
        del train, key
        choice = polyphase.select_phase(x, criterion=self.criterion, order=self.order)
        if record is not None:
            record("choice", choice)
        return choice


class PhaseLogits(nnx.Module):
    """Scores one polyphase component: two circular convolutions and a mean over everything."""

    def __init__(self, channels: int, hidden: int, *, mode: str, dtype, param_dtype, rngs):
        """Draws the weights; `hidden` is the width of both convolutions."""
        options = dict(
            padding=1,
            padding_mode=mode,
            use_bias=True,
            kernel_init=initializers.uniform_fan_in,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.conv1 = Conv(channels, hidden, 3, **options)
        self.conv2 = Conv(hidden, hidden, 3, **options)

    def __call__(self, components: Array) -> Array:
        """Maps components (N, 4, h, w, C) to logits (N, 4)."""
        n, phases = components.shape[:2]
        y = components.reshape(n * phases, *components.shape[2:])
        y = self.conv2(jax.nn.relu(self.conv1(y)))
        mean = jnp.mean(y, axis=(1, 2, 3), dtype=jnp.promote_types(y.dtype, jnp.float32))
        return mean.reshape(n, phases)


class LPSPool(PolyphasePool):
    """Learns which phase to keep (Rojas-Gomez et al., NeurIPS 2022, section 3).

    A small network scores every phase. In evaluation the best one is kept; in training a convex
    combination is, so that the score network receives a gradient. Odd sides are extended by zeros.

    Attributes:
      logits: the score network; None where the choice always comes from another branch.
      temperature: of the relaxed choice, a state variable so that a schedule can lower it.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden: int | None = None,
        chooses: bool = True,
        filter_size: int = 1,
        filter_kind: str = "binomial",
        groups: int = 8,
        temperature: float = 1.0,
        relaxation: str = "gumbel",
        evaluation: str = "hard",
        select_on: str = "filtered",
        mode: str = "circular",
        dtype: jnp.dtype | None = None,
        param_dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Draws the weights.

        Args:
          channels: channels of the signal.
          hidden: width of the score network; None: `channels`.
          chooses: whether there is a score network at all.
          filter_size: size of the low-pass filter before the choice; 1: none.
          filter_kind: "binomial" or "adaptive" (an `AdaptiveBlurPool` of stride 1).
          groups: channel groups of the adaptive filter.
          temperature: of the relaxed choice.
          relaxation: weights of the phases in training: "gumbel" (a relaxed random draw, which
            needs a key) or "convex" (the softmax itself).
          evaluation: the same in evaluation: "hard" (keep the best), "convex" or "gumbel".
          select_on: "filtered" or "input".
          mode: boundary of filter and score network.
          dtype: dtype of the computation; None: what signal and weights promote to.
          param_dtype: dtype of the weights.
          rngs: random streams; "params" is used.
        """
        _require("relaxation", relaxation, ("gumbel", "convex"))
        _require("evaluation", evaluation, ("hard", "convex", "gumbel"))
        _require("filter_kind", filter_kind, ("binomial", "adaptive"))
        options = dict(mode=mode, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        if filter_size == 1:
            filter_ = Identity()
        elif filter_kind == "binomial":
            filter_ = BlurPool(filter_size=filter_size, stride=1, mode=mode)
        else:
            filter_ = AdaptiveBlurPool(
                channels, filter_size=filter_size, stride=1, groups=groups, **options
            )
        super().__init__(filter_, order="lps", padding="zero", select_on=select_on)
        if chooses:
            self.logits = PhaseLogits(channels, hidden or channels, **options)
            self.temperature = nnx.BatchStat(jnp.asarray(temperature, jnp.float32))
        else:
            self.logits = None
        self.relaxation, self.evaluation = relaxation, evaluation

    def choose(
        self, x: Array, *, train: bool, key: Array | None, record: Record | None = None
    ) -> Array:
        """Index (N,) or weights (N, 4) of the phases; logits are recorded as "logits".

        Raises:
          ValueError: the layer has no score network, or a random draw no key.
        """
        if self.logits is None:
            raise ValueError("choice must be given to a pool built with chooses=False, got None")
        logits = self.logits(polyphase.split(x, order=self.order))
        if record is not None:
            record("logits", logits)
        way = self.relaxation if train else self.evaluation
        if way == "hard":
            return jnp.argmax(logits, axis=-1)
        noise = jnp.zeros_like(logits)
        if way == "gumbel":
            noise = jax.random.gumbel(require_key(key, "a Gumbel draw"), logits.shape, logits.dtype)
        return polyphase.gumbel_softmax(logits, noise, temperature=self.temperature[...])


class PolyphaseUnpool(nnx.Module):
    """Doubles resolution: puts every sample back at the phase it came from, then low-passes.

    The decoder's counterpart of `APSPool` and `LPSPool`.
    """

    def __init__(
        self, *, order: str = "aps", filter_size: int = 1, gain: float = 1.0, mode: str = "circular"
    ):
        """Chooses the filter after the zeros have been inserted.

        Args:
          order: "aps" or "lps", as of the pool that chose.
          filter_size: taps of the binomial filter, 1 (none) to 7.
          gain: factor on the result; 4 makes up for the inserted zeros.
          mode: boundary of the filter.
        """
        self.order, self.gain = order, gain
        self.filter = BlurPool(filter_size=filter_size, stride=1, mode=mode)

    def __call__(self, y: Array, choice: Array) -> Array:
        """Maps (N, h, w, C) and the choice of the way down to (N, 2 h, 2 w, C)."""
        return self.filter(polyphase.place(y, choice, order=self.order)) * self.gain


def _require(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
