"""Smooth periodic motion: random paths, poses of a layer over time, and a swaying of the whole.

Points are (..., 2), last axis (x, y), in units where the frame spans [-1, 1]. A film is a loop:
its time runs over the phases [0, 1), and phase 1 is phase 0 again.
"""

import dataclasses

import numpy as np

_PHASES = np.arange(256) / 256  # fine enough to find the extremes of two harmonics
_FIXED_POINT_STEPS = 40  # errors shrink by the slope each time, which is 0.6 at most: to 1e-9


@dataclasses.dataclass(frozen=True)
class PeriodicPath:
    """Sum of harmonics without a constant: Re sum_k c_k exp(2 pi i k phase).

    Attributes:
        coefficients: complex (harmonics, dimensions).
    """

    coefficients: np.ndarray

    def __call__(self, phases: np.ndarray) -> np.ndarray:
        """Places at the phases (T,): (T, dimensions)."""
        harmonics = 1 + np.arange(len(self.coefficients))
        turns = np.exp(2j * np.pi * np.asarray(phases)[:, None] * harmonics)
        return (turns @ self.coefficients).real


def random_path(
    rng: np.random.Generator, *, dimensions: int, amplitude: float, harmonics: int = 2
) -> PeriodicPath:
    """Draws a path whose largest distance from zero is `amplitude`.

    The k-th harmonic is 1 / k^2 as strong as the first, so that speed changes smoothly too.
    """
    shape = (harmonics, dimensions)
    coefficients = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    coefficients /= (1 + np.arange(harmonics)[:, None]) ** 2
    farthest = np.linalg.norm(PeriodicPath(coefficients)(_PHASES), axis=1).max()
    return PeriodicPath(coefficients * (amplitude / farthest))


@dataclasses.dataclass(frozen=True)
class Poses:
    """Where a layer is at every time: place = centre + matrix (local + (bend local_y^2, 0)).

    Attributes:
        centre: (T, 2).
        matrix: (T, 2, 2), invertible.
        bend: (T,), curvature: how far a point at local height 1 moves sideways.
    """

    centre: np.ndarray
    matrix: np.ndarray
    bend: np.ndarray

    def at(self, time: int) -> "Poses":
        """The same with one time only, whose axis stays."""
        chosen = slice(time, time + 1)
        return Poses(self.centre[chosen], self.matrix[chosen], self.bend[chosen])

    def place(self, local: np.ndarray) -> np.ndarray:
        """Local points (L, 2) to places (T, L, 2)."""
        x = local[:, 0] + self.bend[:, None] * local[:, 1] ** 2
        bent = np.stack([x, np.broadcast_to(local[:, 1], x.shape)], -1)
        return bent @ self.matrix.swapaxes(1, 2) + self.centre[:, None]

    def local(self, places: np.ndarray) -> np.ndarray:
        """The inverse of `place`: places (T, L, 2) to local points (T, L, 2)."""
        straight = (places - self.centre[:, None]) @ np.linalg.inv(self.matrix).swapaxes(1, 2)
        x = straight[..., 0] - self.bend[:, None] * straight[..., 1] ** 2
        return np.stack([x, straight[..., 1]], -1)

    def largest_rate(self, reach: float) -> float:
        """Bound of how far a local point moves when its place moves by one, over all times.

        Args:
            reach: largest |local_y| of interest.
        """
        shear = 2 * np.abs(self.bend) * reach  # slope of the bend, whose largest gain follows
        gain = (shear + np.sqrt(shear**2 + 4)) / 2
        smallest = np.linalg.svd(self.matrix, compute_uv=False)[:, -1]
        return float((gain / smallest).max())


def random_poses(
    rng: np.random.Generator,
    phases: np.ndarray,
    *,
    centre: np.ndarray,
    matrix: np.ndarray,
    travel: float,
    rotation: float,
    zoom: float,
    bend: float = 0.0,
) -> Poses:
    """Draws a smooth periodic motion around a rest pose.

    Args:
        rng: what to draw from.
        phases: times (T,).
        centre: (2,) at rest.
        matrix: (2, 2) at rest.
        travel: largest distance of the centre from rest.
        rotation: largest angle from rest, radians.
        zoom: largest deviation of the logarithm of the scale.
        bend: largest curvature; see `Poses`.
    """

    def scalar(amplitude):
        return random_path(rng, dimensions=1, amplitude=amplitude)(phases)[:, 0]

    places = centre + random_path(rng, dimensions=2, amplitude=travel)(phases)
    angle, scale = scalar(rotation), np.exp(scalar(zoom))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    return Poses(places, turn @ matrix, scalar(bend))


@dataclasses.dataclass(frozen=True)
class Sway:
    """A smooth deformation of the plane: a point z is read at z + sum_j a_j(t) s_j(z).

    s_j(z) = sin(kx_j x + px_j) sin(ky_j y + py_j).

    Attributes:
        strengths: a_j(t), (T, J, 2).
        wave_numbers: (J, 2), radians per unit.
        offsets: (J, 2), radians.
    """

    strengths: np.ndarray
    wave_numbers: np.ndarray
    offsets: np.ndarray

    @property
    def largest_shift(self) -> float:
        """Bound of how far any coordinate is moved."""
        return float(np.abs(self.strengths).sum(1).max())

    @property
    def largest_slope(self) -> float:
        """Lipschitz bound of the displacement."""
        steepness = np.linalg.norm(self.wave_numbers, axis=1)
        slopes = (np.abs(self.strengths) * steepness[:, None]).sum(1)
        return float(np.linalg.norm(slopes, axis=1).max())

    def grid(self, time: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both coordinates (h, w) of where the grid of x (w,) and y (h,) is read at one time."""
        across = np.sin(np.outer(x, self.wave_numbers[:, 0]) + self.offsets[:, 0])
        down = np.sin(np.outer(y, self.wave_numbers[:, 1]) + self.offsets[:, 1])
        moved = [np.tile(x, (len(y), 1)), np.tile(y[:, None], (1, len(x)))]
        for wave, strength in enumerate(self.strengths[time]):
            for coordinate, amount in zip(moved, strength, strict=True):
                coordinate += np.multiply.outer(amount * down[:, wave], across[:, wave])
        return moved[0], moved[1]

    def read(self, points: np.ndarray) -> np.ndarray:
        """Where the points (T, L, 2) are read: (T, L, 2)."""
        waves = np.sin(points[..., None, :] * self.wave_numbers + self.offsets).prod(-1)
        return points + waves @ self.strengths

    def show(self, places: np.ndarray) -> np.ndarray:
        """The inverse of `read`: where what lies at the places (T, L, 2) is seen.

        By fixed-point iteration, which converges because the slope is below one.
        """
        points = places
        for _ in range(_FIXED_POINT_STEPS):
            points = places - (self.read(points) - points)
        return points


def random_sway(
    rng: np.random.Generator, phases: np.ndarray, *, amplitude: float, num_waves: int = 2
) -> Sway:
    """Draws a swaying by standing waves of a quarter to half a period per unit.

    Args:
        rng: what to draw from.
        phases: times (T,).
        amplitude: largest shift of one wave; at most 0.04, which keeps `show` convergent.
        num_waves: how many.
    """
    strengths = [
        random_path(rng, dimensions=2, amplitude=amplitude)(phases) for _ in range(num_waves)
    ]
    wave_numbers = rng.uniform(np.pi / 2, np.pi, (num_waves, 2))
    return Sway(np.stack(strengths, 1), wave_numbers, rng.uniform(0, 2 * np.pi, (num_waves, 2)))
