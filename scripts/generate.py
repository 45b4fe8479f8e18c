"""Draws pictures and films with an alias-free generator.

    python scripts/generate.py images --network afhqv2.pkl --seeds 0-15 --output grid.png
    python scripts/generate.py images --network afhqv2.pkl --seeds 0-99 --trunc 0.7 \
        --output pictures/
    python scripts/generate.py walk --network afhqv2.pkl --seeds 0-7 --grid 2x1 --output walk.mp4
    python scripts/generate.py sweep --network afhqv2.pkl --seeds 3 --rotate 360 --output turn.mp4
    python scripts/generate.py sweep --network afhqv2.pkl --seeds 3,4 --translate 0.2,0 --frames 6 \
        --output strip.png
    python scripts/generate.py mix --network afhqv2.pkl --rows 0-3 --columns 10-15 --output mix.png

A network is a StyleGAN3 pickle, of which nothing is executed, or .safetensors of
scripts/convert_weights.py. An output appears once it is complete, or not at all.
"""

import argparse
import os
import pathlib
import re
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs from a checkout that is not installed


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(description=__doc__, **layout)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, what: str, output: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=f"Draws {what}.", **layout)
        add = added.add_argument
        add("--network", required=True, metavar="FILE", help=".pkl or .safetensors")
        add("--output", required=True, metavar="PATH", help=output)
        add("--class", dest="label", type=int, help="of all pictures; for conditional networks")
        add("--trunc", type=float, default=1.0, metavar="PSI", help="truncation (default: 1)")
        add("--trunc-cutoff", type=int, metavar="N", help="truncate the first N layers only")
        add("--batch-size", type=int, default=8, help="pictures at a time (default: 8)")
        return added

    def film(added: argparse.ArgumentParser, frames: str) -> None:
        added.add_argument("--frames", type=int, default=120, help=f"{frames} (default: 120)")
        added.add_argument("--fps", type=float, default=60, help="frames a second (default: 60)")

    seeds = {"required": True, "help": "numbers and ranges, such as 0,3,10-20"}

    images = command("images", "a picture of every seed", ".png, or a folder that ends in /")
    images.add_argument("--seeds", **seeds)
    images.add_argument("--columns", type=int, help="of the .png (default: as many as rows)")
    images.add_argument(
        "--translate", default="0,0", metavar="X,Y", help="right and down, in picture sides"
    )
    images.add_argument("--rotate", type=float, default=0.0, help="degrees, counter-clockwise")
    images.add_argument("--scale", type=float, default=1.0, help="magnification")

    walk = command("walk", "a film of a closed walk through latents", ".mp4 or .gif")
    walk.add_argument("--seeds", **seeds)
    walk.add_argument("--grid", default="1x1", metavar="WxH", help="cells, each with its own walk")
    film(walk, "from one seed to the next")

    sweep = command("sweep", "a film of moving pictures", ".mp4, .gif, or .png for a strip")
    sweep.add_argument("--seeds", **seeds)
    sweep.add_argument(
        "--translate", default="0,0", metavar="X,Y", help="end point, in picture sides"
    )
    sweep.add_argument("--rotate", type=float, default=0.0, help="degrees in all, such as 360")
    film(sweep, "in all")

    mix = command("mix", "a grid of mixed styles", ".png")
    mix.add_argument("--rows", **seeds)
    mix.add_argument("--columns", **seeds)
    mix.add_argument("--layers", default="0-6", help="taken from the columns (default: 0-6)")
    return parser.parse_args(_joined(arguments))


def _joined(arguments: list[str]) -> list[str]:
    """Joins an option and a value such as -0.1,0.2, which argparse takes for another option."""
    joined = []
    for argument in arguments:
        if joined and re.fullmatch(r"--[a-z]+", joined[-1]) and re.match(r"-[\d.]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def read(options: argparse.Namespace) -> tuple[pathlib.Path, list[list[int]], dict]:
    """The output, the seeds, and the command's own options; nothing slow is imported for it."""
    from aa_jax.training import writing
    from experiments.generate import arguments

    name = options.command
    if name == "mix":
        seeds = [arguments.parse_seeds(getattr(options, it), name=it) for it in ("rows", "columns")]
    else:
        seeds = [arguments.parse_seeds(options.seeds)]
    own = {}
    if name == "images":
        own |= {"columns": options.columns, "folder": writing.is_folder(options.output)}
    if name in ("images", "sweep"):
        own |= {"translate": arguments.parse_translation(options.translate)}
        own |= {"rotate": options.rotate}
    if name == "images":
        own |= {"scale": options.scale}
    if name == "walk":
        own |= {"grid": arguments.parse_grid(options.grid)}
    if name in ("walk", "sweep"):
        own |= {"frames": options.frames, "fps": options.fps}
    if name == "mix":
        own |= {"layers": arguments.parse_layers(options.layers)}
    suffixes = () if name in ("images", "mix") else tuple(writing.FILMS)
    suffixes += () if name == "walk" else (".png",)
    return writing.check_output(options.output, suffixes, folder=name == "images"), seeds, own


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
        output, seeds, own = read(options)
        from aa_jax.training import host_memory
        from experiments.generate import commands, pictures

        host_memory.keep_freed_memory()
        painter = pictures.load_painter(
            options.network,
            label=options.label,
            truncation_psi=options.trunc,
            truncation_cutoff=options.trunc_cutoff,
            batch_size=options.batch_size,
        )
        print(getattr(commands, options.command)(painter, output, *seeds, **own))
    except (OSError, ValueError) as error:
        if os.environ.get("AA_JAX_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
