"""Evaluates trained classifiers.

    python scripts/evaluate.py consistency --workdir runs/quickstart/blur/seed_0
    python scripts/evaluate.py consistency --workdir runs/quickstart --config.eval.passes=1
    python scripts/evaluate.py report --workdir runs/quickstart

`consistency` prints accuracy and every consistency as JSON and keeps them in each run's folder;
`report` also draws the figures and writes <workdir>/report/report.md.
"""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs from a checkout that is not installed


def parse_arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Splits the command line into options and overrides of the config."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Fields of config.eval are set with --config.eval.<field>=<value>.",
    )
    parser.add_argument("command", choices=("consistency", "report"))
    parser.add_argument("--workdir", required=True, help="folder of a comparison or of one run")
    return parser.parse_known_args(arguments)


def main(arguments: list[str]) -> int:
    """Returns the exit code; errors a user can correct are one message, not a stack trace."""
    options, rest = parse_arguments(arguments)
    workdir = pathlib.Path(options.workdir)
    # Before jax starts: runs compiled during training need not compile again.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(workdir / "compilation_cache"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    from aa_jax.training import config as configs, host_memory
    from experiments.classification import evaluate, report

    host_memory.keep_freed_memory()
    try:
        overrides = evaluate.overrides_of_eval(configs.split_command_line(rest))
        if options.command == "report":
            print(report.write_report(workdir, overrides=overrides))
        else:
            print(evaluate.as_json(evaluate.evaluate_runs(workdir, overrides=overrides)))
    except ValueError as error:
        if os.environ.get("AA_JAX_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
