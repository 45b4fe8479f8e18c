"""Folders of photographs without classes: crops as they are, squares of any image."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from aa_jax.data import flat_folder


def test_centre_crops_sorted_by_name(tmp_path):
    pixels = np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3)
    Image.fromarray(255 - pixels).save(tmp_path / "b.png")
    Image.fromarray(pixels).save(tmp_path / "a.PNG")
    (tmp_path / "notes.txt").write_text("no image")
    read = flat_folder.read_crops(tmp_path, crop_size=4)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(np.rint(read[0] * 255), pixels[3:7, 4:8])
    np.testing.assert_array_equal(np.rint(read[1] * 255), 255 - pixels[3:7, 4:8])
    assert len(flat_folder.read_crops(tmp_path, crop_size=4, count=1)) == 1


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        flat_folder.read_crops(tmp_path / "missing")
    with pytest.raises(ValueError, match="without"):
        flat_folder.read_crops(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for read in (flat_folder.read_crops, flat_folder.read_squares):
        with pytest.raises(ValueError, match="broken.png"):
            read(tmp_path)
    (tmp_path / "broken.png").unlink()
    Image.new("RGB", (8, 300)).save(tmp_path / "narrow.png")
    with pytest.raises(ValueError, match="narrow.png.*256 x 256.*8 x 300"):
        flat_folder.read_crops(tmp_path)


@pytest.mark.parametrize("options", [{"count": 0}, {"size": 0}])
def test_numbers_make_sense(tmp_path, options):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="|".join(options)):
        flat_folder.read_squares(tmp_path, **options)


def test_squares_of_any_image(tmp_path):
    """A disc in the middle stays there, in proportion, whatever the sides were."""
    for name, height, width in (("a", 90, 60), ("b", 40, 70), ("c", 32, 32)):
        rows, columns = np.mgrid[:height, :width] + 0.5
        side = min(height, width)
        inside = np.hypot(rows - height / 2, columns - width / 2) < side / 4
        pixels = np.repeat(inside[..., None] * np.uint8(255), 3, -1)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    read = flat_folder.read_squares(tmp_path, size=32)
    assert read.shape == (3, 32, 32, 3)
    for image in read[..., 0]:
        assert ndimage.center_of_mass(image) == pytest.approx((15.5, 15.5), abs=0.05)
        assert image.sum() == pytest.approx(np.pi * 8**2, rel=0.05)
    # A square of the right size is not touched.
    assert set(np.unique(read[2])) == {0.0, 1.0}
