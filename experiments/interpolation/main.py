"""The four studies.

python -m experiments.interpolation.main reconstruction --images FOLDER --output FOLDER
python -m experiments.interpolation.main irregular --output FOLDER
python -m experiments.interpolation.main positions --output FOLDER
python -m experiments.interpolation.main budget --output FOLDER
"""

import argparse

from experiments.interpolation import budget, irregular, positions, reconstruction

STUDIES = {
    "reconstruction": reconstruction,
    "irregular": irregular,
    "positions": positions,
    "budget": budget,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs one study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    studies = parser.add_subparsers(dest="study", required=True)
    for name, module in STUDIES.items():
        module.add_arguments(studies.add_parser(name, description=module.__doc__))
    options = parser.parse_args(arguments)
    STUDIES[options.study].run(options)


if __name__ == "__main__":
    main()
