"""Compares motion models: how still keypoints and generated detail stay when pictures move.

python -m experiments.motion.compare runs/motion runs/motion_blur --output runs/motion_stability
python -m experiments.motion.compare --untrained 0 1 2 --output runs/motion_untrained
"""

import argparse
import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence

import jax
import ml_collections
import numpy as np
from flax import nnx

from aa_jax.data import flat_folder
from aa_jax.data.moving_photographs import MovingPhotographs
from aa_jax.training import state as states
from experiments.motion import (
    networks,
    reconstruction,
    stability,
    stability_detectors,
    stability_pan,
    stability_pictures,
    stability_report as report,
    stability_untrained,
    videos,
)
from experiments.motion.animation import Animator
from experiments.motion.configs import quickstart

# Far from the seeds of all films that are trained on or evaluated.
_SEED = 2**21
_FRAMES = 12  # of a film; its first frame is shown and moved, the one in its middle gives the pose
_TIMING_BATCH = 8

Picture = tuple[np.ndarray, np.ndarray]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    options = parse(arguments)
    try:
        print(run(options))
    except ValueError as error:
        raise SystemExit(f"compare: {error}") from error


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.motion.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN", help="folders of runs, or checkpoint files")
    add("--output", required=True, help="folder to write the report to")
    add("--images", help="folder of pictures to move (default: films drawn here)")
    add("--count", type=int, default=4, help="pictures to move (default: 4)")
    add("--untrained", type=int, nargs="+", default=(), metavar="SEED",
        help="seeds of untrained quickstart networks, plain and anti-aliased")  # fmt: skip
    add("--rounds", type=int, default=9, help="of timing, whose median counts (default: 9)")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> str:
    """Measures and writes the report; returns its text.

    Raises:
        ValueError: there is nothing to compare, a run can't be read, models take frames of
            different sizes, or a number makes no sense.
    """
    if not options.runs and not options.untrained:
        raise ValueError("name at least one run, or seeds with --untrained; got neither.")
    for name in ("count", "rounds"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(options, name)}.")
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    names = short_names(options.runs)
    models = {name: [networks.load(path)] for name, path in zip(names, options.runs, strict=True)}
    films = _test_films(next((m.config for m, *_ in models.values() if m.config), None))
    if options.untrained:
        for name, argument in stability_untrained.QUICKSTART.items():
            config = quickstart.get_config(argument)
            models[f"untrained, {name}"] = [
                stability_untrained.draw(config, s) for s in options.untrained
            ]
    sizes = {name: m[0].frame_size for name, m in models.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise ValueError(f"models must take frames of one size, got {listed}.")
    (size,) = set(sizes.values())
    pictures = fine_pictures(stability.REDUCTION * size, options.count, options.images)
    times = cpu_milliseconds({name: m[0] for name, m in models.items()}, rounds=options.rounds)
    rows = []
    for name, several in models.items():
        print(f"measuring {name}", flush=True)
        row = measure(name, several, pictures)
        if films is not None and name in names:
            found = reconstruction.evaluate(Animator(several[0]), films).means()
            row = dataclasses.replace(row, reconstruction=found)
        rows.append(dataclasses.replace(row, **times[name]))
    return report.write(output, rows, pictures=len(pictures), images=options.images)


def measure(
    name: str, models: Sequence[networks.TrainedMotion], pictures: Sequence[Picture]
) -> report.Row:
    """Measures how models of a kind follow pictures that move; what they do is pooled."""
    tracks: dict[str, list] = {}
    pans: dict[str, list] = {kind: [] for kind in ("driving", *stability_pan.KINDS)}
    strips = {}
    for model in models:
        size = model.frame_size
        detectors = {
            "frame": stability_detectors.FrameDetector(model.kp_detector, size),
            "field": stability_detectors.FieldDetector(model.kp_detector, size),
        }
        for place, detector in detectors.items():
            for kind, shifts in stability.SHIFTS.items():
                found = stability.keypoint_tracks(
                    detector, (fine for fine, _ in pictures), shifts, side=detector.side
                )
                tracks.setdefault(f"{place}, {kind}", []).append(found)
        panner = stability_pan.Panner(model, size)
        for fine, pose in pictures:
            for direction in stability_pan.DIRECTIONS:
                pan = panner.pan(fine, pose, direction)
                films = {"driving": pan.driving, **pan.made}
                strips = strips or stability_pictures.strips(films)
                for kind, frames in films.items():
                    pans[kind].append((frames, direction))
    sources = sorted({model.source for model in models})
    return report.Row(
        name,
        source="; ".join(sources),
        tracks={key: stability.joined(several) for key, several in tracks.items()},
        pans={kind: stability_pan.smoothness(several) for kind, several in pans.items()},
        strips=strips,
    )


def fine_pictures(side: int, count: int, folder: str | None = None) -> list[Picture]:
    """Pictures to move, each with another that shows a pose to animate it to.

    Args:
        side: of the pictures in pixels.
        count: at most so many.
        folder: of images, each of which takes the next for its pose; None: films like the
            quickstart's, with a seed of their own.

    Returns:
        Pairs of (side, side, 3), 0 to 255.
    """
    if folder is not None:
        squares = 255 * flat_folder.read_squares(folder, size=side, count=count)
        return list(zip(squares, np.roll(squares, -1, axis=0), strict=True))
    options = dict(size=side, render_size=side, seed=_SEED, cast=True, num_parts=(1, 1))
    films = MovingPhotographs(count, num_frames=_FRAMES, **options)
    return [tuple(films.frames(i, (0, _FRAMES // 2))) for i in range(count)]


def cpu_milliseconds(
    models: dict[str, networks.TrainedMotion], *, rounds: int
) -> dict[str, dict[str, float | int]]:
    """CPU time per frame of all threads, in batches of 8, the models by turns: medians.

    Returns:
        By model: `detector_ms`, `generator_ms`, and the parameters, `detector_parameters` and
        `generator_parameters`.
    """
    programs: dict[tuple[str, str], Callable] = {}
    found: dict[str, dict[str, float | int]] = {name: {} for name in models}
    for name, model in models.items():
        side = model.frame_size
        frames = np.random.default_rng(0).random((_TIMING_BATCH, side, side, 3), np.float32)
        points = model.kp_detector(frames[:1])
        points = jax.tree.map(lambda x: np.repeat(x, _TIMING_BATCH, 0), points)
        calls = {
            "detector": (model.kp_detector, (frames,)),
            "generator": (model.generator, (frames, points, points)),
        }
        for part, (network, arguments) in calls.items():
            programs[name, part] = _compiled(network, arguments)
            _, params, _ = states.split(network)
            found[name][f"{part}_parameters"] = states.count_parameters(params)
    times = {key: [] for key in programs}
    for _ in range(rounds):
        for key, program in programs.items():
            start = time.process_time()
            program()
            times[key].append(1000 * (time.process_time() - start) / _TIMING_BATCH)
    for (name, part), several in times.items():
        found[name][f"{part}_ms"] = statistics.median(several)
    return found


def _compiled(network: nnx.Module, arguments: tuple) -> Callable[[], None]:
    graph, state = nnx.split(network)
    call = jax.jit(lambda state, *arrays: nnx.merge(graph, state)(*arrays))
    jax.block_until_ready(call(state, *arguments))
    return lambda: jax.block_until_ready(call(state, *arguments))


def short_names(paths: Sequence[str]) -> list[str]:
    """Last parts of paths, or whole paths where these are not all different."""
    names = [pathlib.Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _test_films(config: ml_collections.ConfigDict | None):
    """The films that a run is evaluated on, without drawing those it was trained on."""
    if config is None:
        return None
    config = config.copy_and_resolve_references()
    config.data.train_videos = 1
    return videos.open_videos(config)[1]


if __name__ == "__main__":
    main()
