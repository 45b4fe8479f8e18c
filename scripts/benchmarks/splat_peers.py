"""What `splat` is measured against: SciPy's interpolators, and the same mixture summed densely."""

import dataclasses
import functools
import math
from collections.abc import Callable

# Standard deviation in pixels: 0.6 of the points' mean spacing, at 4 pixels per point.
SIGMA, PIXELS_PER_POINT = 1.2, 4
INPUTS = 3  # sets of samples, in turn
_DENSE_SHARE = 64  # NumPy's dense sum is evaluated at every so manyth pixel


@dataclasses.dataclass(frozen=True)
class Rival:
    """One way to make the image.

    Attributes:
      run: of a number (to choose a fresh input by), gives the image once the work is done.
      settles: whether each turn begins with a run that does not count, as for a millisecond's work
        on several threads; SciPy's single thread needs none.
      share: its times are multiplied by this: greater than 1 if it evaluates a part of the
        positions, less if a run makes several images.
      compile_s: seconds of compilation, if there was any.
      temporaries_mb: megabytes of temporaries, where they are known.
      ours: whether it is this library.
      launch: like `run`, but does not wait, where there is a difference.
    """

    run: Callable[[int], object]
    settles: bool = False
    share: float = 1
    compile_s: float | None = None
    temporaries_mb: float | None = None
    ours: bool = False
    launch: Callable[[int], object] | None = None


def photograph_samples(points: int):
    """A photograph in [0, 1], and several sets of random points with its nearest pixels' colours.

    Returns:
      (side, side, 3), and pairs of (points, 2) and (points, 3), all float64.
    """
    import numpy as np
    from skimage import data, transform

    side = math.isqrt(PIXELS_PER_POINT * points)
    picture = data.astronaut() / 255.0
    if side != len(picture):
        picture = transform.resize(picture, (side, side), anti_aliasing=side < len(picture))
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(INPUTS):
        places = rng.uniform(-0.5, side - 0.5, (points, 2))
        column, row = np.clip(np.rint(places).astype(int), 0, side - 1).T
        samples.append((places, picture[row, column]))
    return picture, samples


def on_device(samples) -> list[tuple]:
    import jax.numpy as jnp

    return [tuple(jnp.asarray(array, jnp.float32) for array in pair) for pair in samples]


def compiled(function: Callable, inputs: list[tuple], *, ours: bool = False) -> Rival:
    from scripts.benchmarks import timing

    executable, seconds, megabytes = timing.compiled(function, *inputs[0])
    return Rival(
        timing.cycling(executable, inputs),
        settles=True,
        compile_s=seconds,
        temporaries_mb=megabytes,
        ours=ours,
        launch=lambda number: executable(*inputs[number % len(inputs)]),
    )


def dense_jax(samples, side: int) -> dict[str, Rival]:
    """The same mixture without an end, in float32: every point at every pixel."""
    import jax
    from jax import lax, numpy as jnp

    inputs, exact = on_device(samples), lax.Precision.HIGHEST
    at_once = min(side, 128)  # of the rows of pixels; the quickest on CPU

    def with_mass(values):
        return jnp.concatenate([values, jnp.ones_like(values[:, :1])], 1)

    def exponential(square):
        return jnp.exp(square * (-0.5 / SIGMA**2))

    def dense(points, values):
        values = with_mass(values)

        def some(start):
            pixel = start * at_once + jnp.arange(at_once)
            square = (pixel[:, None] % side - points[:, 0]) ** 2
            square += (pixel[:, None] // side - points[:, 1]) ** 2
            sums = jnp.matmul(exponential(square), values, precision=exact)
            return sums[:, :3] / sums[:, 3:]

        return lax.map(some, jnp.arange(side * side // at_once)).reshape(side, side, 3)

    def separable(points, values):
        """Possible on a grid, for one width along the axes; matrix products."""
        pixel = jnp.arange(side)
        across, down = (exponential((pixel - points[:, axis, None]) ** 2) for axis in (0, 1))
        sums = [
            jnp.matmul((down * value[:, None]).T, across, precision=exact)
            for value in with_mass(values).T
        ]
        return jnp.stack(sums[:3], -1) / sums[3][..., None]

    # On CPU the first takes many seconds: nothing to settle.
    settles = jax.default_backend() != "cpu"
    return {
        "dense sum, JAX": dataclasses.replace(compiled(dense, inputs), settles=settles),
        "dense separable, JAX": compiled(separable, inputs),
    }


def scipy_rivals(samples, side: int) -> dict[str, Rival]:
    """What users of SciPy write; all in float64, all channels at once."""
    import numpy as np
    from scipy.interpolate import CloughTocher2DInterpolator, RBFInterpolator, griddata
    from scipy.spatial import cKDTree

    y, x = np.mgrid[:side, :side]
    queries = np.stack([x.ravel(), y.ravel()], 1)

    def regression(points, values):
        distances, neighbours = cKDTree(points).query(queries, k=16)
        # Relative to the nearest, as ours: no 0 / 0.
        weights = np.exp((distances[:, :1] ** 2 - distances**2) * (0.5 / SIGMA**2))
        return np.einsum("qk,qkc->qc", weights, values[neighbours]) / weights.sum(1)[:, None]

    def dense(points, values):
        """One pixel in 64."""
        points, values = points.astype(np.float32), values.astype(np.float32)
        some = queries[_DENSE_SHARE // 2 :: _DENSE_SHARE].astype(np.float32)
        image = []
        for part in np.array_split(some, max(len(some) // 16, 1)):
            square = (part[:, :1] - points[:, 0]) ** 2
            square += (part[:, 1:] - points[:, 1]) ** 2
            square *= np.float32(-0.5 / SIGMA**2)
            weights = np.exp(square, out=square)
            image.append(weights @ values / weights.sum(1, keepdims=True))
        return np.concatenate(image)

    def rbf(points, values):
        return RBFInterpolator(points, values, neighbors=16)(queries)

    functions = {
        "griddata linear": lambda p, v: griddata(p, v, (x, y), method="linear"),
        "CloughTocher2DInterpolator": lambda p, v: CloughTocher2DInterpolator(p, v)(x, y),
        "griddata nearest": lambda p, v: griddata(p, v, (x, y), method="nearest"),
        "RBFInterpolator, 16 neighbours": rbf,
        "cKDTree, same weights, 16 neighbours": regression,
        "dense sum, NumPy": dense,
    }
    share = {"dense sum, NumPy": _DENSE_SHARE}
    return {
        name: Rival(
            functools.partial(lambda f, number: f(*samples[number % INPUTS]), function),
            share=share.get(name, 1),
        )
        for name, function in functions.items()
    }
