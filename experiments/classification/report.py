"""The report of a comparison: tables, figures and what they were made from, in one folder."""

import datetime
import json
import pathlib
import platform

import jax
import numpy as np

from aa_jax.metrics.filter_variance import filter_variance
from aa_jax.metrics.shift import center_crop
from experiments.classification import evaluate, inspection, network, tables
from experiments.classification.figures import (
    accuracy_consistency,
    feature_groups,
    filter_variance as filter_variance_figure,
    prediction_strip,
    style,
)
from experiments.classification.measurements import Measurement

STRIP_IMAGES = 64
GROUP_IMAGES = 32


def write_report(
    workdir: str | pathlib.Path, *, overrides: dict[str, str] | None = None
) -> pathlib.Path:
    """Evaluates what has not been evaluated and writes `<workdir>/report/`.

    Args:
        workdir: folder of a comparison, `<variant>/seed_<n>/` inside.
        overrides: fields of the evaluation options to replace.

    Returns:
        The path of report.md; report.json and the figures lie beside it.

    Raises:
        ValueError: there is no run, or one cannot be read.
    """
    workdir = pathlib.Path(workdir)
    runs = evaluate.run_directories(workdir)
    results = evaluate.evaluate_runs(workdir, overrides=overrides)
    folder = workdir / "report"
    folder.mkdir(exist_ok=True)
    summary = tables.summarize(results)
    first_runs = _first_runs(summary, runs, results)
    pictures = [_accuracy_consistency(folder, summary)]
    pictures += _strip(folder, first_runs, results[0].options)
    for name, trained in first_runs.items():
        pictures += _look_inside(folder, name, trained, results[0].options)
    return write_documents(folder, summary, results[0], pictures)


def write_documents(
    folder: pathlib.Path, summary: dict, example: Measurement, pictures: list[tuple[str, str]]
) -> pathlib.Path:
    """Writes report.json and report.md.

    Args:
        folder: of the report.
        summary: of `tables.summarize`.
        example: any of the measurements: options and data set are the same for all.
        pictures: (file name, caption) in order.

    Returns:
        The path of report.md.
    """
    where = {
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "jax": jax.__version__,
        "platform": f"{jax.default_backend()} ({platform.machine()})",
        "data": example.context.get("data", ""),
    }
    data = {**where, **summary, "figures": [name for name, _ in pictures]}
    (folder / "report.json").write_text(json.dumps(data, indent=2) + "\n")
    seeds = max(len(entry["seeds"]) for entry in summary["variants"].values())
    difference = tables.difference_table(summary)
    sections = [
        "# Accuracy and shift consistency",
        f"{len(summary['variants'])} variants, up to {seeds} seeds each, on {where['data']}; "
        f"jax {where['jax']} on {where['platform']}, {where['written']}.",
        tables.main_table(summary),
    ]
    if difference:
        sections += [
            "## Compared with the plain network",
            "On the same images under the same shifts; an interval that does not hold zero is a "
            "difference beyond it.",
            difference,
        ]
    sections += ["## What was measured", tables.explain(example.options)]
    sections += ["## Figures"]
    sections += [f"![{pathlib.Path(name).stem}]({name})\n\n{caption}" for name, caption in pictures]
    sections += ["## Single runs", tables.run_table(summary)]
    path = folder / "report.md"
    path.write_text("\n\n".join(sections) + "\n")
    return path


def _first_runs(summary: dict, runs: list[pathlib.Path], results: list[Measurement]) -> dict:
    """The network of the first seed of every variant, in the order of the tables."""
    paths = {(result.variant, result.seed): run for run, result in zip(runs, results, strict=True)}
    return {
        variant: network.load_run(paths[variant, entry["seeds"][0]])
        for variant, entry in summary["variants"].items()
    }


def _accuracy_consistency(folder: pathlib.Path, summary: dict) -> tuple[str, str]:
    name = "accuracy_consistency.png"
    style.save(accuracy_consistency.draw(summary), folder / name)
    return name, (
        "Accuracy against consistency: faint marks are single runs, bars the bootstrap intervals "
        "of the means. Up and to the right is better."
    )


def _strip(folder: pathlib.Path, first_runs: dict, options) -> list[tuple[str, str]]:
    """The strip of predictions, of the first seed of every variant."""
    trained = next(iter(first_runs.values()))
    images, labels, source = evaluate.test_images(trained.config, options)
    strip, changes = prediction_strip.walk(
        {name: run.predict for name, run in first_runs.items()},
        images[:STRIP_IMAGES],
        labels[:STRIP_IMAGES],
        crop_size=trained.config.data.image_size,
        steps=options.max_offset + 1,
        reference=next(iter(first_runs)),
        batch_size=options.batch_size,
    )
    name = "prediction_strip.png"
    style.save(prediction_strip.draw(strip, source.class_names), folder / name)
    reference = tables.variant_name(next(iter(first_runs)))
    counts = ", ".join(
        f"{tables.variant_name(variant)} {mean:.2f}"
        for variant, mean in zip(first_runs, changes.mean(1), strict=True)
    )
    return [
        (
            name,
            f"Answers and their probabilities while one image moves. It was chosen because "
            f"{reference} changes its answer on it most often among {len(changes[0])} test "
            f"images. Mean number of changes per image over the same steps: {counts}.",
        )
    ]


def _look_inside(folder: pathlib.Path, variant: str, trained, options) -> list[tuple[str, str]]:
    """Filter variance and feature groups of a network with adaptive filters; else nothing."""
    images, _, _ = evaluate.test_images(trained.config, options)
    centers = center_crop(images[:GROUP_IMAGES], trained.config.data.image_size)
    layers = [
        name.removesuffix(".filters")
        for name in inspection.recorded_names(trained, centers)
        if name.endswith(".filters")
    ]
    if not layers:
        return []
    layer = layers[0]  # the first: the finest map
    stage = layer.split(".")[0]
    title = f"{layer} of {tables.variant_name(variant)}"
    return [
        _filter_variance(folder, variant, trained, layer, title, images),
        _feature_groups(folder, variant, trained, layer, stage, title, centers),
    ]


def _filter_variance(
    folder: pathlib.Path, variant: str, trained, layer: str, title: str, images: np.ndarray
) -> tuple[str, str]:
    name = f"filter_variance_{variant}.png"
    photo = inspection.example_photograph(trained.config, images)
    path = f"{layer}.filters"
    filters = inspection.intermediate_results(trained, photo[None], [path])[path][0]
    variance = np.asarray(filter_variance(filters, normalize=True))
    figure = filter_variance_figure.draw(photo, variance, taps=filters.shape[-1], layer=title)
    style.save(figure, folder / name)
    return name, (
        f"Variance of the filters predicted at {layer} for every position and group, each filter "
        "scaled to sum 1: high where the filter is like the identity, low where it blurs."
    )


def _feature_groups(
    folder: pathlib.Path, variant: str, trained, layer: str, stage: str, title: str, centers
) -> tuple[str, str]:
    name = f"feature_groups_{variant}.png"
    seen = inspection.intermediate_results(trained, centers, [stage, f"{layer}.filters"])
    groups = seen[f"{layer}.filters"].shape[-2]
    figure = feature_groups.draw(seen[stage], groups, layer=title)
    style.save(figure, folder / name)
    return name, (
        f"Channels after {layer}, which share a filter within each of {groups} groups: "
        f"correlation over {len(centers)} test images, its distribution within and across "
        "groups, and the maps of one image."
    )
