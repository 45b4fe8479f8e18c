"""What `scripts/train.py` runs: one training, or the quickstart's comparison and its report."""

import pathlib

import ml_collections

from aa_jax.training import distributed, pictures, report
from aa_jax.training.logging import read_metrics
from experiments.alias_free_gan import inspection, train
from experiments.alias_free_gan.configs.quickstart import variant_config


def run(config: ml_collections.ConfigDict, workdir: str | pathlib.Path) -> pathlib.Path:
    """Runs what a config describes.

    Args:
        config: from a file in `configs/`.
        workdir: of the run; a comparison gets a folder `<variant>/` for each network in it.

    Returns:
        The path of the report.
    """
    workdir = pathlib.Path(workdir)
    variants = config.comparison.variants
    if not variants:
        train.run(config, workdir)
        folders = [workdir]
    else:
        networks = {}
        for variant in variants:
            folder = workdir / variant
            networks[variant] = train.run(variant_config(config, variant), folder)
        folders = [workdir / variant for variant in variants]
        if distributed.is_main_process():
            strip = inspection.translation_strip(networks)
            pictures.save_png(workdir / "translation_strip.png", strip)
    # The report is one process's work.
    if not distributed.is_main_process():
        return workdir
    for folder in folders:
        print(f"{folder.name}: {_summary(folder)}")
    return report.write_report(folders, workdir / "report.html")


def _summary(folder: pathlib.Path) -> str:
    """The last measurement of a run in one line."""
    rows = [row for row in read_metrics(folder / "metrics.jsonl") if "loss_generator" not in row]
    if not rows:
        return "nothing measured"
    return ", ".join(f"{name} {value:.2f}" for name, value in rows[-1].items() if name != "step")
