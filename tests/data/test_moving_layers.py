"""Layers: the reduction against golden arrays, drawing against float64 formulas."""

import numpy as np
import pytest
from scipy import ndimage

from aa_jax.data.moving_layers import (
    REACH,
    Canvas,
    Scene,
    make_part,
    opacity,
    outline_radius,
    random_outline,
    resize_texture,
)
from aa_jax.data.trajectories import Poses, random_poses, random_sway

PHASES = np.arange(3) / 3
STILL = Poses(np.zeros((3, 2)), np.tile(np.eye(2), (3, 1, 1)), np.zeros(3))


def ramps(side, reach):
    """Planes that are linear in local x, local y, and constant; bilinear reading is then exact."""
    x, y = np.meshgrid(*[np.linspace(-reach, reach, side)] * 2)
    return np.stack([100 + 40 * x, 100 + 40 * y, np.full_like(x, 90)]).astype(np.float32)


def test_reduction_is_the_models_own(golden):
    reference = golden("motion_splat_face/downsample_astronaut.npz")
    canvas = Canvas(64, 4)
    taps = canvas.taps
    np.testing.assert_allclose(np.outer(taps, taps), reference["aa_0.25_kernel"], atol=1e-8)
    image = reference["image_u8"].transpose(2, 0, 1).astype(np.float32)
    # The model pads with zeros, where a canvas has pixels of its own.
    side = len(canvas.axis)
    padded = np.pad(image, [(0, 0), (6, side - 262), (6, side - 262)])
    reduced = canvas.reduce(padded).transpose(1, 2, 0) / 255
    np.testing.assert_allclose(reduced, reference["aa_0.25"], atol=1e-6)


@pytest.mark.parametrize(("reduction", "length"), [(1, 1), (2, 5), (3, 9), (4, 13), (8, 29)])
def test_canvas_reaches_half_a_filter_beyond_the_frame(reduction, length):
    canvas = Canvas(16, reduction)
    assert len(canvas.taps) == length
    assert canvas.taps.sum() == pytest.approx(1)
    axis = canvas.axis
    assert len(axis) == 15 * reduction + length
    np.testing.assert_allclose(np.diff(axis), canvas.pitch)
    inner = axis[length // 2 :][: 15 * reduction + 1 : reduction]
    np.testing.assert_allclose(inner, np.linspace(-1, 1, 16), atol=1e-12)


def test_textures_are_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(resize_texture(stripes, (8, 8, 56, 56), 16)[:, :, 2:-2]) <= 2
    ramp = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 64, 3))
    np.testing.assert_array_equal(
        resize_texture(ramp, (10, 20, 20, 30), 10)[0, :, 0], range(20, 30)
    )


def test_outlines_are_of_bounded_size_and_closed(rng):
    radii = np.stack([random_outline(rng) for _ in range(100)])
    assert 0.5 < radii.min() and radii.max() <= 1.24
    assert np.abs(np.diff(radii, append=radii[:, :1])).max() < 0.06
    square = 1 / np.maximum(*np.abs([np.cos(a := 2 * np.pi * np.arange(256) / 256), np.sin(a)]))
    points = rng.uniform(-1, 1, (200, 2))
    largest = np.abs(points).max(1)
    radius = outline_radius(square, points)
    np.testing.assert_allclose(radius, np.linalg.norm(points, axis=1) / largest, rtol=2e-3)
    soft = opacity(square, points, 0.1)
    assert np.all((soft == 1) | (largest > 0.9)) and soft.min() >= 0
    assert opacity(
        np.ones(256), np.array([[0.0, 1.0], [1.05, 0], [0.96, 0]]), 0.1
    ) == pytest.approx([0.5, 0, 0.9**2 * 1.2])


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(5)
    sway = random_sway(rng, PHASES, amplitude=0.03)
    ground = random_poses(
        rng, PHASES, centre=np.zeros(2), matrix=np.eye(2), travel=0.1, rotation=0.1, zoom=0.05
    )
    moving = random_poses(
        rng, PHASES, centre=np.array([0.3, -0.5]), matrix=0.45 * np.eye(2), travel=0.4,
        rotation=0.5, zoom=0.2, bend=0.3,
    )  # fmt: skip
    part = make_part(255 - ramps(150, REACH), random_outline(rng), 0.3, moving)
    return Scene(ramps(90, 1.8), ground, 1.8, (part,), sway)


