"""One picture of a source, made ready: decoded, cropped, resized, or refused with a reason."""

import dataclasses
import io
import os

import numpy as np
from PIL import Image, UnidentifiedImageError

from aa_jax.data.errors import DataError, UnreadableImageError
from aa_jax.data.folder import MAX_PIXELS, read_image

TRANSFORMS = ("center-crop", "center-crop-wide", "none")


class Rejected(Exception):
    """A picture that is left out; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """What every picture must become.

    Attributes:
        resolution: (height, width) in pixels; None keeps sizes, which must then all be equal.
        transform: "center-crop" cuts the largest centred part of the wanted proportions (without a
            resolution: a square). "center-crop-wide" does so too, and lays the result on the middle
            of a black square. "none" resizes all of the picture, whatever its proportions.
        channels: 1 (grey) or 3.
        min_size: pictures whose shorter side is smaller are rejected.
        max_pixels: larger pictures are rejected, by their header, before they are decoded.

    Raises:
        DataError: an attribute is out of range.
    """

    resolution: tuple[int, int] | None = None
    transform: str = "center-crop"
    channels: int = 3
    min_size: int = 1
    max_pixels: int = MAX_PIXELS

    def __post_init__(self):
        if self.transform not in TRANSFORMS:
            raise DataError(
                f"transform must be one of {', '.join(TRANSFORMS)}, got {self.transform!r}"
            )
        if self.channels not in (1, 3):
            raise DataError(f"channels must be 1 or 3, got {self.channels!r}")
        sizes = self.resolution
        if sizes is not None and (np.shape(sizes) != (2,) or min(sizes) < 1 or max(sizes) > 65535):
            raise DataError(
                f"resolution must be (height, width) from 1 to 65535 pixels, got {sizes!r}"
            )
        if sizes is None and self.transform == "center-crop-wide":
            raise DataError("resolution must be given for the transform center-crop-wide")
        for name in ("min_size", "max_pixels"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be at least 1, got {getattr(self, name)}")


def decode(file: str | os.PathLike | bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes a picture as `read_image` does.

    Args:
        file: its path, or what is in it.
        max_pixels: larger pictures are refused.

    Returns:
        uint8 (H, W, 3).

    Raises:
        Rejected: it cannot be decoded.
    """
    try:
        return read_image(
            io.BytesIO(file) if isinstance(file, bytes) else file, max_pixels=max_pixels
        )
    except UnreadableImageError as error:
        raise Rejected(_reason(error.__cause__)) from error
    except Exception as error:
        # Decoders meet hostile files here, on which they fail in ways that none of them documents.
        raise Rejected(_reason(error)) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        # Pillow's message has the address of the stream in memory, which differs every time.
        return "not a picture of any known format"
    return f"{type(error).__name__}: {error}"


def fit_picture(pixels: np.ndarray, fit: Fit) -> np.ndarray:
    """Crops and resizes a picture, with Pillow's antialiased Lanczos filter.

    Args:
        pixels: uint8 (H, W, 3).
        fit: what it must become.

    Returns:
        uint8 (height, width, channels).

    Raises:
        Rejected: it is too small.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < fit.min_size:
        raise Rejected(f"{width} x {height} pixels, smaller than min_size = {fit.min_size}")
    image = Image.fromarray(pixels)
    if fit.channels == 1:
        image = image.convert("L")
    if fit.transform != "none":
        image = image.crop(_centred(height, width, fit.resolution or (1, 1)))
    if fit.resolution is not None:
        image = image.resize(fit.resolution[::-1], Image.Resampling.LANCZOS)
    if fit.transform == "center-crop-wide":
        side = max(fit.resolution)
        square = Image.new(image.mode, (side, side))
        square.paste(image, tuple((side - size) // 2 for size in image.size))
        image = square
    return np.asarray(image).reshape(image.height, image.width, fit.channels)


def _centred(height: int, width: int, proportions: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, upper, right, lower) of the largest centred part that is so high to so wide."""
    high, wide = proportions
    crop_height = min(height, max(1, round(width * high / wide)))
    crop_width = min(width, max(1, round(height * wide / high)))
    left, upper = (width - crop_width) // 2, (height - crop_height) // 2
    return left, upper, left + crop_width, upper + crop_height


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns a PNG file of a uint8 (H, W, 1 or 3)."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    stream = io.BytesIO()
    # Photographs gain little from a longer search, which would take most of the time.
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()
