r"""Moves a picture like a film: first-order motion transfer.

    python scripts/animate.py --model runs/motion --source face.png --driving talk.mp4 \
        --output out.mp4
    python scripts/animate.py --model vox-cpk.pth.tar --source face.jpg --driving talk.mp4 \
        --fit crop --best-frame --side-by-side --output out.mp4
    python scripts/animate.py --model runs/motion/model.safetensors --source face.png \
        --driving wave.gif --mode absolute --output out.gif

A driving film is a file that ffmpeg or Pillow reads, or a folder of numbered pictures. Its sound is
not kept. In relative mode the picture moves as the film has moved since its initial frame, in which
the two should be in the same pose: the first frame, unless --initial or --best-frame says which. In
absolute mode it takes the place and shape of what the film shows. An output appears once it is
complete, or not at all.
"""

import argparse
import os
import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs from a checkout that is not installed


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(description=__doc__, **layout)
    add = parser.add_argument
    add("--model", required=True, metavar="PATH", help="a run's folder, its model.safetensors, or "
        "a published checkpoint (.pth.tar)")  # fmt: skip
    add("--source", required=True, metavar="IMAGE", help="the picture that is to move")
    add("--driving", required=True, metavar="FILM", help="what it is to move like")
    add("--output", required=True, metavar="FILE", help=".mp4 or .gif")
    add("--mode", choices=("relative", "absolute"), default="relative", help="(default: relative)")
    add("--scale", choices=("adapt", "none"), default="adapt", help="whether relative movements "
        "grow with the subject's size (default: adapt)")  # fmt: skip
    initial = parser.add_mutually_exclusive_group()
    initial.add_argument("--initial", type=int, default=0, metavar="N", help="number of the "
        "driving frame in the source's pose (default: 0, the first)")  # fmt: skip
    initial.add_argument("--best-frame", action="store_true", help="choose that frame: by the "
        "model's own keypoints, or by --landmarks")  # fmt: skip
    add("--landmarks", metavar="FILE", help=".npz with arrays source (L, 2) and driving (T, L, 2), "
        "for --best-frame")  # fmt: skip
    add("--fit", choices=("crop", "stretch"), help="make pictures of other sizes fit the model's "
        "frames: resize the central square, or all of it (default: refuse them)")  # fmt: skip
    add("--side-by-side", action="store_true", help="show source, driving frame and result")
    add("--fps", type=float, metavar="F", help="frames a second (default: the driving film's)")
    add("--batch-size", type=int, default=8, metavar="N", help="frames at a time (default: 8)")
    add("--max-frames", type=int, metavar="N", help="use the first N driving frames only")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Returns the exit code; errors a user can correct are one message, not a stack trace."""
    options = parse_arguments(arguments)
    # Leave in order, so that an unfinished file is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    # Before jax starts: the same network need not compile again.
    caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(caches / "aa_jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    try:
        print(_run(options))
    except (OSError, ValueError) as error:
        if os.environ.get("AA_JAX_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> str:
    from aa_jax.training import host_memory, writing

    output = writing.check_output(options.output, list(writing.FILMS))
    from experiments.motion import commands

    host_memory.keep_freed_memory()
    how = commands.Options(
        mode=options.mode,
        scale=options.scale,
        initial=commands.BEST if options.best_frame else options.initial,
        landmarks=options.landmarks,
        fit=options.fit,
        layout="side_by_side" if options.side_by_side else "alone",
        fps=options.fps,
        batch_size=options.batch_size,
        max_frames=options.max_frames,
    )
    return commands.animate(options.model, options.source, options.driving, output, how)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
