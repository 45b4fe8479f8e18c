"""Measures this library against its peers, on this machine, in one process.

    python scripts/benchmark.py resample blur_pool adaptive resnet50
    python scripts/benchmark.py filtered_activation --config r --resolution 256 --output results
    python scripts/benchmark.py generator --config t
    python scripts/benchmark.py training --config r --rounds 3
    JAX_PLATFORMS=cuda python scripts/benchmark.py training --resolution 256 --batch 32 --published
    python scripts/benchmark.py splat --output results
    python scripts/benchmark.py downsample --output results

Rivals take turns: each runs on changing inputs, 50 ms to settle and 50 ms measured, at least once.
Printed are medians over the rounds, the ratio to ours (median and quartile spread of the rounds'
own ratios, so that a slow spell of the machine hits both sides), compilation time and memory for
temporaries. PyTorch is measured where it can be imported; the library does not need it. The subject
splat runs in a process of its own with one BLAS thread, and compares CPU time with SciPy's; the
subject downsample in one on one core, and compares CPU time with PyTorch's and OpenCV's.
"""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

SUBJECTS = (
    *("resample", "blur_pool", "adaptive", "resnet50"),
    *("filtered_activation", "generator", "training", "splat", "downsample"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("subjects", nargs="*", default=list(SUBJECTS), metavar="SUBJECT")
    parser.add_argument("--rounds", type=int, help="measured rounds (default 9; downsample: 50)")
    parser.add_argument("--json", type=pathlib.Path, help="also write the rows to this file")
    parser.add_argument("--no-xla", action="store_true", help="leave out XLA's grouped convolution")
    parser.add_argument(
        "--default-allocator",
        action="store_true",
        help="leave the C library's malloc as it is: every large temporary is then paged in anew",
    )
    layers = parser.add_argument_group(
        "filtered_activation, generator, training: the alias-free GAN"
    )
    layers.add_argument("--config", choices=("t", "r"), default="t")
    layers.add_argument("--resolution", type=int, help="default: 256; training: 64")
    layers.add_argument("--channel-divisor", type=int, help="default: 8 on CPU, else 1")
    layers.add_argument("--batch", type=int, help="default: 1 on CPU, else 8; training: 8")
    layers.add_argument("--dtype", help="default: float32 on CPU, else bfloat16")
    layers.add_argument(
        "--published",
        action="store_true",
        help="training: published channels, 256 px, batch 32, bfloat16 if nothing else is said",
    )
    layers.add_argument("--output", type=pathlib.Path, help="folder for table, rows and plot")
    arguments = parser.parse_args()
    given_rounds, arguments.rounds = arguments.rounds, arguments.rounds or 9
    if arguments.rounds < 2:
        parser.error(f"--rounds must be at least 2, to tell a spread, got {arguments.rounds}")
    unknown = set(arguments.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"SUBJECT must be one of {', '.join(SUBJECTS)}, got {', '.join(unknown)}")
    from aa_jax.training import host_memory
    from scripts.benchmarks import report

    # For all rivals alike: otherwise page faults are most of what is measured.
    if not arguments.default_allocator:
        host_memory.keep_freed_memory()
    print(report.machine())
    own = ("filtered_activation", "generator", "training", "splat", "downsample")
    if "downsample" in arguments.subjects:
        from scripts.benchmarks import downsample

        downsample.run(
            rounds=given_rounds or downsample.ROUNDS,
            output=arguments.output,
            keep_freed_memory=not arguments.default_allocator,
        )
    if "splat" in arguments.subjects:  # first: later this process may hold a GPU's memory
        from scripts.benchmarks import splat

        splat.run(
            rounds=arguments.rounds,
            output=arguments.output,
            keep_freed_memory=not arguments.default_allocator,
        )
    others = [subject for subject in arguments.subjects if subject not in own]
    if others:
        report.run(
            others,
            rounds=arguments.rounds,
            with_xla=not arguments.no_xla,
            json_path=arguments.json,
        )
    if "filtered_activation" in arguments.subjects:
        _filtered_activation(arguments)
    if "generator" in arguments.subjects:
        from scripts.benchmarks import generator

        generator.run(arguments.config, arguments.resolution or 256, rounds=arguments.rounds)
    if "training" in arguments.subjects:
        _training(arguments)


def _filtered_activation(arguments) -> None:
    from scripts.benchmarks import filtered_report, report

    paths, resolution = {}, arguments.resolution or 256
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        stem = f"filtered_activation_{arguments.config}{resolution}"
        for kind, suffix in (("json", ".json"), ("markdown", ".md"), ("plot", ".png")):
            paths[f"{kind}_path"] = arguments.output / (stem + suffix)
    filtered_report.run(
        arguments.config,
        resolution,
        machine=report.machine(),
        rounds=arguments.rounds,
        channel_divisor=arguments.channel_divisor,
        batch=arguments.batch,
        dtype=arguments.dtype,
        with_xla=not arguments.no_xla,
        **paths,
    )


def _training(arguments) -> None:
    from scripts.benchmarks import training

    path = None
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"training_{arguments.config}.json"
    training.run(
        arguments.config,
        resolution=arguments.resolution,
        batch=arguments.batch,
        dtype=arguments.dtype,
        published=arguments.published,
        rounds=arguments.rounds,
        json_path=path,
    )


if __name__ == "__main__":
    main()
