"""Measures this library against its peers, on this machine, in one process.

    python scripts/benchmark.py resample blur_pool adaptive resnet50

Rivals run in turn, each round on another input; printed are medians over the rounds, the ratio
to ours (median and quartile spread of the rounds' own ratios, so that a slow spell of the machine
hits both sides), compilation time and memory for temporaries. PyTorch is measured where it can be
imported; the library does not need it.
"""

import argparse
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

SUBJECTS = ("resample", "blur_pool", "adaptive", "resnet50")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("subjects", nargs="*", default=list(SUBJECTS), metavar="SUBJECT")
    parser.add_argument("--rounds", type=int, default=9, help="measured rounds (default 9)")
    parser.add_argument("--json", type=pathlib.Path, help="also write the rows to this file")
    parser.add_argument("--no-xla", action="store_true", help="leave out XLA's grouped convolution")
    parser.add_argument(
        "--default-allocator",
        action="store_true",
        help="leave the C library's malloc as it is: every large temporary is then paged in anew",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"SUBJECT must be one of {', '.join(SUBJECTS)}, got {', '.join(unknown)}")
    from aa_jax.training import host_memory
    from scripts.benchmarks import report

    # For all rivals alike: otherwise page faults are most of what is measured.
    if not arguments.default_allocator:
        host_memory.keep_freed_memory()
    report.run(
        arguments.subjects,
        rounds=arguments.rounds,
        with_xla=not arguments.no_xla,
        json_path=arguments.json,
    )


if __name__ == "__main__":
    main()
