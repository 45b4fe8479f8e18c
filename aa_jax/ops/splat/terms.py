"""Polynomials times a Gaussian profile: a family of sums that differentiation doesn't leave.

Every sum here is over points i, at a position q with offset (x, y) = q - point_i:

    out_c(q) = sum_i exp(l_i) f_n(r_i) x^a y^b coefficient_i,
    r = A_xx x^2 + 2 A_xy x y + A_yy y^2,

where f_0 is the window's profile and f_n its n-th derivative. A term (n, a, b, c) names one such
product and the channel it adds to. Its derivative with respect to a point, its conic A or its log
weight l is again a sum of terms; so one operator and its transpose serve every order.
"""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jax import lax, numpy as jnp

from aa_jax.ops.splat.window import Window

Term = tuple[int, int, int, int]
"""(derivative of the profile, power of x, power of y, channel)."""

# Rows of a geometry array (6, points).
X, Y, XX, XY, YY, LOG_WEIGHT = range(6)


@dataclasses.dataclass(frozen=True)
class _Part:
    """What `target` contributes to `source`'s derivative: `factor` x a geometry row, or alone."""

    direction: int
    source: int
    target: int
    factor: float
    column: int | None


@dataclasses.dataclass(frozen=True)
class Derivative:
    """The derivative of a sum of terms along a geometry's rows.

    Attributes:
      targets: the terms it is made of.
      parts: which of them, times what, each term contributes.
    """

    targets: tuple[Term, ...]
    parts: tuple[_Part, ...]

    def of_coefficients(self, geometry, tangent, coefficients) -> jax.Array:
        """Coefficients (targets, points) of the derivative of a sum with `coefficients`.

        Args:
          geometry: (6, points).
          tangent: (6, points), the direction.
          coefficients: (terms, points).
        """
        return self._combined(geometry, tangent, coefficients, len(self.targets), forward=True)

    def of_moments(self, geometry, tangent, moments, terms: int) -> jax.Array:
        """Derivative (terms, points) of moments, from the `targets`' `moments`."""
        return self._combined(geometry, tangent, moments, terms, forward=False)

    def _combined(self, geometry, tangent, factors, results: int, *, forward: bool) -> jax.Array:
        ends = [(p.source, p.target) if forward else (p.target, p.source) for p in self.parts]
        if len(ends) <= _FEW_PARTS:
            sums = [0.0] * results
            for part, (start, end) in zip(self.parts, ends, strict=True):
                weight = part.factor * tangent[part.direction]
                if part.column is not None:
                    weight = weight * geometry[part.column]
                sums[end] += weight * factors[start]
            like = factors[0]
            return jnp.stack([jnp.broadcast_to(row, like.shape).astype(like.dtype) for row in sums])
        # Written out, thousands of summands take minutes to compile.
        columns = [LOG_WEIGHT if p.column is None else p.column for p in self.parts]
        # No part is scaled by a log weight, which may be infinite: ones stand in its row.
        scaled = geometry.at[LOG_WEIGHT].set(1)
        product = _chosen([p.direction for p in self.parts], tangent)
        product *= _chosen(columns, scaled) * _chosen([start for start, _ in ends], factors)
        sums = np.zeros((results, len(ends)))
        sums[[end for _, end in ends], range(len(ends))] = [p.factor for p in self.parts]
        return jnp.matmul(sums.astype(factors.dtype), product, precision=lax.Precision.HIGHEST)


_FEW_PARTS = 64


def _chosen(rows: Sequence[int], array) -> jax.Array:
    """`array[rows]` as a matrix product, whose transpose is one too."""
    choice = np.zeros((len(rows), len(array)), array.dtype)
    choice[range(len(rows)), rows] = 1
    return jnp.matmul(choice, array, precision=lax.Precision.HIGHEST)


def derivative(terms: Sequence[Term], window: Window) -> Derivative:
    """Derivative of the sum of `terms` along every row of a geometry."""
    targets: dict[Term, int] = {}
    parts = []
    for source, term in enumerate(terms):
        for row in range(6):
            for target, factor, column in _rule(term, row, window):
                index = targets.setdefault(target, len(targets))
                parts.append(_Part(row, source, index, factor, column))
    return Derivative(tuple(targets), tuple(parts))


def _rule(term: Term, row: int, window: Window):
    """Derivative of one term along one row: (term, factor, geometry row) of each summand."""
    n, a, b, c = term
    if row == LOG_WEIGHT:
        return [(term, 1.0, None)]
    # f_{n+1}, or for a Gaussian -1/2 of f_n: then no second profile is evaluated.
    up, half = (n, -0.5) if window.is_gaussian else (n + 1, 1.0)
    if row == XX:
        return [((up, a + 2, b, c), half, None)]
    if row == XY:
        return [((up, a + 1, b + 1, c), 2 * half, None)]
    if row == YY:
        return [((up, a, b + 2, c), half, None)]
    # Moving the point moves the offset the other way.
    along_x, along_y = (XX, XY) if row == X else (XY, YY)
    rules = [
        ((up, a + 1, b, c), -2 * half, along_x),
        ((up, a, b + 1, c), -2 * half, along_y),
    ]
    power = a if row == X else b
    if power:
        lower = (n, a - 1, b, c) if row == X else (n, a, b - 1, c)
        rules.append((lower, -float(power), None))
    return rules
