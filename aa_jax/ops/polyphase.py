"""Polyphase components of an image: splitting, choosing one, and putting it back.

Subsampling by two keeps one of four components, told apart by the parity of row and column.
Keeping always the same one is what breaks shift equivariance; choosing it by a rule that does not
see absolute positions restores it (Chaman & Dokmanic, "Truly shift-invariant convolutional neural
networks", CVPR 2021; Rojas-Gomez et al., "Learnable polyphase sampling", NeurIPS 2022).

The two papers number the components differently, hence `order`:
  "aps": 0 = (even row, even column), 1 = (odd, even), 2 = (even, odd), 3 = (odd, odd);
  "lps": 0 = (even row, even column), 1 = (even, odd), 2 = (odd, even), 3 = (odd, odd).

A *choice* says what to keep of every sample: an integer index (N,), or weights (N, 4) of a convex
combination. Sides must be even; `make_even` sees to that.
"""

import jax
from jax import Array, numpy as jnp

from aa_jax.ops.pad import pad2d

ORDERS = ("aps", "lps")
CRITERIA = ("l2", "l1", "l_infty", "non_abs_max", "l2_min", "l1_min")


def make_even(x: Array, *, mode: str = "circular") -> Array:
    """Appends a row or column at the bottom or right where a side is odd.

    Args:
      x: signal (N, H, W, C).
      mode: "circular" (APS) or "zero" (LPS), or another boundary mode.

    Returns:
      (N, 2 ceil(H / 2), 2 ceil(W / 2), C).
    """
    _check_rank(x)
    bottom, right = x.shape[1] % 2, x.shape[2] % 2
    return pad2d(x, (0, bottom, 0, right), mode=mode) if bottom or right else x


def split(x: Array, *, order: str = "aps") -> Array:
    """The four components of (N, H, W, C), stacked as (N, 4, H / 2, W / 2, C)."""
    y = _by_parity(x)
    n, height, _, width, _, channels = y.shape
    axes = (0, 4, 2, 1, 3, 5) if _checked(order) == "aps" else (0, 2, 4, 1, 3, 5)
    return y.transpose(axes).reshape(n, 4, height, width, channels)


def merge(components: Array, *, order: str = "aps") -> Array:
    """The inverse of `split`: (N, 4, h, w, C) -> (N, 2 h, 2 w, C)."""
    if components.ndim != 5 or components.shape[1] != 4:
        raise ValueError(f"components must be (N, 4, h, w, C), got shape {components.shape}")
    n, _, height, width, channels = components.shape
    axes = (0, 3, 2, 4, 1, 5) if _checked(order) == "aps" else (0, 3, 1, 4, 2, 5)
    y = components.reshape(n, 2, 2, height, width, channels).transpose(axes)
    return y.reshape(n, 2 * height, 2 * width, channels)


