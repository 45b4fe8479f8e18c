"""Trains what a config describes; the same command again goes on where it stopped.

    python scripts/train.py                                  the comparison, with its report
    python scripts/train.py --config experiments/classification/configs/imagenet.py:recipe=blur \
        --workdir runs/blur --config.batch_size=512 --config.optimizer.learning_rate=0.2
"""

import argparse
import contextlib
import functools
import importlib
import os
import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs from a checkout that is not installed

QUICKSTART = ROOT / "experiments" / "classification" / "configs" / "quickstart.py"


def parse_arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Splits the command line into options and overrides of the config."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Any field of the config is set with --config.<field>=<value>.",
    )
    parser.add_argument("--config", default=str(QUICKSTART), help="config file, or file.py:arg")
    parser.add_argument("--workdir", help="folder of the run (default: runs/<name of the config>)")
    several = parser.add_argument_group(
        "several processes",
        "SLURM, Open MPI, Kubernetes and Cloud TPU tell each process who the others are, and "
        "--distributed is enough. Elsewhere the other options say it, and imply --distributed.",
    )
    several.add_argument("--distributed", action="store_true", help="join the job's processes")
    several.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0, a free port")
    several.add_argument("--num-processes", type=int, metavar="N", help="how many there are")
    several.add_argument("--process-id", type=int, metavar="I", help="which of them, from 0")
    several.add_argument(
        "--heartbeat-timeout",
        type=int,
        default=100,
        metavar="SECONDS",
        help="end this process when another has been silent for so long (default: %(default)s)",
    )
    return parser.parse_known_args(arguments)


def main(arguments: list[str]) -> int:
    """Returns the exit code; errors a user can correct are one message, not a stack trace."""
    options, overrides = parse_arguments(arguments)
    # Leave with code 0; while training is under way, the loop saves a checkpoint first.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    from aa_jax.training import config as configs

    try:
        config = configs.load(options.config)
        configs.override(config, configs.split_command_line(overrides))
        workdir = pathlib.Path(options.workdir or pathlib.Path("runs") / config.name)
        # Before jax starts: a restarted run need not compile again.
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(workdir / "compilation_cache"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        from aa_jax.training import distributed, host_memory

        experiment = importlib.import_module(f"experiments.{config.experiment}.main")
        host_memory.keep_freed_memory()
        members = (options.coordinator, options.num_processes, options.process_id)
        several = options.distributed or members != (None, None, None)
        join = functools.partial(distributed.joined, heartbeat_timeout=options.heartbeat_timeout)
        with join(*members) if several else contextlib.nullcontext():
            outcome = experiment.run(config, workdir)
            if distributed.is_main_process():
                print(outcome)
    except ValueError as error:
        if os.environ.get("AA_JAX_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
