"""How far a Gaussian reaches, and how it ends there."""

import dataclasses
import math

from jax import numpy as jnp
from numpy.polynomial import Polynomial


@dataclasses.dataclass(frozen=True)
class Window:
    """The profile of a Gaussian over r, the square of a distance in its own standard deviations.

    Attributes:
      radius: in standard deviations, or in pixels for `kind` "square"; infinite without a window.
      kind: "ellipse" cuts at r = radius^2, "smooth" fades to zero there, with two continuous
        derivatives, "square" keeps pixels within `radius` of the point's nearest pixel.
    """

    radius: float = math.inf
    kind: str = "ellipse"

    @property
    def is_gaussian(self) -> bool:
        """Whether the profile is exp(-r/2) wherever it isn't zero."""
        return self.kind != "smooth"

    @property
    def keeps_range(self) -> bool:
        """Whether weights at the edge are still far from vanishing in float32."""
        return self.kind != "square" and self.radius <= 8

    @property
    def greatest_exponent(self) -> float:
        """Bound of log weight minus shift; a fading window's shift counts what it fades by."""
        return 0.0 if self.is_gaussian else 50.0

    def profile(self, n: int, r, exponential):
        """The n-th derivative of the profile by r.

        Args:
          n: order of the derivative; 0 for a Gaussian profile.
          r: squared distance.
          exponential: exp(-r/2), times whatever weighs the result.
        """
        if self.is_gaussian:
            return exponential
        rest = jnp.maximum(1 - r / self.radius**2, 0)
        return exponential * _horner(_fading(n, self.radius), rest)

    def log_profile(self, r):
        """Logarithm of the profile; minus infinity outside of an ellipse."""
        if math.isinf(self.radius) or self.kind == "square":
            return -0.5 * r
        if self.is_gaussian:
            return jnp.where(r <= self.radius**2, -0.5 * r, -jnp.inf)
        rest = 1 - r / self.radius**2
        fading = jnp.log(_horner(_fading(0, self.radius), jnp.maximum(rest, 1e-7)))
        return jnp.where(rest > 1e-7, -0.5 * r + fading, -jnp.inf)


def _fading(n: int, radius: float) -> tuple[float, ...]:
    """Polynomial in u = 1 - r / radius^2 that with exp(-r/2) makes the n-th derivative by r.

    In powers of u, which is exact where the profile vanishes; 10 u^3 - 15 u^4 + 6 u^5 is 1 with two
    vanishing derivatives at the centre, and 0 with two at the edge.
    """
    fading = Polynomial([0, 0, 0, 10, -15, 6])
    for _ in range(n):
        fading = -fading.deriv() / radius**2 - fading / 2
    return tuple(fading.coef)


def _horner(coefficients: tuple[float, ...], u):
    value = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = value * u + coefficient
    return value
