"""Prepares a data set: pictures of one size and their labels, for training and metrics.

    python scripts/prepare_data.py photos/ ready/ --resolution 256
    python scripts/prepare_data.py faces.zip ready/ --resolution 256 --format folder
    python scripts/prepare_data.py tfds:cifar10 ready/ --resolution 32 --encoding raw
    python scripts/prepare_data.py animals/ ready/ --resolution 128 --labels folders --min-size 128
    python scripts/prepare_data.py walk.mp4 ready/ --resolution 180x320 --every 10

Pictures that cannot be used are left out, listed in ready/rejected.jsonl and counted. A run that
was interrupted goes on when it is started again with the same arguments.
"""

import argparse
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs from a checkout that is not installed


def parse_resolution(text: str) -> tuple[int, int]:
    """Reads 256 or 180x320 as (height, width)."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected N or HEIGHTxWIDTH, got {text!r}")
    return int(found[1]), int(found[2] or found[1])


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("source", help="a folder, a .zip, a film, or tfds:name")
    add("destination", help="folder of the data set; new, or one to go on with")
    add("--resolution", type=parse_resolution, metavar="N|HxW", help="(default: as they are)")
    add(
        "--transform",
        default="center-crop",
        help="center-crop, center-crop-wide (on a black square) or none (default: center-crop)",
    )
    add("--channels", type=int, default=3, help="1 or 3 (default: 3)")
    add("--format", default="array_record", help="array_record or folder (default: array_record)")
    add("--encoding", default="png", help="of records, png or raw (default: png)")
    add("--shard-size", type=int, default=4096, metavar="N", help="pictures (default: 4096)")
    add(
        "--labels",
        default="auto",
        help="auto (dataset.json in the source, or of TFDS), none, folders, or a .json or .csv",
    )
    add("--split", default="train", help="of a TFDS data set (default: train)")
    add("--data-dir", help="of TFDS data sets")
    add("--every", type=int, default=1, metavar="N", help="of a film, every N-th frame")
    add("--max-images", type=int, metavar="N", help="take the first N pictures of the source")
    add("--min-size", type=int, default=1, metavar="N", help="reject what has a shorter side")
    add("--max-pixels", type=int, metavar="N", help="reject larger pictures (default: 89 million)")
    add("--threads", type=int, metavar="N", help="(default: one for each processor)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Returns the exit code; errors a user can correct are one message, not a stack trace."""
    options = parse_arguments(arguments)
    from aa_jax.data.preparation import Fit, Output, prepare

    limit = {} if options.max_pixels is None else {"max_pixels": options.max_pixels}
    try:
        report = prepare(
            options.source,
            options.destination,
            fit=Fit(
                resolution=options.resolution,
                transform=options.transform,
                channels=options.channels,
                min_size=options.min_size,
                **limit,
            ),
            output=Output(
                format=options.format, encoding=options.encoding, shard_size=options.shard_size
            ),
            labels=options.labels,
            split=options.split,
            data_dir=options.data_dir,
            every=options.every,
            max_images=options.max_images,
            num_threads=options.threads,
            show_progress=True,
        )
    except (OSError, ValueError) as error:
        if os.environ.get("AA_JAX_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
