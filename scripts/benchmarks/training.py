"""A training iteration of the alias-free GAN, phase by phase: seconds per 1000 images.

An iteration is a generator phase with the weight average, a discriminator phase, and in every
16th an R1 phase; all of `experiments.alias_free_gan` except augmentation and blur. Phases take
turns with PyTorch's, if it can be imported; every turn trains on, so that no input comes twice.
Then our loop runs twice in turns, fed by the data loader and with one batch that stays on the
device. On a GPU let both frameworks find memory: XLA_PYTHON_CLIENT_PREALLOCATE=false.
"""

import dataclasses
import functools
import itertools
import json
import resource
import statistics
import time

import jax
import numpy as np

from aa_jax import data
from aa_jax.training import distributed
from experiments.alias_free_gan import program as programs
from experiments.alias_free_gan.configs import base, published as publications
from experiments.alias_free_gan.phases import _DISCRIMINATOR, _GENERATOR, _R1
from scripts.benchmarks import training_report
from scripts.benchmarks.timing import Timing, measure

# Our phases by the name of a row; the count of images belongs to the second.
PHASES = {"generator": ("generator",), "discriminator": ("discriminator", "finish"), "r1": ("r1",)}
_NUMBERS = {"generator": _GENERATOR, "discriminator": _DISCRIMINATOR, "r1": _R1}
# Relative, of losses and of gradients, whose summands at the kinks of activations differ.
TOLERANCE = {"float32": (1e-4, 1e-3), "bfloat16": (3e-2, 1e-1)}


def settings(name: str, *, resolution: int, batch: int, dtype: str, published: bool):
    """The config: "t" or "r", with the published channels, or few."""
    if dtype not in TOLERANCE:
        raise ValueError(f"dtype must be one of {', '.join(TOLERANCE)}, got {dtype!r}")
    if published:
        config = publications.get_config(f"setting=recommended-{resolution}-{name}")
    else:
        config = base.get_config()
        config.data.resolution = resolution
        config.generator.name = name
        wider = 2 if name == "r" else 1  # as published
        config.generator.channel_base, config.generator.channel_max = 2048 * wider, 64 * wider
        config.generator.z_dim = config.generator.w_dim = 64
        config.discriminator.channel_base = 2048
        config.discriminator.channel_max = 64
    config.batch_size, config.dtype = batch, dtype
    config.accumulation_steps = 1
    config.augment.kind = "none"
    config.loss.blur_initial = 0.0
    return config


class Pictures:
    """Noise in memory, as a source of images."""

    name, label_dim = "noise", 0

    def __init__(self, resolution: int, count: int = 1024):
        rng = np.random.default_rng(0)
        self._images = rng.integers(0, 256, (count, resolution, resolution, 3), np.uint8)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> dict:
        return {"image": self._images[index], "label": 0}

    def batch(self, indices) -> tuple[np.ndarray, np.ndarray]:
        """Copies images out: uint8 (B, resolution, resolution, 3), and zeros."""
        return self._images[indices], np.zeros(len(indices), np.int32)


class Ours:
    """The compiled program of a config and its state, which every phase donates."""

    def __init__(self, config):
        self.config, self.mesh = config, distributed.data_mesh()
        program = programs.build(config, 0, self.mesh)
        source = Pictures(config.data.resolution)
        self.batches = data.make_loader(source, batch_size=config.batch_size, seed=0, as_bytes=True)
        self.place = functools.partial(distributed.shard_batch, mesh=self.mesh)
        self.images = next(self.batches)
        self.batch = self.place(self.images)
        self.seconds, self.megabytes, compiled = {}, {}, {}
        for name in itertools.chain(*PHASES.values()):
            start = time.perf_counter()
            compiled[name] = program.compiled[name].lower(program.abstract, self.batch).compile()
            self.seconds[name] = time.perf_counter() - start
            self.megabytes[name] = compiled[name].memory_analysis().temp_size_in_bytes / 2**20
        self.program = dataclasses.replace(program, compiled=compiled)
        self.state = programs.initial_state(config, program, 0)

    def phase(self, name: str, state):
        """Runs the phases of a row. Returns the state and the metrics of the first."""
        metrics = {}
        for part in PHASES[name]:
            state, of_part = self.program.compiled[part](state, self.batch)
            metrics = of_part | metrics
        return state, metrics

    def run(self, name: str, number: int = 0) -> None:
        """Runs the phases of a row on the state, and waits."""
        del number
        self.state, _ = jax.block_until_ready(self.phase(name, self.state))

    def loop(self, *, fed: bool, count: int, first: int) -> tuple[float, float]:
        """Trains `count` iterations from number `first` on.

        Returns:
          Seconds in all, and of them those waiting for the loader.
        """
        iteration = programs.Iteration(self.program, first)
        waited, start = 0.0, time.perf_counter()
        for _ in range(count):
            before = time.perf_counter()
            batch = self.batch
            if fed:
                images = next(self.batches)
                waited += time.perf_counter() - before
                batch = self.place(images)
            self.state, _ = iteration(self.state, batch)
        jax.block_until_ready(self.state)
        return time.perf_counter() - start, waited


