"""The report's numbers: variants by metrics with intervals, as plain data and as Markdown."""

import numpy as np

from aa_jax.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_interval
from experiments.classification.measurements import EvaluationOptions, Measurement

BASELINE = "none"
# How the variants are called in prose, in the order of the tables.
VARIANT_NAMES = {
    "none": "plain",
    "blur": "blur",
    "adaptive": "adaptive",
    "aps": "APS",
    "lps": "LPS",
}
# metric -> column heading
COLUMNS = {
    "top1": "top-1",
    "top5": "top-5",
    "consistency": "consistency",
    "consistency_correct": "correct only",
    "circular": "circular",
    "subpixel": "sub-pixel",
    "worst_case": "worst case",
    "worst_case_correct": "worst-case accuracy",
}
COMPARED = ("top1", "consistency", "circular", "subpixel", "worst_case")


def variant_name(variant: str) -> str:
    """What a variant is called in tables and figures."""
    return VARIANT_NAMES.get(variant, variant)


def by_variant(measurements: list[Measurement]) -> dict[str, list[Measurement]]:
    """Groups runs by variant (plain first, then in the usual order) and sorts them by seed.

    Raises:
        ValueError: no measurements, two of one run, or measured with different options.
    """
    if not measurements:
        raise ValueError("measurements must hold at least one evaluated run, got none")
    if len({m.options for m in measurements}) > 1:
        raise ValueError(
            "measurements must share their options to be compared; evaluate all runs with the same"
        )
    order = list(VARIANT_NAMES)
    names = sorted(
        {m.variant for m in measurements},
        key=lambda name: (order.index(name) if name in order else len(order), name),
    )
    groups = {
        name: sorted((m for m in measurements if m.variant == name), key=lambda m: m.seed)
        for name in names
    }
    for name, runs in groups.items():
        seeds = [run.seed for run in runs]
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"measurements hold a seed of variant {name!r} twice: {seeds}")
    return groups


def _runs(group: list[Measurement], metric: str) -> np.ndarray:
    """Per-image values (runs, N)."""
    return np.stack([run.per_image[metric] for run in group])


def _as_dict(interval: Interval) -> dict:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def summarize(measurements: list[Measurement]) -> dict:
    """Means with bootstrap intervals (images and seeds), differences to plain, single runs.

    Args:
        measurements: one per run; the same options for all.

    Returns:
        {"options", "variants": {name: {"seeds", "metrics", "difference", "runs"}}}, JSON-ready.
        "metrics" and "difference" hold {"estimate", "low", "high"}; figures without per-image
        values have no bounds. "difference" is missing for plain and where plain is missing.

    Raises:
        ValueError: see `by_variant`.
    """
    groups = by_variant(measurements)
    options = measurements[0].options
    bootstrap = {
        "confidence": options.confidence,
        "resamples": options.resamples,
        "seed": options.seed,
    }
    baseline = groups.get(BASELINE)
    variants = {}
    for name, group in groups.items():
        entry = {"seeds": [run.seed for run in group], "metrics": {}}
        for metric in group[0].metrics:
            if metric in group[0].per_image:
                interval = bootstrap_interval(_runs(group, metric), **bootstrap)
                entry["metrics"][metric] = _as_dict(interval)
            else:
                mean = float(np.mean([run.metrics[metric] for run in group]))
                entry["metrics"][metric] = {"estimate": mean}
        if baseline is not None and name != BASELINE:
            entry["difference"] = {
                metric: _as_dict(
                    bootstrap_difference(_runs(group, metric), _runs(baseline, metric), **bootstrap)
                )
                for metric in COMPARED
            }
        entry["runs"] = [{"seed": run.seed, **run.metrics} for run in group]
        entry["context"] = [run.context for run in group]
        variants[name] = entry
    return {"options": measurements[0].as_dict()["options"], "variants": variants}


def _cell(value: dict, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    text = f"{value['estimate']:{sign}.1f}"
    if "low" in value:
        text += f" [{value['low']:{sign}.1f}, {value['high']:{sign}.1f}]"
    return text


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def main_table(summary: dict) -> str:
    """Variants by metrics, each with its interval."""
    variants = summary["variants"]
    metrics = [m for m in COLUMNS if all(m in entry["metrics"] for entry in variants.values())]
    rows = [
        [variant_name(name), *(_cell(entry["metrics"][metric]) for metric in metrics)]
        for name, entry in variants.items()
    ]
    return _table(["variant", *(COLUMNS[metric] for metric in metrics)], rows)


def difference_table(summary: dict) -> str:
    """Each variant minus plain on the same images, with a verdict; "" without a plain run."""
    rows = []
    for name, entry in summary["variants"].items():
        if "difference" in entry:
            cells = [_cell(entry["difference"][metric], signed=True) for metric in COMPARED]
            rows.append([variant_name(name), *cells, verdict(entry["difference"])])
    if not rows:
        return ""
    return _table(["minus plain", *(COLUMNS[metric] for metric in COMPARED), "verdict"], rows)


def verdict(difference: dict) -> str:
    """Whether consistency rose beyond its interval, and what accuracy did."""

    def judge(value):
        if value["low"] > 0:
            return "higher"
        return "lower" if value["high"] < 0 else "not told apart"

    return f"consistency {judge(difference['consistency'])}, top-1 {judge(difference['top1'])}"


def run_table(summary: dict) -> str:
    """Every single run."""
    rows = []
    first = next(iter(summary["variants"].values()))["runs"][0]
    metrics = [metric for metric in COLUMNS if metric in first]
    for name, entry in summary["variants"].items():
        for run in entry["runs"]:
            cells = [f"{run[metric]:.1f}" for metric in metrics]
            rows.append([variant_name(name), str(run["seed"]), *cells])
    return _table(["variant", "seed", *(COLUMNS[metric] for metric in metrics)], rows)


def explain(options: EvaluationOptions) -> str:
    """What was measured, in words, with every number that decides it."""
    last = options.max_offset - 1
    return f"""All figures are percentages; brackets are {options.confidence:.0%} bootstrap \
intervals ({options.resamples} draws) over test images and training seeds, both resampled. With \
few seeds they are somewhat narrow: look at the single runs too. The shifts are drawn once and \
not resampled. All random shifts come from seed \
{options.seed} and are the same for every run.

- **top-1, top-5**: accuracy on the centre crop of {options.num_images} test images.
- **consistency**: share of images that get the same class in {options.views} random crops, \
offsets 0 to {last} pixels per axis, drawn once per batch of {options.batch_size}; \
{options.shift_images} images, passes: {options.passes} (the protocol of Zhang 2019).
- **correct only**: the same, among images that at least one crop gets right.
- **circular**: the same class after two random circular shifts of \
{-options.max_roll} to {options.max_roll - 1} pixels per axis, one pass (the protocol of APS).
- **sub-pixel**: the same class for a crop and the same crop displaced by less than a pixel, by \
ideal interpolation (Fourier phase, mirrored border), one pass.
- **worst case**: one class on all {options.worst_grid}×{options.worst_grid} neighbouring crop \
positions of an image, {options.worst_images} images; **worst-case accuracy**: the right one on \
all of them."""
