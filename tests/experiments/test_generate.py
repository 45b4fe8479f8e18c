"""The four commands, against direct calls of the generator; what they refuse."""

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from aa_jax.models.alias_free import (
    Generator,
    map_latents,
    mix_styles,
    picture_transform,
    sample,
    synthesize,
    to_uint8,
)
from aa_jax.weights import load_generator
from experiments.generate import commands, pictures
from experiments.generate.pictures import Painter, load_painter
from tests.conftest import GOLDEN

NETWORK = GOLDEN / "alias_free" / "tiny_snapshot_t_nosrc.pkl"
SIDE, BATCH, PSI = 32, 4, 0.8  # One batch size everywhere: one compilation.


@pytest.fixture(scope="module")
def painter():
    return load_painter(NETWORK, truncation_psi=PSI, batch_size=BATCH)


@pytest.fixture(scope="module")
def conditional(painter):
    """The same network, but of three classes; its synthesis is compiled already."""
    options = dict(painter.generator.options) | {"c_dim": 3}
    return Generator(painter.generator.synthesis.plan, **options, rngs=nnx.Rngs(0))


@pytest.fixture
def film(monkeypatch):
    """Keeps the frames of a film as they are, rather than encoded."""
    kept = []
    monkeypatch.setattr(
        commands.writing, "write_film", lambda path, frames, fps: kept.extend(frames)
    )
    return kept


def sampled(painter, seeds, **options):
    images = sample(painter.generator, seeds, truncation_psi=PSI, batch_size=BATCH, **options)
    return to_uint8(images)


def same(found, expected):
    """Equal up to what the order of sums in another batch may do to a rounding."""
    found, expected = np.asarray(found, int), np.asarray(expected, int)
    return found.shape == expected.shape and np.abs(found - expected).max() <= 1


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_grid_of_images_is_exact(painter, tmp_path):
    path = commands.images(painter, tmp_path / "a.png", range(4))
    expected = sampled(painter, range(4)).reshape(2, 2, SIDE, SIDE, 3)
    expected = expected.transpose(0, 2, 1, 3, 4).reshape(2 * SIDE, 2 * SIDE, 3)
    np.testing.assert_array_equal(read(path), expected)


def test_a_grid_may_have_free_cells(painter, tmp_path):
    path = commands.images(painter, tmp_path / "a.png", [3, 1, 3, 0, 5, 2], columns=4)
    cells = read(path).reshape(2, SIDE, 4, SIDE, 3).swapaxes(1, 2).reshape(8, SIDE, SIDE, 3)
    assert same(cells[:6], sampled(painter, [3, 1, 3, 0, 5, 2]))
    assert (cells[6:] == 255).all()


