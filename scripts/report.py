"""Writes the report of a training run, or of several side by side, as one HTML file.

    python scripts/report.py runs/mine
    python scripts/report.py runs/t runs/r --output comparison.html

A run folder holds metrics.jsonl or config.json, and perhaps versions.json, equivariance.json and
pictures/. The report needs no other file: pictures are inside, unless they are large.
"""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs from a checkout that is not installed


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="(default: RUN/report.html; of several runs report.html here)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Returns the exit code; errors a user can correct are one message, not a stack trace."""
    options = parse_arguments(arguments)
    from aa_jax.training.report import write_report

    folder = pathlib.Path(options.runs[0] if len(options.runs) == 1 else ".")
    try:
        print(write_report(options.runs, options.output or folder / "report.html"))
    except (OSError, ValueError) as error:
        if os.environ.get("AA_JAX_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