@pytest.mark.parametrize("time", [0, 2])
def test_a_frame_is_what_the_formulas_say(scene, time):
    canvas = Canvas(20, 3)
    points = np.stack(np.meshgrid(canvas.axis, canvas.axis), -1)
    side = points.shape[0]
    places = scene.sway.read(np.tile(points.reshape(1, -1, 2), (3, 1, 1)))

    def colours(local):
        return np.stack(
            [100 + 40 * local[:, 0], 100 + 40 * local[:, 1], np.full(len(local), 90)], -1
        )

    pixels = colours(scene.ground_poses.local(places)[time])
    part = scene.parts[0]
    local = part.poses.local(places)[time]
    alpha = opacity(part.outline, local, part.softness)[:, None]
    assert 0.05 < alpha.mean() < 0.5
    pixels = pixels * (1 - alpha) + (255 - colours(local)) * alpha
    pixels = pixels.reshape(side, side, 3)
    for axis in (0, 1):  # deviation 1 at reduction 3, cut off at 4
        pixels = ndimage.gaussian_filter1d(pixels, 1.0, axis=axis, truncate=4)
    expected = pixels[4:-4:3, 4:-4:3]
    got = scene.draw(canvas, time)
    # Half a grey level of rounding; the opacity's curvature between texture pixels adds a little.
    assert np.abs(got - expected).max() < 0.9


def test_a_dot_is_seen_at_its_landmark():
    """Centre of gravity of a white disc on black, against where it is said to be."""
    rng, canvas = np.random.default_rng(2), Canvas(48, 4)
    sway = random_sway(rng, PHASES, amplitude=0.03)
    moving = random_poses(
        rng, PHASES, centre=np.array([-0.1, 0.2]), matrix=0.12 * np.eye(2), travel=0.5,
        rotation=1.0, zoom=0.2,
    )  # fmt: skip
    disc = make_part(np.full((3, 60, 60), 255, np.float32), np.ones(256), 0.2, moving)
    scene = Scene(np.zeros((3, 4, 4), np.float32), STILL, 1.5, (disc,), sway)
    places, seen = scene.landmarks(np.zeros((0, 2)), [np.zeros((1, 2))])
    assert places.shape == (3, 1, 2) and seen.all()
    axis = np.linspace(-1, 1, 48)
    for time in range(3):
        frame = scene.draw(canvas, time)[..., 0].astype(float)
        centre = [(frame.sum(0) @ axis) / frame.sum(), (frame.sum(1) @ axis) / frame.sum()]
        np.testing.assert_allclose(centre, places[time, 0], atol=0.05 * 2 / 47)
    assert np.ptp(places[:, 0], axis=0).max() > 0.3


def test_nearer_parts_hide_landmarks():
    texture = np.zeros((3, 8, 8), np.float32)

    def part(x):
        centre = np.tile([x, 0.0], (3, 1))
        return make_part(texture, np.ones(256), 0.1, Poses(centre, STILL.matrix * 0.3, np.zeros(3)))

    sway = random_sway(np.random.default_rng(0), PHASES, amplitude=0.0)
    scene = Scene(texture, STILL, 1.5, (part(0.0), part(0.4)), sway)
    ground = np.array([[0.0, 0.0], [0.6, 0.0], [0.0, 0.8], [0.0, 1.1]])
    local = np.array([[0.0, 0.0], [0.9, 0.0]])  # the second one lies behind the nearer part
    places, seen = scene.landmarks(ground, [local, local])
    expected = [[0, 0], [0.6, 0], [0, 0.8], [0, 1.1], [0, 0], [0.27, 0], [0.4, 0], [0.67, 0]]
    np.testing.assert_allclose(places[1], expected, atol=1e-12)
    assert seen[1].tolist() == [False, False, True, False, True, False, True, True]


def test_a_part_outside_the_frame_is_not_drawn():
    texture = np.full((3, 8, 8), 200, np.float32)
    far = Poses(np.tile([5.0, 0.0], (3, 1)), STILL.matrix * 0.3, np.zeros(3))
    sway = random_sway(np.random.default_rng(0), PHASES, amplitude=0.02)
    scene = Scene(texture / 2, STILL, 1.5, (make_part(texture, np.ones(256), 0.1, far),), sway)
    assert np.all(scene.draw(Canvas(8, 2), 0) == 100)
