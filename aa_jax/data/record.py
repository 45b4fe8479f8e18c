"""One picture and its label as bytes: what the records of a prepared array_record file hold.

    magic "AAJ1" | encoding u8 (0 raw pixels, 1 PNG) | label kind u8 (0 none, 1 class, 2 vector)
    | channels u16 | height u16 | width u16 | label length u32 | label | pixels

Numbers are little-endian; a class is one int32, a vector float32. ArrayRecord keeps a hash of every
record, and reading one that was damaged fails.
"""

import io
import struct

import numpy as np
from PIL import Image

_HEADER = struct.Struct("<4sBBHHHI")
_MAGIC = b"AAJ1"
ENCODINGS = ("raw", "png")
_KINDS = (("none", None), ("class", np.dtype("<i4")), ("vector", np.dtype("<f4")))


def pack_record(shape: tuple[int, int, int], pixels: bytes, encoding: str, label) -> bytes:
    """Makes a record.

    Args:
        shape: (height, width, channels) of the picture.
        pixels: its bytes, or those of a PNG file.
        encoding: which of both, "raw" or "png".
        label: an integer, a sequence of floats, or None.

    Returns:
        The bytes of the record.
    """
    kind = 0 if label is None else 1 if isinstance(label, int) else 2
    values = np.empty(0, np.uint8) if label is None else np.asarray(label, _KINDS[kind][1])
    height, width, channels = shape
    header = _HEADER.pack(
        _MAGIC, ENCODINGS.index(encoding), kind, channels, height, width, values.size
    )
    return header + values.tobytes() + pixels


def unpack_record(record: bytes) -> tuple[np.ndarray, int | np.ndarray]:
    """Reads a record.

    Args:
        record: what `pack_record` made.

    Returns:
        uint8 (H, W, C), and an int (0 if there is no label) or float32 (D,).

    Raises:
        ValueError, OSError, SyntaxError, struct.error: it is malformed.
    """
    magic, encoding, kind, channels, height, width, length = _HEADER.unpack_from(record)
    if magic != _MAGIC or encoding >= len(ENCODINGS) or kind >= len(_KINDS):
        raise ValueError("the record was not written by aa_jax's preparation")
    dtype = _KINDS[kind][1]
    label, end = 0, _HEADER.size
    if dtype is not None:
        label = np.frombuffer(record, dtype, length, end)
        end += label.nbytes
        label = int(label[0]) if kind == 1 else label.astype(np.float32)
    shape = (height, width, channels)
    if ENCODINGS[encoding] == "png":
        with Image.open(io.BytesIO(record[end:]), formats=["PNG"]) as image:
            pixels = np.array(image)
    else:
        pixels = np.frombuffer(record, np.uint8, offset=end).copy()
    if pixels.dtype != np.uint8 or pixels.size != height * width * channels:
        raise ValueError(f"the record announces {shape}, but holds {pixels.shape}")
    return pixels.reshape(shape), label
