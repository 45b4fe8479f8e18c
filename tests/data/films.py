"""Small films for tests, coded without loss."""

import subprocess

import imageio_ffmpeg
import numpy as np


def frame(seed, height=10, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_film(path, frames, rate="5"):
    """A film of uint8 frames (H, W, 3) in the container that the name says."""
    height, width = frames[0].shape[:2]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo"]
    command += ["-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "-"]
    command += ["-c:v", "ffv1", "-pix_fmt", "bgr0", f"file:{path}"]
    content = b"".join(frame.tobytes() for frame in frames)
    subprocess.run(command, input=content, check=True, timeout=60)
