"""Folders of photographs, and reading between pixels."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from experiments.interpolation import images


def test_centre_crops_sorted_by_name(tmp_path):
    pixels = np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3)
    Image.fromarray(255 - pixels).save(tmp_path / "b.png")
    Image.fromarray(pixels).save(tmp_path / "a.PNG")
    (tmp_path / "notes.txt").write_text("no image")
    read = images.read_folder(tmp_path, crop_size=4)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(np.rint(read[0] * 255), pixels[3:7, 4:8])
    np.testing.assert_array_equal(np.rint(read[1] * 255), 255 - pixels[3:7, 4:8])
    assert len(images.read_folder(tmp_path, crop_size=4, count=1)) == 1


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        images.read_folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="without"):
        images.read_folder(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(ValueError, match="broken.png"):
        images.read_folder(tmp_path)
    (tmp_path / "broken.png").unlink()
    Image.new("RGB", (8, 300)).save(tmp_path / "narrow.png")
    with pytest.raises(ValueError, match="narrow.png.*256 x 256.*8 x 300"):
        images.read_folder(tmp_path)


def test_reading_between_pixels_is_scipys():
    generator = np.random.default_rng(0)
    image = generator.random((7, 9, 2))
    points = generator.random((50, 2)) * [11, 9] - 1.5
    expected = [
        ndimage.map_coordinates(image[..., c], points[:, ::-1].T, order=1, mode="nearest")
        for c in range(2)
    ]
    np.testing.assert_allclose(images.sample_bilinear(image, points), np.stack(expected, -1))