def phase_scores(x: Array, *, criterion: str = "l2", order: str = "aps") -> Array:
    """How far each component is behind the best one: 0 for the best, negative for the others.

    A score sees all channels and pixels of a component, so that a circular shift of `x` permutes
    the scores and nothing else. That holds in floating point too, bit for bit: pixels are summed
    in a way that does not depend on their order. (Phases of a blurred image often differ by less
    than an ordinary sum is wrong.)

    Args:
      x: signal (N, H, W, C), sides even.
      criterion: "l2" (sum of squares), "l1" (sum of magnitudes), "l_infty" (largest magnitude),
        "non_abs_max" (largest value), or "l2_min", "l1_min": the smallest wins. After a binomial
        blur of a non-negative signal all four l1 norms are equal in exact arithmetic (such a
        filter has a zero at the Nyquist frequency): "l1" then decides by rounding.
      order: numbering of the components.

    Returns:
      (N, 4) scores, float32 or better.

    Raises:
      ValueError: an option is unknown, or `x` has odd sides.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {', '.join(CRITERIA)}, got {criterion!r}")
    y = _by_parity(x)
    y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
    if criterion in ("l_infty", "non_abs_max"):
        largest = jnp.max(jnp.abs(y) if criterion == "l_infty" else y, axis=(1, 3, 5))
        scores = largest - jnp.max(largest, axis=(1, 2), keepdims=True)
    else:
        sign = -1 if criterion.endswith("_min") else 1
        terms = jnp.square(y) if criterion.startswith("l2") else jnp.abs(y)
        # The order of the channels is the same wherever the image has been shifted to.
        scores = _lead_of_sums(sign * jnp.sum(terms, axis=5))
    if _checked(order) == "aps":
        scores = scores.swapaxes(1, 2)
    return scores.reshape(-1, 4)


def _lead_of_sums(terms: Array) -> Array:
    """Sums (N, h, 2, w, 2) over h and w, minus the largest of the four sums; (N, 2, 2).

    Bitwise independent of the order of the terms. Every term is cut in three parts on grids so
    coarse that no sum of all terms can round (Demmel & Nguyen, "Fast reproducible floating-point
    summation", 2013), and sums are compared part by part.
    """
    n, height, _, width, _ = terms.shape
    fraction_bits = jnp.finfo(terms.dtype).nmant
    count_bits = max(height * width - 1, 1).bit_length()
    largest = jnp.max(jnp.abs(terms), axis=(1, 2, 3, 4), keepdims=True)
    exponent = jnp.frexp(largest)[1] + count_bits
    lead = jnp.zeros((n, 2, 2), terms.dtype)
    for _ in range(3):
        # Adding 1.5 * 2**exponent leaves a grid of 2**(exponent - fraction_bits).
        anchor = jnp.ldexp(jnp.asarray(1.5, terms.dtype), exponent)
        part = (terms + anchor) - anchor
        terms = terms - part
        total = jnp.sum(part, axis=(1, 3))
        lead = lead + (total - jnp.max(total, axis=(1, 2), keepdims=True))
        exponent = exponent + count_bits - fraction_bits
    return lead - jnp.max(lead, axis=(1, 2), keepdims=True)


def select_phase(x: Array, *, criterion: str = "l2", order: str = "aps") -> Array:
    """Index (N,) of the winning component of every sample; the first one at a tie.

    Arguments as in `phase_scores`. The choice is discrete: no derivative passes through it.
    """
    scores = phase_scores(jax.lax.stop_gradient(x), criterion=criterion, order=order)
    return jnp.argmax(scores, axis=-1)


def take(x: Array, choice: Array, *, order: str = "aps") -> Array:
    """Keeps one component of every sample, or mixes the four.

    Args:
      x: signal (N, H, W, C), sides even.
      choice: integer index (N,) of the component to keep, or weights (N, 4).
      order: numbering of the components.

    Returns:
      (N, H / 2, W / 2, C) in the dtype of `x`.
    """
    y = _by_parity(x)
    if _is_index(choice, x.shape[0]):
        row, column = _parities(choice, order)
        # Selecting, not gathering: its transpose is again a select, no scatter.
        y = jnp.where(_per_sample(row, 5), y[:, :, 1], y[:, :, 0])
        return jnp.where(_per_sample(column, 4), y[:, :, :, 1], y[:, :, :, 0])
    weights = choice.astype(x.dtype)
    terms = (
        _per_sample(weights[:, index], 4) * y[:, :, row, :, column]
        for index, (row, column) in enumerate(_positions(order))
    )
    return sum(terms)


def place(y: Array, choice: Array, *, order: str = "aps") -> Array:
    """The transpose of `take`: puts a component back at its phase, zeros elsewhere.

    This is polyphase up-sampling: with the index that `select_phase` gave on the way down, content
    returns to where it came from. With weights every phase receives its share. A low-pass filter
    usually follows, of unit sum in APS (no gain that would make up for the zeros).

    Args:
      y: component (N, h, w, C).
      choice: integer index (N,), or weights (N, 4).
      order: numbering of the components.

    Returns:
      (N, 2 h, 2 w, C) in the dtype of `y`.
    """
    _check_rank(y)
    if _is_index(choice, y.shape[0]):
        choice = jax.nn.one_hot(choice, 4)
    weights = choice.astype(y.dtype)[:, :, None, None, None]
    return merge(weights * y[:, None], order=order)


def gumbel_softmax(logits: Array, noise: Array, *, temperature: float | Array = 1.0) -> Array:
    """Relaxed sample of a category: softmax((logits + noise) / temperature) over the last axis.

    Args:
      logits: (N, 4) unnormalised log-probabilities.
      noise: (N, 4) draws of a standard Gumbel distribution; zeros give the convex combination
        without randomness.
      temperature: towards zero the result turns one-hot.

    Returns:
      (N, 4) weights summing to one.
    """
    return jax.nn.softmax((logits + noise) / temperature, axis=-1)


def _by_parity(x: Array) -> Array:
    """(N, H, W, C) -> (N, H / 2, row parity, W / 2, column parity, C)."""
    _check_rank(x)
    n, height, width, channels = x.shape
    if height % 2 or width % 2:
        raise ValueError(
            f"x must have even sides to be split in four phases, got {height} x {width}; "
            "append a row or column with make_even"
        )
    return x.reshape(n, height // 2, 2, width // 2, 2, channels)


def _positions(order: str) -> tuple[tuple[int, int], ...]:
    """(row parity, column parity) of the components 0 to 3."""
    if _checked(order) == "aps":
        return ((0, 0), (1, 0), (0, 1), (1, 1))
    return ((0, 0), (0, 1), (1, 0), (1, 1))


def _parities(index: Array, order: str) -> tuple[Array, Array]:
    low, high = index % 2 == 1, index // 2 == 1
    return (low, high) if _checked(order) == "aps" else (high, low)


def _per_sample(values: Array, rank: int) -> Array:
    return values.reshape(values.shape + (1,) * (rank - 1))


def _is_index(choice: Array, samples: int) -> bool:
    if jnp.issubdtype(choice.dtype, jnp.integer) and choice.shape == (samples,):
        return True
    if jnp.issubdtype(choice.dtype, jnp.floating) and choice.shape == (samples, 4):
        return False
    raise ValueError(
        f"choice must be integers of shape ({samples},) or float weights of shape ({samples}, 4), "
        f"got {choice.dtype} of shape {choice.shape}"
    )


def _checked(order: str) -> str:
    if order not in ORDERS:
        raise ValueError(f'order must be "aps" or "lps", got {order!r}')
    return order


def _check_rank(x: Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"x must be (N, H, W, C), got shape {x.shape}; add or drop axes")
