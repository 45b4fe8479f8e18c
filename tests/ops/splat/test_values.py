"""Values against the formulas in float64, point by point and position by position."""

import dataclasses

import numpy as np
import pytest

from aa_jax.ops.splat import api, interpolate, splat
from tests.ops.splat import oracle
from tests.tolerances import relative_error


@dataclasses.dataclass(frozen=True)
class Case:
    points: int
    size: tuple[int, int]
    width: str = "covariance"
    model: str = "constant"
    support: float | None = 3.0
    window: str = "ellipse"
    scale: float = 1.0
    footprint: float = 0.0
    ridge: float = 1e-3

    def arrays(self, rng):
        """Points also beyond the canvas, values, and widths."""
        height, width = (n / self.scale for n in self.size)
        points = rng.uniform([-4, -4], [width + 3, height + 3], (self.points, 2))
        widths = {
            "number": lambda: 0.9,
            "each": lambda: rng.uniform(0.5, 1.5, self.points),
            "axes": lambda: rng.uniform(0.5, 1.5, (self.points, 2)),
            "shared axes": lambda: np.array([[0.8, 1.7]]),
            "covariance": lambda: oracle.squared(oracle.factors(rng, self.points)),
            "needles": lambda: oracle.squared(
                oracle.factors(rng, self.points, widest=15, narrowest=0.1)
            ),
        }
        return points, rng.normal(size=(self.points, 2)), widths[self.width]()

    @property
    def options(self):
        keys = "support", "window", "scale", "footprint"
        return {key: getattr(self, key) for key in keys}

    def rendered(self, arrays, **place):
        if self.model == "sum":
            return splat(*arrays, **self.options, **place)
        model = {"regression": self.model, "ridge": self.ridge, "fallback": 0.25}
        return interpolate(*arrays, **self.options, **model, **place)

    def expected(self, arrays, positions, size):
        options = {**self.options, "size": size}
        if self.model == "sum":
            return oracle.total(*arrays, positions, **options)
        if self.model == "linear":
            return oracle.plane(*arrays, positions, ridge=self.ridge, fallback=0.25, **options)
        return oracle.expectation(*arrays, positions, fallback=0.25, **options)


CASES = {
    "ellipse": Case(70, (9, 13)),
    "smooth": Case(40, (17, 10), "axes", window="smooth"),
    "square": Case(25, (11, 14), "each", window="square"),
    "square-scaled": Case(25, (7, 9), "shared axes", window="square", scale=0.5, footprint=0.3),
    "everywhere-needles": Case(30, (7, 19), "needles", support=None),
    "needles": Case(30, (19, 18), "needles", support=2.5),
    "many-points": Case(900, (3, 5), "number"),
    "few-points": Case(2, (21, 18), "number"),
    "scaled": Case(40, (6, 11), "shared axes", scale=0.5, footprint=0.4),
    "linear": Case(60, (8, 9), model="linear"),
    "linear-everywhere": Case(9, (5, 9), "axes", model="linear", support=None, ridge=0.0),
    "linear-smooth": Case(
        *(50, (7, 12), "each", "linear"), window="smooth", scale=0.8, footprint=0.5, ridge=0.1
    ),
    "sum": Case(50, (10, 15), model="sum"),
    "sum-smooth": Case(
        *(20, (12, 17), "needles", "sum"), window="smooth", scale=1.7, footprint=0.4
    ),
    "sum-square": Case(20, (9, 10), "each", "sum", 2, "square"),
    "sum-everywhere": Case(20, (9, 10), "axes", "sum", None),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_image_equals_formulas(rng, x64, case):
    arrays = case.arrays(rng)
    result = case.rendered(arrays, size=case.size)
    image, covered = case.expected(arrays, oracle.grid(*case.size), case.size)
    np.testing.assert_array_equal(result.covered.ravel(), covered)
    assert relative_error(result.image.reshape(image.shape), image) < 1e-10


@pytest.mark.parametrize("name", ["ellipse", "square", "linear", "sum-smooth"])
def test_queries_equal_formulas(rng, x64, name):
    case = CASES[name]
    arrays = case.arrays(rng)
    # Most of them together, some far away, one twice, and not as many as fill blocks.
    queries = np.concatenate([rng.normal(5, 2, (150, 2)), rng.uniform(-30, 60, (20, 2))])
    queries[-1] = queries[0]
    result = case.rendered(arrays, queries=queries)
    values, covered = case.expected(arrays, queries, None)
    np.testing.assert_array_equal(result.covered, covered)
    assert relative_error(result.image, values) < 1e-10


@pytest.mark.parametrize("name", ["smooth", "linear"])
def test_pixels_as_queries_in_any_order(rng, x64, name):
    case = CASES[name]
    arrays = case.arrays(rng)
    order = rng.permutation(case.size[0] * case.size[1])
    image = case.rendered(arrays, size=case.size)
    listed = case.rendered(arrays, queries=oracle.grid(*case.size)[order])
    np.testing.assert_array_equal(listed.covered, image.covered.ravel()[order])
    assert relative_error(listed.image, image.image.reshape(-1, 2)[order]) < 1e-13


def test_one_query(rng, x64):
    case = CASES["ellipse"]
    arrays = case.arrays(rng)
    query = np.array([[3.3, 4.4]])
    result = case.rendered(arrays, queries=query)
    assert relative_error(result.image, case.expected(arrays, query, None)[0]) < 1e-12


def test_list_too_short(rng, x64):
    """Nothing is left out where the list can't hold every pair, and `entries` tells."""
    arrays = CASES["ellipse"].arrays(rng)
    size = 20, 27
    enough = interpolate(*arrays, size=size)
    short = interpolate(*arrays, size=size, capacity=len(arrays[0]))
    assert short.entries == enough.entries > len(arrays[0])
    assert relative_error(short.image, enough.image) < 1e-13
    np.testing.assert_array_equal(short.covered, enough.covered)


def test_entries_are_the_cells_that_boxes_meet(rng, x64):
    points = rng.uniform(-20, 60, (40, 2))
    sigma = rng.uniform(0.3, 3, 40)
    result = splat(points, np.ones((40, 1)), sigma, size=(37, 43), support=2)
    pixels = oracle.grid(37, 43)
    cells = pixels // 8 @ [1, 100]
    number = 0
    for point, reach in zip(points, 2 * sigma, strict=True):
        number += len(set(cells[(np.abs(pixels - point) <= reach).all(1)]))
    assert result.entries == number


def test_list_too_short_is_said(rng, caplog):
    arrays = CASES["ellipse"].arrays(rng)
    interpolate(*arrays, size=(20, 27))
    assert not caplog.records
    interpolate(*arrays, size=(20, 27), capacity=len(arrays[0]))
    assert f"capacity={len(arrays[0])} is less than" in caplog.text


def test_no_list_of_gigabytes_is_made_unasked(rng, x64, monkeypatch, caplog):
    """Wide Gaussians: the list stays within its bound, the image is right, and it is said."""
    points, values = rng.uniform(0, 60, (9, 2)), rng.normal(size=(9, 2))
    enough = interpolate(points, values, 12.0, size=(64, 72))
    assert enough.entries > 2 * 16 * 9
    monkeypatch.setattr(api, "_MOST_ENTRIES", 20)
    assert not caplog.records
    short = interpolate(points, values, 12.0, size=(64, 72))
    assert f"capacity={16 * 9} is less than" in caplog.text
    assert relative_error(short.image, enough.image) < 1e-13
