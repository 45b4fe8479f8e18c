"""Measures a generator out of a file: what `scripts/evaluate.py quality` does."""

import datetime
import json
import os
import pathlib
from collections.abc import Iterable

import jax
import numpy as np

from aa_jax import weights
from aa_jax.models import alias_free
from aa_jax.models.inception.preprocessing import check_dialect
from aa_jax.training import distributed, state as states
from experiments.alias_free_gan import images, measuring
from experiments.alias_free_gan.metric_names import QUALITY, check_names
from experiments.alias_free_gan.sampler import Sampler


def measure_network(
    path: str | os.PathLike,
    names: Iterable[str],
    amounts: measuring.Amounts,
    *,
    data: str | os.PathLike | None = None,
    weights_folder: str = "",
    batch_size: int = 16,
) -> dict[str, dict[str, float]]:
    """Measures a generator.

    Args:
        path: a StyleGAN3 pickle, of which nothing is executed, or `.safetensors` of ours.
        names: published names of metrics.
        amounts: how much.
        data: what `scripts/prepare_data.py` wrote; needed by metrics that compare with real
            images. Conditional networks take labels from it; without it classes are uniformly
            random.
        weights_folder: of the feature networks; empty: see `weights.feature_file`.
        batch_size: images generated at a time, rounded up to a multiple of the devices.

    Returns:
        By the published name of each metric its numbers, by name.

    Raises:
        ValueError: a metric is not known or needs data, files are missing or cannot be read, or
            data and network do not fit.
        OSError: the network's file cannot be opened.
    """
    names = tuple(names)
    check_names(names, amounts.samples)
    check_dialect(amounts.dialect)
    comparing = [name for name in names if name in QUALITY and QUALITY[name].reals != "none"]
    if comparing and data is None:
        raise ValueError(
            f"{', '.join(comparing)} compare with real images: name them with --data (a folder of "
            "scripts/prepare_data.py)"
        )
    detectors = measuring.detectors_of(names, dialect=amounts.dialect, weights=weights_folder)
    generator = weights.load_generator(path)
    source = None if data is None else _source(data, generator)
    sampler = _sampler(generator, source, batch_size)
    results = measuring.measure(names, sampler, amounts, detectors, lambda which: source)
    return {
        name: {
            result: results[result]
            for result in (QUALITY[name].names(amounts.samples) if name in QUALITY else (name,))
        }
        for name in names
    }


def in_lines(results: dict[str, dict[str, float]], amounts: measuring.Amounts) -> str:
    """Results of `measure_network` to be printed: a line for every metric."""
    lines = []
    for name, numbers in results.items():
        shown = ", ".join(f"{result} {value:.6g}" for result, value in numbers.items())
        how = f"{amounts.equivariance_samples} pictures"
        if name in QUALITY:
            how = f"{amounts.samples} pictures, {amounts.dialect} resizing"
        lines.append(f"{shown} ({how}, seed {amounts.seed})")
    return "\n".join(lines)


def append(
    folder: pathlib.Path,
    network: str,
    results: dict[str, dict[str, float]],
    amounts: measuring.Amounts,
    data: str | None,
) -> None:
    """Appends a line to `metric-<name>.jsonl` in a folder for every metric.

    Args:
        folder: made if missing.
        network: name of the measured file.
        results: of `measure_network`.
        amounts: that were measured.
        data: the real images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    for name, numbers in results.items():
        how = {"dialect": amounts.dialect, "samples": amounts.samples}
        if name not in QUALITY:
            how = {"samples": amounts.equivariance_samples}
        line = {"metric": name, "results": numbers, "network": network, "data": data, **how}
        line |= {"seed": amounts.seed, "time": time}
        with open(folder / f"metric-{name}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _source(data: str | os.PathLike, generator: alias_free.Generator):
    from aa_jax.data.prepared import prepared_source

    source = prepared_source(data)
    shape = source[0]["image"].shape
    wanted = (*generator.plan.resolution, generator.plan.img_channels)
    if shape != wanted:
        raise ValueError(
            f"{source.name} holds images of shape {shape}, but the network draws {wanted}; "
            f"prepare the data set that it was trained on with --resolution {wanted[0]}"
        )
    if generator.c_dim and source.label_dim != generator.c_dim:
        raise ValueError(
            f"the network is told labels of length {generator.c_dim}, but those of {source.name} "
            f"are of length {source.label_dim}; prepare it with the labels of the training"
        )
    return source


def _sampler(generator: alias_free.Generator, source, batch_size: int) -> Sampler:
    mesh = distributed.data_mesh()
    graph, *arrays = states.split(generator)
    whole, batch = distributed.replicated(mesh), distributed.batch_sharding(mesh)
    arrays = tuple(distributed.replicate(jax.tree.map(np.asarray, arrays), mesh))

    def draw(arrays, z, labels):
        return states.merge(graph, *arrays)(z, labels, force_fp32=True)

    compiled = jax.jit(draw, in_shardings=(whole, batch, batch), out_shardings=batch)
    c_dim = generator.c_dim
    return Sampler(
        graph=graph,
        weights=arrays,
        draw=lambda z, labels: compiled(arrays, z, labels),
        batch_size=-(-batch_size // mesh.size) * mesh.size,
        z_dim=generator.z_dim,
        c_dim=c_dim,
        resolution=min(generator.plan.resolution),
        mesh=mesh,
        label_count=c_dim if source is None else len(source),
        label_vectors=lambda rows: (
            np.eye(c_dim, dtype=np.float32)[rows]
            if source is None
            else images.label_vectors(source, rows)
        ),
    )
