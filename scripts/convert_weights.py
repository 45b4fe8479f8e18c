"""Converts a checkpoint of another project to safetensors with this package's names.

    python scripts/convert_weights.py resnet50.pth resnet50.safetensors --model resnet50
    python scripts/convert_weights.py checkpoint.pth.tar adaptive.safetensors --model resnet50 \
        --antialias adaptive --filter-size 3 --groups 8
    python scripts/convert_weights.py stylegan3-t-ffhq-1024x1024.pkl stylegan3-t.safetensors

PyTorch isn't needed. Nothing in the checkpoint is executed; one that asks for it is refused. Every
entry is checked against the model, and all that are missing, surplus or misshapen are listed at
once. A StyleGAN3 pickle says itself what network it holds, so it needs no --model.
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
    parser.add_argument(
        "source", help="a .pth, .pt or .safetensors file with PyTorch's names, or StyleGAN3's .pkl"
    )
    parser.add_argument("target", help="the .safetensors file to write")
    parser.add_argument(
        "--model", help="name of the network, such as resnet50; alias_free for a StyleGAN3 pickle"
    )
    parser.add_argument(
        "--network",
        default="G_ema",
        help="which generator of a pickle, G_ema or G (default: G_ema)",
    )
    parser.add_argument("--antialias", default="none", help="none, blur, adaptive, aps or lps")
    parser.add_argument("--filter-size", type=int, help="of the anti-aliasing filters")
    parser.add_argument("--groups", type=int, help="filter groups of adaptive layers")
    parser.add_argument("--num-classes", type=int, default=1000, help="(default: 1000)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Returns the exit code; errors a user can correct are one message, not a stack trace."""
    options = parse_arguments(arguments)
    from flax import nnx

    from aa_jax import models
    from aa_jax.weights import convert, convert_network_pickle, read_checkpoint_with_report

    try:
        if options.model in (None, "alias_free"):
            print(convert_network_pickle(options.source, options.target, network=options.network))
            return 0
        checkpoint = read_checkpoint_with_report(options.source)
        model = models.create(
            options.model,
            num_classes=options.num_classes,
            antialias=options.antialias,
            filter_size=options.filter_size,
            groups=options.groups,
            rngs=nnx.Rngs(0),
        )
        print(convert(checkpoint, options.target, model=model))
    except (OSError, ValueError) as error:
        if os.environ.get("AA_JAX_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        if options.model is None:
            print("A StyleGAN3 pickle was expected; name the --model of others.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
