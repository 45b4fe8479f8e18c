"""Animated GIF, frame by frame."""

import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import GifImagePlugin, Image

LARGEST_RATE = 50  # Viewers slow down what claims to be faster.

_REPEATS_FOR_EVER = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


def write_gif(path: pathlib.Path, frames: Iterable[np.ndarray], fps: float) -> int:
    """Writes frames as they come, each with the 256 colours that suit it best.

    Pillow's own writer keeps all frames until the last, and merges equal ones.

    Args:
        path: the file to write.
        frames: uint8 (H, W, C) with one or three channels, all of one shape.
        fps: frames a second; the file plays at `LARGEST_RATE` at most.

    Returns:
        How many frames there were.

    Raises:
        OSError: the file can't be written.
    """
    rate = min(fps, LARGEST_RATE)
    sent = 0
    with open(path, "wb") as file:
        for sent, frame in enumerate(frames, start=1):
            image = _with_palette(frame)
            if sent == 1:
                sides = b"".join(side.to_bytes(2, "little") for side in image.size)
                file.write(b"GIF89a" + sides + b"\x00\x00\x00" + _REPEATS_FOR_EVER)
            # In hundredths of a second, rounded such that errors don't add up.
            delay = round(100 * sent / rate) - round(100 * (sent - 1) / rate)
            data = GifImagePlugin.getdata(image, duration=10 * delay, include_color_table=True)
            file.writelines(data)
        file.write(b";")
    return sent


def _with_palette(frame: np.ndarray) -> Image.Image:
    if frame.shape[-1] == 1:
        return Image.fromarray(frame[..., 0]).convert("P")
    return Image.fromarray(frame).quantize(256)
