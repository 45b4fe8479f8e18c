"""The comparison: trains every variant with every seed, evaluates them all, writes the report."""

import pathlib

import ml_collections

from aa_jax.training import distributed
from experiments.classification import train


def run(config: ml_collections.ConfigDict, workdir: str | pathlib.Path) -> pathlib.Path:
    """Runs what a config describes: one training, or a comparison and its report.

    Args:
        config: with `config.comparison.variants` and `.seeds`; both empty for one training.
        workdir: a comparison gets `<variant>/seed_<n>/` for each run and `report/`.

    Returns:
        The workdir of one training, or the path of the comparison's report.
    """
    workdir = pathlib.Path(workdir)
    if not config.comparison.variants:
        train.run(config, workdir)
        return workdir
    for variant in config.comparison.variants:
        for seed in config.comparison.seeds:
            train.run(variant_config(config, variant, seed), run_folder(workdir, variant, seed))
    # Imported here: a single training need not load the plotting library.
    from experiments.classification import report

    # The report is one process's work; the others are done.
    return report.write_report(workdir) if distributed.is_main_process() else workdir


def variant_config(
    config: ml_collections.ConfigDict, variant: str, seed: int
) -> ml_collections.ConfigDict:
    """The config of one network of a comparison."""
    config = ml_collections.ConfigDict(config.to_dict())
    config.name = f"{variant}/seed_{seed}"
    config.model.antialias = variant
    config.seed = seed
    config.comparison = ml_collections.ConfigDict({"variants": (), "seeds": ()})
    return config


def run_folder(workdir: pathlib.Path, variant: str, seed: int) -> pathlib.Path:
    """Where the run of a variant and a seed is."""
    return workdir / variant / f"seed_{seed}"
