"""Keypoints in pictures, strips of frames, and bytes."""

import numpy as np

from experiments.motion.drawing import draw_keypoints, picture_strip, to_bytes


def test_keypoints_are_crosses_in_their_places():
    frame = np.zeros((9, 17, 3), np.uint8)
    marked = draw_keypoints(frame, np.array([[0.0, 0.0], [1.0, -1.0], [5.0, 5.0]]))
    painted = marked.any(-1)
    # The second one is cut at the corner, and the third lies outside.
    cross = {(4, 8), (3, 8), (5, 8), (4, 7), (4, 9)}
    assert set(zip(*np.nonzero(painted), strict=True)) == cross | {(0, 16), (1, 16), (0, 15)}
    np.testing.assert_array_equal(marked[4, 8], [255, 0, 0])
    assert (marked[0, 16] != marked[4, 8]).any() and not frame.any()


def test_strips_enlarge_small_frames():
    frames = np.arange(2 * 60 * 64 * 3, dtype=np.uint32).reshape(2, 60, 64, 3).astype(np.uint8)
    strip = picture_strip([frames, frames])
    assert strip.shape == (2 * 122, 2 * 130, 3)
    np.testing.assert_array_equal(strip[122:242:2, 130:258:2], frames[1])
    assert (strip[120:122] == 255).all() and (strip[:, 128:130] == 255).all()
    assert picture_strip([np.zeros((1, 150, 150, 3), np.uint8)]).shape == (152, 152, 3)


def test_bytes_are_rounded_and_clipped():
    values = np.array([-0.1, 0, 0.499 / 255, 0.501 / 255, 1, 1.2])
    np.testing.assert_array_equal(to_bytes(values), [0, 0, 0, 1, 255, 255])
    assert to_bytes(values).dtype == np.uint8