def run(
    name: str,
    *,
    resolution: int | None = None,
    batch: int | None = None,
    dtype: str | None = None,
    published: bool = False,
    rounds: int = 9,
    json_path=None,
) -> dict:
    """Measures, and prints two tables.

    Args:
      name: "t" or "r".
      resolution: side of the images; None: 64, or 256 with the published channels.
      batch: images in a batch; None: 8, or 32 with the published channels.
      dtype: None: float32, or bfloat16 with the published channels.
      published: the published channels; else few, see `settings`.
      rounds: turns of each rival, at least 2.
      json_path: also write what was measured to this file.

    Returns:
      What was measured.
    """
    config = settings(
        name,
        resolution=resolution or (256 if published else 64),
        batch=batch or (32 if published else 8),
        dtype=dtype or ("bfloat16" if published else "float32"),
        published=published,
    )
    title = f"alias-free GAN {name.upper()}, {config.data.resolution} px, batch {config.batch_size}"
    print(f"\n{title}, {config.dtype}, {jax.devices()[0].device_kind}: training", flush=True)
    ours = Ours(config)
    on_cpu = jax.default_backend() == "cpu"
    loop = _loop(ours, rounds, count=2 if on_cpu else 16, first=1 if on_cpu else 0)
    loop["peak_megabytes"] = _peak_megabytes()
    peers = _peers(ours)
    timings = {}
    for phase in PHASES:
        rivals = {"ours": functools.partial(ours.run, phase)}
        for variant, peer in peers.items():
            for threads in peer.thread_counts():
                label = f"torch {variant}, {threads} threads"
                rivals[label] = peer.runner(phase, ours.images["image"], threads)
        timings[phase] = measure(rivals, rounds=rounds)
    timings["iteration"] = _iteration(timings, config.loss.r1_interval)
    costs = {phase: _costs(PHASES.get(phase, ours.seconds), ours) for phase in timings}
    rows = training_report.rows(timings, costs)
    training_report.show(rows, loop, batch_size=config.batch_size)
    result = {"case": title, "rows": rows, "loop": loop}
    if json_path:
        json_path.write_text(json.dumps(result, indent=1))
    return result


def _loop(ours: Ours, rounds: int, **which) -> dict:
    """Our loop with and without the loader, in turns."""
    walls, shares = {True: [], False: []}, []
    for _ in range(rounds):
        for fed in walls:
            seconds, waited = ours.loop(fed=fed, **which)
            walls[fed].append(seconds / which["count"])
            if fed:
                shares.append(waited / seconds)
    pairs = [a / b for a, b in zip(walls[True], walls[False], strict=True)]
    return {
        "fed_s": statistics.median(walls[True]),
        "resident_s": statistics.median(walls[False]),
        "ratio": statistics.median(pairs),
        "waiting_share": statistics.median(shares),
    }


def _peak_megabytes() -> float:
    """Of the device if it tells, else of the process, before PyTorch does anything."""
    if peak := (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use"):
        return peak / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _peers(ours: Ours) -> dict:
    """PyTorch's rivals with our weights, by variant, once it is certain that they do the same."""
    try:
        from scripts.benchmarks import peers_torch_training as torch_training
    except ImportError:
        return {}
    device = torch_training.device_for(jax.default_backend())
    if device is None:
        return {}
    names = ("generator", "generator_stats", "discriminator")
    weights = {name: jax.tree.map(np.asarray, getattr(ours.state, name)) for name in names}
    peers = {
        variant: torch_training.Training(ours.config, weights, variant=variant, device=device)
        for variant in torch_training.VARIANTS
    }
    for phase in PHASES:
        # Phases donate their state.
        state = jax.tree.map(lambda x: x.copy(), ours.state)
        z = ours.program.phases._inputs(state, ours.batch, _NUMBERS[phase])["z"]
        _, expected = ours.phase(phase, state)
        for variant, peer in peers.items():
            actual = peer.checked(phase, np.asarray(z), ours.images["image"])
            _compare(f"torch {variant}, {phase} phase", actual, expected, ours.config.dtype)
            peer.load(weights)
    return peers


def _compare(who: str, actual: dict, expected: dict, dtype: str) -> None:
    """Raises AssertionError if losses, scores or the gradient's length differ."""
    for name, value in actual.items():
        tolerance = TOLERANCE[dtype][name.startswith(("grad", "r1"))]
        # Scores may be near zero.
        least = 0.1 if name.startswith("score") else 1e-8
        error = abs(value - float(expected[name])) / max(abs(value), least)
        if not error <= tolerance:
            raise AssertionError(
                f"{who}: {name} is {value:.6g}, ours {float(expected[name]):.6g}; expected them "
                f"to agree to {tolerance:g}"
            )


def _iteration(timings: dict, r1_interval: int) -> dict[str, Timing]:
    """What an iteration takes in every round, with its share of the lazy phase."""
    weights = {phase: 1 / r1_interval if phase == "r1" else 1.0 for phase in PHASES}

    def total(name: str, clock: str) -> list[float]:
        rounds = zip(*(getattr(timings[phase][name], clock) for phase in PHASES), strict=True)
        return [float(np.dot(list(weights.values()), times)) for times in rounds]

    return {name: Timing(total(name, "wall"), total(name, "cpu")) for name in timings["r1"]}


def _costs(parts, ours: Ours) -> dict[str, float]:
    return {
        "compile_s": sum(ours.seconds[part] for part in parts),
        "temporaries_mb": max(ours.megabytes[part] for part in parts),
    }