def test_a_folder_gets_a_file_for_every_seed(painter, tmp_path):
    folder = tmp_path / "new"
    seeds = [7, 12345, 7, 0, 3]
    movement = {"translate": (0.25, 0), "rotate": 20, "scale": 0.9}
    commands.images(painter, folder, seeds, folder=True, **movement)
    names = ["seed0007.png", "seed12345.png", "seed0000.png", "seed0003.png"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    found = [read(folder / name) for name in names]
    assert same(found, sampled(painter, [7, 12345, 0, 3], transform=picture_transform(**movement)))


def test_a_translation_moves_the_picture_right_and_down(painter, tmp_path):
    straight, moved = (
        read(commands.images(painter, tmp_path / "a.png", [1, 2, 3, 4], translate=translate))
        for translate in ((0, 0), (0.25, 0.125))
    )
    first, second = straight[:SIDE, :SIDE].astype(int), moved[:SIDE, :SIDE].astype(int)
    error = np.abs(second[8:, 12:] - first[4:-4, 4:-8]).mean()
    unmoved = np.abs(second[8:, 12:] - first[8:, 12:]).mean()
    assert error < 0.1 * unmoved


def test_a_walk_passes_its_seeds_and_closes(painter, film, tmp_path):
    commands.walk(painter, tmp_path / "a.mp4", range(6), grid=(1, 2), frames=4)
    frames = np.stack(film)
    assert frames.shape == (4 * 3, SIDE, 2 * SIDE, 3)
    left, right = frames[:, :, :SIDE], frames[:, :, SIDE:]
    expected = sampled(painter, range(6))
    assert same(left[::4], expected[:3])
    assert same(right[::4], expected[3:])
    # Going on beyond the end leads to the beginning, as smoothly as anywhere.
    frames = frames.astype(int)
    steps = np.abs(frames - np.roll(frames, 1, 0)).mean((1, 2, 3))
    bends = np.abs(frames - 2 * np.roll(frames, 1, 0) + np.roll(frames, 2, 0)).mean((1, 2, 3))
    assert steps[0] <= steps[1:].max() and steps.min() > 0
    assert bends[:2].max() <= 1.5 * bends[2:].max()


def test_a_walk_of_a_conditional_network(conditional, film, tmp_path):
    walks = []
    for label in (0, 2):
        commands.walk(
            Painter(conditional, label=label, batch_size=BATCH),
            tmp_path / "a.gif",
            [5, 6],
            frames=4,
            fps=25,
        )
        walks.append(np.stack(film))
        film.clear()
        ends = sample(conditional, [5, 6], classes=label, batch_size=BATCH)
        assert same(walks[-1][::4], to_uint8(ends))
    assert not same(*walks)


def test_a_sweep_starts_where_the_picture_is(painter, film, tmp_path):
    commands.sweep(painter, tmp_path / "a.mp4", [1, 2], translate=(0.25, 0), rotate=30, frames=4)
    frames = np.stack(film)
    assert frames.shape == (4, SIDE, 2 * SIDE, 3)
    cells = frames.reshape(4, SIDE, 2, SIDE, 3).swapaxes(1, 2)
    assert same(cells[0], sampled(painter, [1, 2]))
    end = picture_transform(translate=(0.25, 0), rotate=30)
    assert same(cells[2], sampled(painter, [1, 2], transform=end))
    assert same(cells[3], cells[1]) and not same(cells[1], cells[0])


def test_a_strip_shows_the_way_one_way(painter, tmp_path):
    path = commands.sweep(painter, tmp_path / "a.png", [1, 2], translate=(0.5, 0), frames=3)
    cells = read(path).reshape(2, SIDE, 3, SIDE, 3).swapaxes(1, 2)
    for index, way in enumerate((0, 0.25, 0.5)):
        transform = picture_transform(translate=(way, 0))
        assert same(cells[:, index], sampled(painter, [1, 2], transform=transform))


def test_a_film_is_encoded_while_it_is_drawn(painter, monkeypatch, tmp_path):
    computed = []

    def counting(generator, ws, **options):
        computed.append(len(ws))
        return np.zeros((len(ws), SIDE, SIDE, 3), np.float32)

    def write_two_frames(path, frames, fps):
        next(frames), next(frames)

    monkeypatch.setattr(pictures, "synthesize", counting)
    monkeypatch.setattr(commands.writing, "write_film", write_two_frames)
    commands.walk(painter, tmp_path / "a.mp4", range(4), grid=(1, 2), frames=1000)
    assert computed == [BATCH]
    commands.images(painter, tmp_path / "a.png", range(9))
    assert computed == [BATCH] * 4


def test_films_are_written(painter, tmp_path, monkeypatch, capsys):
    import imageio.v2 as imageio

    monkeypatch.setenv("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")
    path = commands.sweep(painter, tmp_path / "a.mp4", [1], rotate=360, frames=6, fps=30)
    with imageio.get_reader(path, format="FFMPEG") as reader:
        assert reader.count_frames() == 6 and reader.get_meta_data()["fps"] == 30
        first = reader.get_data(0)
    expected = sampled(painter, [1, 1, 1, 1])[0].astype(int)
    assert np.abs(first - expected).mean() < 4  # The colours have half the resolution.
    path = commands.walk(painter, tmp_path / "a.gif", [1, 2], frames=3)
    with Image.open(path) as image:
        assert image.n_frames == 6 and image.size == (SIDE, SIDE)
    assert "50 frames a second" in capsys.readouterr().err


def test_a_mix_takes_layers_from_the_columns(painter, tmp_path):
    rows, columns, layers = [0, 1], [5, 6, 7], [0, 1, 2, 9]
    path = commands.mix(painter, tmp_path / "a.png", rows, columns, layers=layers)
    canvas = read(path)
    gap = 2
    assert canvas.shape == (3 * SIDE + 2 * gap, 4 * SIDE + 3 * gap, 3)

    def cell(row, column):
        top, left = row * (SIDE + gap), column * (SIDE + gap)
        return canvas[top : top + SIDE, left : left + SIDE]

    assert (cell(0, 0) == 255).all()
    sources = sampled(painter, rows + columns)
    assert same([cell(1, 0), cell(2, 0), cell(0, 1), cell(0, 2), cell(0, 3)], sources)
    ws = painter.latents(rows + columns)
    for i in range(2):
        mixed = mix_styles(ws[i], ws[2:], layers)
        expected = to_uint8(synthesize(painter.generator, np.append(mixed, mixed[:1], 0)))[:3]
        assert same([cell(i + 1, j + 1) for j in range(3)], expected)
        assert not same([cell(i + 1, j + 1) for j in range(3)], [sources[i]] * 3)


def test_truncation_of_the_first_layers(painter):
    cut = Painter(painter.generator, truncation_psi=0.5, truncation_cutoff=3)
    z = np.random.RandomState(9).standard_normal(painter.generator.z_dim)[None]
    full = map_latents(painter.generator, z)
    half = map_latents(painter.generator, z, truncation_psi=0.5)
    ws = cut.latents([9])
    np.testing.assert_allclose(ws[:, :3], half[:, :3], atol=1e-6)
    np.testing.assert_allclose(ws[:, 3:], full[:, 3:], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncation_psi": float("nan")}, "trunc must be finite, got nan"),
        ({"truncation_psi": float("inf")}, "trunc must be finite, got inf"),
        ({"truncation_cutoff": -1}, "trunc-cutoff must lie from 0 to 16, got -1"),
        ({"truncation_cutoff": 17}, "trunc-cutoff must lie from 0 to 16, got 17"),
        ({"batch_size": 0}, "batch-size must be at least 1, got 0"),
        ({"label": 1}, "class: the network is unconditional"),
    ],
)
def test_painters_that_are_none(painter, options, message):
    with pytest.raises(ValueError, match=message):
        Painter(painter.generator, **options)


