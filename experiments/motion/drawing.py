"""Pictures of frames: keypoints marked in colours, and strips."""

import colorsys

import numpy as np

_ENLARGED = 128  # pixels: smaller frames are enlarged to about that, by whole factors
_GAP = 2


def draw_keypoints(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Marks keypoints (K, 2), -1 to 1, by small crosses in a frame uint8 (H, W, 3)."""
    marked = frame.copy()
    height, width = frame.shape[:2]
    reach = max(1, min(height, width) // 64)
    for number, (x, y) in enumerate(points):
        colour = np.rint(255 * np.array(colorsys.hsv_to_rgb(number / len(points), 1, 1)))
        column, row = round((x + 1) / 2 * (width - 1)), round((y + 1) / 2 * (height - 1))
        for offset in range(-reach, reach + 1):
            for r, c in ((row + offset, column), (row, column + offset)):
                if 0 <= r < height and 0 <= c < width:
                    marked[r, c] = colour
    return marked


def picture_strip(rows: list[np.ndarray]) -> np.ndarray:
    """Lays out rows of frames, each uint8 (N, H, W, 3), with white gaps."""
    factor = max(1, _ENLARGED // rows[0].shape[1])
    drawn = []
    for frames in rows:
        frames = frames.repeat(factor, 1).repeat(factor, 2)
        gaps = ((0, 0), (0, _GAP), (0, _GAP), (0, 0))
        framed = np.pad(frames, gaps, constant_values=255)
        drawn.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(drawn)


def to_bytes(frames: np.ndarray) -> np.ndarray:
    """Floats in [0, 1] as uint8; what lies outside is clipped."""
    return np.clip(np.rint(frames * 255), 0, 255).astype(np.uint8)
