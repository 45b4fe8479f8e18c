"""Draws images from scattered samples, at any scale, and fits Gaussians to images.

    python scripts/interpolate.py samples samples.csv --output image.png
    python scripts/interpolate.py samples samples.npz --size 512x768 --estimator plane \
        --width 1.2 --output image.png
    python scripts/interpolate.py resize photo.jpg --scale 0.5 --output half.png
    python scripts/interpolate.py fit photo.jpg --points 10000 --output fitted.png \
        --film fit.mp4 --mixture fitted.npz
    python scripts/interpolate.py render fitted.npz --scale 2 --output large.png

Samples are x and y in pixels and one or three values: lines of a .csv, or arrays `points` and
`values` of an .npz. An output appears once it is complete, or not at all.
"""

import argparse
import dataclasses
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that it also runs from a checkout that is not installed


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(description=__doc__, **layout)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, source: str, what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=f"Draws {what}.", **layout)
        added.add_argument("source", metavar=source)
        added.add_argument("--output", required=True, metavar="FILE", help=".png")
        return added

    samples = command("samples", "SAMPLES", "an image of scattered samples")
    samples.add_argument("--size", type=_size, metavar="HxW", help="default: what holds them all")
    samples.add_argument(
        "--width",
        type=float,
        metavar="PIXELS",
        help="of plane and mean; default: by the neighbours",
    )
    samples.add_argument(
        "--estimator",
        choices=("steered", "plane", "mean"),
        default="steered",
        help="Gaussians along edges and planes (default), round ones and planes, or their mean",
    )
    samples.add_argument(
        "--maximum", type=float, default=1.0, help="the value of white (default 1)"
    )

    resize = command("resize", "IMAGE", "an image at another size")
    resize.add_argument("--scale", type=float, required=True)
    resize.add_argument(
        "--width", type=float, default=0.4, metavar="PIXELS", help="of a pixel (default: 0.4)"
    )

    fit = command("fit", "IMAGE", "Gaussians fitted to an image")
    fit.add_argument("--points", type=int, default=10_000, help="Gaussians (default: 10000)")
    fit.add_argument("--steps", type=int, default=1000, help="of gradient descent (default: 1000)")
    fit.add_argument("--sum", action="store_true", help="pixels are sums, not expected values")
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--film", metavar="FILE", help=".mp4 or .gif of the fit as it converges")
    fit.add_argument("--fps", type=float, default=25, help="frames a second (default: 25)")
    fit.add_argument("--mixture", metavar="FILE", help=".npz to keep the Gaussians in")

    render = command("render", "MIXTURE", "fitted Gaussians at another size")
    render.add_argument("--scale", type=float, default=1.0)
    return parser.parse_args(arguments)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, such as 512x768, got {text!r}")
    return int(height), int(width)


def main(arguments: list[str] | None = None) -> None:
    """Runs one command."""
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        print(_run(options))
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


def _run(options: argparse.Namespace) -> str:
    from aa_jax.training import host_memory, writing
    from experiments.interpolation import commands
    from experiments.interpolation.fitting import FitOptions

    host_memory.keep_freed_memory()
    output = writing.check_output(options.output, [".png"])
    for name in ("scale", "width", "maximum"):
        value = getattr(options, name, None)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"--{name} must be a positive number, got {value}")
    if options.command == "samples":
        return commands.from_samples(
            options.source,
            output,
            size=options.size,
            estimator=options.estimator,
            width=options.width,
            maximum=options.maximum,
        )
    if options.command == "resize":
        return commands.resize(options.source, output, scale=options.scale, width=options.width)
    if options.command == "render":
        return commands.render(options.source, output, scale=options.scale)
    film = mixture = None
    if options.film:
        writing.check_rate(options.fps)
        film = writing.check_output(options.film, list(writing.FILMS))
    if options.mixture:
        mixture = writing.check_output(options.mixture, [".npz"])
    fit = dataclasses.replace(
        FitOptions(),
        points=options.points,
        steps=options.steps,
        normalize=not options.sum,
        seed=options.seed,
    )
    return commands.fit(
        options.source, output, options=fit, film=film, mixture=mixture, fps=options.fps
    )


if __name__ == "__main__":
    main()
