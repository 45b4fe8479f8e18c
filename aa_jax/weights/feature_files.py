"""Where the published weights of feature networks are, and where they are looked for."""

import dataclasses
import os
import pathlib

FOLDER_VARIABLE = "AA_JAX_WEIGHTS"
"""Environment variable that names the folder of weight files."""

_FOLDER = "~/.cache/aa_jax/weights"
_SUFFIXES = (".pth", ".pt", ".safetensors")


@dataclasses.dataclass(frozen=True)
class FeatureFile:
    """A published file of weights.

    Attributes:
      stem: file name under which it is looked for, without suffix.
      address: where it is published.
      sha256: the beginning of its digest, where its published name has it; else empty.
    """

    stem: str
    address: str
    sha256: str = ""

    def __str__(self) -> str:
        """The file in words, for messages."""
        digest = f", SHA-256 {self.sha256}..." if self.sha256 else ""
        return f"{self.stem}.pth (from {self.address}{digest})"


FEATURE_FILES = {
    "inception": FeatureFile(
        "pt_inception-2015-12-05-6726825d",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
    ),
    "vgg16": FeatureFile(
        "vgg16-397923af", "https://download.pytorch.org/models/vgg16-397923af.pth", "397923af"
    ),
    "vgg19": FeatureFile(
        "vgg19-dcbb9e9d", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d"
    ),
    "lpips": FeatureFile(
        "lpips-v0.1-vgg",
        "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/"
        "v0.1/vgg.pth",
    ),
}
"""The files that the importers below read, by name."""


def feature_file(name: str, path: str | os.PathLike | None = None) -> pathlib.Path:
    """Finds a file of weights on this machine; never downloads.

    Args:
      name: "inception", "vgg16", "vgg19" or "lpips".
      path: the file, if it is known; None: it is looked for, as .pth, .pt or .safetensors, in the
        folder that the environment variable AA_JAX_WEIGHTS names, else in
        ~/.cache/aa_jax/weights.

    Returns:
      Its path.

    Raises:
      FileNotFoundError: there is no such file; the message says where to get it and where to put
        it.
      ValueError: `name` is unknown.
    """
    if name not in FEATURE_FILES:
        raise ValueError(f"name must be one of {', '.join(FEATURE_FILES)}, got {name!r}")
    wanted = FEATURE_FILES[name]
    folder = pathlib.Path(os.environ.get(FOLDER_VARIABLE) or _FOLDER).expanduser()
    places = [folder / f"{wanted.stem}{suffix}" for suffix in _SUFFIXES]
    if path is not None:
        places = [pathlib.Path(path).expanduser()]
    for place in places:
        if place.is_file():
            return place
    digest = f" (SHA-256 {wanted.sha256}...)" if wanted.sha256 else ""
    raise FileNotFoundError(
        f"there is no file {places[0]}. Nothing is downloaded at run time; fetch it{digest}: "
        f"mkdir -p '{places[0].parent}' && curl -L -o '{places[0]}' {wanted.address} "
        f"(or put it into another folder and name that in {FOLDER_VARIABLE})"
    )
