"""Which quality metrics there are, under their published names, and what each of them needs."""

import dataclasses
from collections.abc import Iterable

from aa_jax.metrics.equivariance import METRICS as MOTION
from aa_jax.training.config import suggest

PUBLISHED_SAMPLES = 50_000


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of generated images.

    Attributes:
        published: its name, with 50 000 generated images.
        detector: the network whose features it compares.
        results: what is put behind its name, for metrics of several numbers.
        reals: which real images it needs: "none"; "all", the whole data set without mirror copies;
            "training", those that are trained on, mirror copies included.
        most_reals: at most so many of them.
        keeps: which of the detector's results it needs of every image, if mean and covariance
            don't do: "", "features" or "probabilities".
    """

    published: str
    detector: str
    results: tuple[str, ...] = ("",)
    reals: str = "none"
    most_reals: int | None = None
    keeps: str = ""

    def names(self, samples: int) -> tuple[str, ...]:
        """The names of its results; with fewer images the number in them is another one."""
        name = self.published
        if samples != PUBLISHED_SAMPLES:
            count = f"{samples / 1000:.3f}".rstrip("0").rstrip(".") + "k"  # 5k, 2.5k, 0.064k
            # No number is part of the published name of the path length.
            name = name.replace("50k", count) if "50k" in name else f"{name}_{count}"
        return tuple(name + result for result in self.results)

    def real_count(self, available: int) -> int:
        """How many of the available real images it compares with."""
        return min(available, self.most_reals or available)


_BOTH = ("_precision", "_recall")
QUALITY = {
    metric.published: metric
    for metric in (
        Metric("fid50k_full", "inception", reals="all"),
        Metric("kid50k_full", "inception", reals="all", most_reals=1_000_000, keeps="features"),
        Metric("pr50k3_full", "vgg16", _BOTH, "all", most_reals=200_000, keeps="features"),
        Metric("fid50k", "inception", reals="training", most_reals=50_000),
        Metric("kid50k", "inception", reals="training", most_reals=50_000, keeps="features"),
        Metric("pr50k3", "vgg16", _BOTH, "training", most_reals=50_000, keeps="features"),
        Metric("is50k", "inception", ("_mean", "_std"), keeps="probabilities"),
        Metric("ppl2_wend", "lpips"),
    )
}
NAMES = (*QUALITY, *MOTION)
# The Inception score is of ten parts, and each needs an image.
LEAST_SAMPLES = 10


def check_names(names: Iterable[str], samples: int, *, best: str = "") -> None:
    """Raises ValueError for a name that is not known, or a `best` that is not measured.

    Args:
        names: published names.
        samples: generated images; 50 000 as published.
        best: name of the result that says which checkpoint is best; a minus sign in front of it
            means the lowest. Empty for none; without names it has no effect.
    """
    names = tuple(names)
    for name in names:
        if name not in NAMES:
            raise ValueError(f"there is no metric {name!r}; {suggest(name, NAMES)}")
    chosen = [QUALITY[name] for name in names if name in QUALITY]
    if chosen and samples < LEAST_SAMPLES:
        raise ValueError(f"metrics.samples must be at least {LEAST_SAMPLES}, got {samples}")
    results = [result for metric in chosen for result in metric.names(samples)]
    results += [name for name in names if name in MOTION]
    wanted = best.removeprefix("-")
    if names and wanted and wanted not in results:
        raise ValueError(
            f"metrics.best is {best!r}, which is not measured: with metrics.names {names} and "
            f"metrics.samples {samples}, {suggest(wanted, results)}"
        )
