"""User-given taps against the reference arrays and hand-worked values."""

import json

import numpy as np
import pytest

from aa_jax.filters import setup_filter
from tests.tolerances import relative_error


@pytest.mark.parametrize("case", range(6))
def test_agrees_with_reference(golden, case):
    arrays = golden("alias_free/upfirdn2d_helpers.npz")
    taps = None if arrays[f"s{case}_is_none"] else arrays[f"s{case}_in"]
    options = json.loads(str(arrays[f"s{case}_opts"]))
    result = setup_filter(taps, **options)
    assert relative_error(result, arrays[f"s{case}_out"]) < 2e-7


def test_short_filters_become_two_dimensional():
    np.testing.assert_allclose(setup_filter([1, 1]), np.full((2, 2), 0.25))


def test_gain_counts_once_in_all():
    short, long = setup_filter([1, 3], gain=4.0), setup_filter(np.ones(8), gain=4.0)
    assert short.sum() == pytest.approx(4.0)
    assert np.outer(long, long).sum() == pytest.approx(4.0)


@pytest.mark.parametrize(
    "taps, options, message",
    [
        (np.ones((2, 2, 2)), {}, r"taps must be .* got shape \(2, 2, 2\)"),
        ([], {}, "non-empty"),
        ([1.0, np.nan], {}, "finite"),
        ([1, -1], {}, "sum to zero"),
        (np.ones((2, 2)), {"separable": True}, "separable=True needs taps of one axis"),
    ],
)
def test_bad_taps(taps, options, message):
    with pytest.raises(ValueError, match=message):
        setup_filter(taps, **options)
