"""Trains a motion model and reports how well it reconstructs films that it has not seen."""

import pathlib

import ml_collections

from aa_jax.training import distributed
from experiments.motion import train


def run(config: ml_collections.ConfigDict, workdir: str | pathlib.Path) -> pathlib.Path:
    """Trains what a config describes, into `workdir`, and writes `report.md` with pictures there.

    Returns:
        The path of the report.
    """
    workdir = pathlib.Path(workdir)
    train.run(config, workdir)
    # Imported here: a training that only goes on need not load the plotting library.
    from experiments.motion import report

    return report.write_report(workdir) if distributed.is_main_process() else workdir
