"""Evaluates classifiers, generators and motion models.

    python scripts/evaluate.py consistency --workdir runs/quickstart/blur/seed_0
    python scripts/evaluate.py consistency --workdir runs/quickstart --config.eval.passes=1
    python scripts/evaluate.py report --workdir runs/quickstart
    python scripts/evaluate.py equivariance --network stylegan3-r.pkl --output runs/r
    python scripts/evaluate.py equivariance --untrained R --resolution 64 --output runs/untrained
    python scripts/evaluate.py ablation --resolution 64 --output runs/ablation
    python scripts/evaluate.py audit --output runs/audit
    python scripts/evaluate.py quality --network stylegan3-r.pkl --data data/ffhqu-256 \
        --metrics fid50k_full,kid50k_full,pr50k3_full
    python scripts/evaluate.py quality --network runs/afhq/networks/generator_025000.safetensors \
        --metrics is50k,ppl2_wend --samples 5000 --output
    python scripts/evaluate.py motion runs/motion --output motion.json
    python scripts/evaluate.py motion vox-cpk.pth.tar --films test/ --features vgg19-dcbb9e9d.pth
    python scripts/evaluate.py motion --real-landmarks a.npz --generated-landmarks b.npz

`consistency` prints accuracy and every consistency of trained classifiers as JSON and keeps them in
each run's folder; `report` also draws the figures and writes <workdir>/report/report.md.
`equivariance` measures EQ-T and EQ-R of a generator, where along its layers they are lost, and its
pictures' spectrum; `ablation` the same of untrained generators with parts of the cure taken away;
`audit` compares a plain and a blur-pool ResNet layer by layer. `quality` measures a generator's
pictures: FID, KID, precision and recall against prepared real ones, Inception score and path
length; the feature networks' weights must have been fetched, an error says from where. `motion`
makes films again from their first frames and prints L1 and keypoint errors, AED where VGG-19's
weights are given, and AKD and missing rate of landmarks that another detector has found.
"""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs from a checkout that is not installed


def parse_arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Splits the command line into options and overrides of a classifier's config."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in ("consistency", "report"):
        command = commands.add_parser(
            name,
            allow_abbrev=False,
            epilog="Fields of config.eval are set with --config.eval.<field>=<value>.",
        )
        command.add_argument("--workdir", required=True, help="folder of a comparison or of a run")
    _add_equivariance(commands)
    _add_quality(commands)
    _add_motion(commands)
    audit = commands.add_parser("audit", allow_abbrev=False)
    audit.add_argument("--output", required=True, help="folder to write to")
    audit.add_argument("--crop-size", type=int, default=224, help="pixels seen (default: 224)")
    audit.add_argument("--samples", type=int, default=12, help="views (default: 12)")
    audit.add_argument("--seed", type=int, default=0, help="of weights and views (default: 0)")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in ("consistency", "report"):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    return options, rest


def _add_equivariance(commands) -> None:
    for name in ("equivariance", "ablation"):
        command = commands.add_parser(name, allow_abbrev=False)
        command.add_argument("--output", required=True, help="folder to write to")
        command.add_argument(
            "--samples", type=int, default=1000, help="pictures (default: 1000; published: 50000)"
        )
        command.add_argument(
            "--metrics",
            default="eqt_int,eqt_frac,eqr",
            help="some of eqt_int,eqt_frac,eqr (default: all)",
        )
        command.add_argument(
            "--layer-samples",
            type=int,
            default=16,
            help="pictures of the curve over layers; 0: none",
        )
        command.add_argument("--seed", type=int, default=0, help="of latents and motions")
        if name == "ablation":
            command.add_argument("--resolution", type=int, nargs="+", default=[64])
            continue
        source = command.add_mutually_exclusive_group(required=True)
        source.add_argument("--network", help="a StyleGAN3 .pkl, or .safetensors written here")
        source.add_argument("--untrained", choices=("T", "R"), help="initial weights instead")
        command.add_argument("--resolution", type=int, default=64, help="of --untrained")
        command.add_argument(
            "--spectrum-samples", type=int, default=64, help="pictures of the spectrum; 0: none"
        )
        command.add_argument(
            "--data", help="folder of real pictures for the spectrum (default: photographs)"
        )