def test_classes_that_are_none(conditional):
    with pytest.raises(ValueError, match="^class: the network is conditional"):
        Painter(conditional)
    for label in (-1, 3):
        with pytest.raises(ValueError, match="^class: .* from 0 to 2, got"):
            Painter(conditional, label=label)


def test_networks_that_are_none(tmp_path, painter):
    with pytest.raises(ValueError, match="network must be a file, there is none at .*missing"):
        load_painter(tmp_path / "missing.pkl")
    with pytest.raises(ValueError, match="network must be a file"):
        load_painter(tmp_path)
    for content in (b"", b"text", b"\x80\x04N."):
        (tmp_path / "text.pkl").write_bytes(content)
        with pytest.raises(ValueError, match="^network: .*text.pkl"):
            load_painter(tmp_path / "text.pkl")
    plan = load_generator(NETWORK).synthesis.plan
    two = nnx.eval_shape(lambda: _with_channels(plan, painter.generator, 2))
    with pytest.raises(
        ValueError, match="network must draw pictures of 1, 3, 4 channels, got .* 2"
    ):
        Painter(two)


def _with_channels(plan, generator, channels):
    from aa_jax.models.alias_free import generator_plan

    options = dict(plan.options) | {"img_channels": channels}
    plan = generator_plan(options.pop("resolution"), **options)
    return Generator(plan, **dict(generator.options), rngs=nnx.Rngs(0))


def test_requests_that_are_none(painter, tmp_path):
    png, gif = tmp_path / "a.png", tmp_path / "a.gif"

    def fails(message, command, *arguments, **options):
        with pytest.raises(ValueError, match=message):
            command(painter, *arguments, **options)

    many = range(600)
    fails("scale must be positive", commands.images, png, range(4), scale=0)
    fails("rotate must be finite", commands.images, png, range(4), rotate=float("inf"))
    fails("columns must have at least one", commands.images, png, range(4), columns=0)
    fails("columns must give .* at most 16384", commands.images, png, many, columns=1)
    fails("seeds must give each of the grid's 2x1 cells", commands.walk, gif, range(5), grid=(1, 2))
    fails("two at least, got 2 seeds", commands.walk, gif, range(2), grid=(1, 2))
    fails("grid must give .* at most 16384", commands.walk, gif, many, grid=(1, 600))
    fails("frames must be at least 1, got 0", commands.walk, gif, range(2), frames=0)
    fails("fps must lie from 1 to 240", commands.walk, gif, range(2), fps=0)
    fails("translate or rotate must be given", commands.sweep, gif, [1])
    fails("frames must be at least 1, got 0", commands.sweep, gif, [1], rotate=90, frames=0)
    fails("frames must be at least 2, got 1", commands.sweep, png, [1], rotate=90, frames=1)
    fails("frames must give .* at most 16384", commands.sweep, png, [1], rotate=90, frames=600)
    fails("seeds must give .* at most 16384", commands.sweep, gif, many, rotate=90)
    fails("rotate must be finite", commands.sweep, gif, [1], rotate=float("nan"))
    fails("layers must lie from 0 to 15, got", commands.mix, png, [1], [2], layers=[16])
    fails("rows and columns must give .* at most", commands.mix, png, [1], many)
    assert not list(tmp_path.iterdir())


def test_too_little_memory_names_the_remedy(painter, monkeypatch):
    def exhausted(*arguments, **options):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating")

    def broken(*arguments, **options):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    def ask(count):
        next(painter.draw(count, painter.latents))

    monkeypatch.setattr(pictures, "synthesize", exhausted)
    with pytest.raises(ValueError, match="batch-size: .* for 4 pictures .* choose a smaller one"):
        ask(4)
    with pytest.raises(ValueError, match="the network needs more memory"):
        ask(1)
    monkeypatch.setattr(pictures, "synthesize", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        ask(4)