def _add_quality(commands) -> None:
    command = commands.add_parser("quality", allow_abbrev=False)
    add = command.add_argument
    add("--network", required=True, help="a StyleGAN3 .pkl, or .safetensors written here")
    add("--data", help="real pictures, prepared by scripts/prepare_data.py; is50k and ppl2_wend "
        "need none")  # fmt: skip
    add("--metrics", default="fid50k_full", help="published names, between commas: fid50k_full, "
        "kid50k_full, pr50k3_full, is50k, ppl2_wend, fid50k, kid50k, pr50k3, eqt_int, eqt_frac, "
        "eqr (default: fid50k_full)")  # fmt: skip
    add("--samples", type=int, default=50_000, help="generated pictures (default: 50000, as "
        "published; fewer change a metric's name: fid5k_full)")  # fmt: skip
    add("--dialect", default="tensorflow", help="of resizing: clean, pytorch or tensorflow "
        "(default: tensorflow, as published)")  # fmt: skip
    add("--seed", type=int, default=0, help="of latents, labels and subsets (default: 0)")
    add("--weights", default="", help="folder of the feature networks (default: $AA_JAX_WEIGHTS, "
        "else ~/.cache/aa_jax/weights)")  # fmt: skip
    add("--batch-size", type=int, default=16, help="pictures at a time (default: 16)")
    add("--output", nargs="?", const="", help="append to metric-<name>.jsonl in this folder, or "
        "without a folder beside the network")  # fmt: skip


def _add_motion(commands) -> None:
    command = commands.add_parser("motion", allow_abbrev=False)
    add = command.add_argument
    add("model", nargs="?", metavar="RUN", help="a run's folder, its model.safetensors, or a "
        "published checkpoint")  # fmt: skip
    add("--films", metavar="FOLDER", help="of films (default: those a run keeps for evaluation)")
    add("--features", metavar="FILE", help="VGG-19's weights, torchvision's, for AED")
    for which in ("real", "generated"):
        add(f"--{which}-landmarks", metavar="FILE", help=".npz with landmarks (N, L, 2) in pixels "
            "and, where some are missing, found (N, L)")  # fmt: skip
    add("--batch-size", type=int, default=16, help="frames at a time (default: 16)")
    add("--output", metavar="FILE", help=".json to keep the numbers in")


def main(arguments: list[str]) -> int:
    """Returns the exit code; errors a user can correct are one message, not a stack trace."""
    options, rest = parse_arguments(arguments)
    if options.command in ("quality", "motion"):
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "aa_jax"
    else:
        folder = pathlib.Path(options.workdir if "workdir" in options else options.output)
        cache = folder / "compilation_cache"
    # Before jax starts: what training or an earlier evaluation compiled need not compile again.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    from aa_jax.training import host_memory

    host_memory.keep_freed_memory()
    try:
        if options.command in ("quality", "motion"):
            print(_quality(options) if options.command == "quality" else _motion(options))
        else:
            print(_classifiers(options, rest) if "workdir" in options else _equivariance(options))
    except (OSError, ValueError) as error:
        if os.environ.get("AA_JAX_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _classifiers(options: argparse.Namespace, rest: list[str]) -> str:
    from aa_jax.training import config as configs
    from experiments.classification import evaluate, report

    overrides = evaluate.overrides_of_eval(configs.split_command_line(rest))
    if options.command == "report":
        return report.write_report(pathlib.Path(options.workdir), overrides=overrides)
    runs = evaluate.evaluate_runs(pathlib.Path(options.workdir), overrides=overrides)
    return evaluate.as_json(runs)


def _equivariance(options: argparse.Namespace) -> str:
    from aa_jax import weights
    from experiments.equivariance import main as study, networks, report

    folder = report.prepare(options.output)
    if options.command == "audit":
        return study.audit_classifiers(
            folder, crop_size=options.crop_size, count=options.samples, seed=options.seed
        )
    amounts = study.Options(
        metrics=tuple(options.metrics.split(",")),
        samples=options.samples,
        layer_samples=options.layer_samples,
        spectrum_samples=getattr(options, "spectrum_samples", 0),
        data=getattr(options, "data", None),
        seed=options.seed,
    )
    if options.command == "ablation":
        return study.ablation(options.resolution, folder, amounts)
    if options.network:
        generator, name = (
            weights.load_generator(options.network),
            pathlib.Path(options.network).name,
        )
    else:
        generator = networks.untrained(options.untrained, options.resolution)
        name = f"{options.untrained}, {options.resolution} px, untrained"
    return study.measure_generator(generator, name, folder, amounts)


def _quality(options: argparse.Namespace) -> str:
    from experiments.alias_free_gan import measuring, network_quality

    amounts = measuring.Amounts(
        samples=options.samples,
        dialect=options.dialect,
        seed=options.seed,
        equivariance_samples=options.samples,
    )
    results = network_quality.measure_network(
        options.network,
        options.metrics.split(","),
        amounts,
        data=options.data,
        weights_folder=options.weights,
        batch_size=options.batch_size,
    )
    if options.output is not None:
        network = pathlib.Path(options.network)
        folder = pathlib.Path(options.output) if options.output else network.parent
        network_quality.append(folder, network.name, results, amounts, options.data)
    return network_quality.in_lines(results, amounts)


def _motion(options: argparse.Namespace) -> str:
    from experiments.motion import evaluate

    return evaluate.run(
        options.model,
        films=options.films,
        features=options.features,
        landmarks=(options.real_landmarks, options.generated_landmarks),
        batch_size=options.batch_size,
        output=options.output,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
