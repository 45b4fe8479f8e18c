"""The figures: what they compute, what they show, and that their texts do not overlap."""

import itertools

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from experiments.classification.figures import (
    accuracy_consistency,
    feature_groups,
    filter_variance,
    prediction_strip,
    style,
)
from tests.metrics.classifiers import checkerboards, constant, reads_one_pixel


def overlapping_texts(figure) -> list[tuple[str, str]]:
    """Pairs of visible texts whose boxes share more than a pixel."""
    figure.draw_without_rendering()
    undrawn = {
        tick.label1
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in undrawn
    ]
    return [
        (first, second)
        for (first, a), (second, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


def check_picture(figure, path):
    assert not overlapping_texts(figure)
    pixels = imread(style.save(figure, path))
    assert pixels.std() > 0.05


def _value(center):
    return {"estimate": center, "low": center - 2, "high": center + 1}


def _summary(variants):
    entries = {}
    for number, name in enumerate(variants):
        at = {"top1": 80 + 2.0 * number, "consistency": 70 + 5.0 * number, "worst_case": 50.0}
        entries[name] = {
            "seeds": [0],
            "metrics": {metric: _value(center) for metric, center in at.items()},
            "runs": [{"seed": 0, **at}],
        }
    return {"options": {"confidence": 0.95}, "variants": entries}


def test_accuracy_consistency_marks_lie_at_the_values(tmp_path):
    figure = accuracy_consistency.draw(_summary(["none", "blur", "adaptive", "aps", "lps", "mine"]))
    ax = figure.axes[0]
    bars = [container.lines[0].get_xydata()[0] for container in ax.containers]
    np.testing.assert_allclose(bars, [[70 + 5 * i, 80 + 2 * i] for i in range(6)])
    assert "%" in ax.get_xlabel() and "%" in ax.get_ylabel()
    check_picture(figure, tmp_path / "a.png")


def test_every_variant_looks_different():
    styles = style.variant_styles(["none", "blur", "adaptive", "aps", "lps", "a", "b"])
    assert len({color for color, _ in styles.values()}) == len(styles)
    assert len({marker for _, marker in styles.values()}) == len(styles)


def test_local_detail_counts_gradients_per_cell():
    photo = np.zeros((8, 8, 3))
    photo[:, 4:] = np.arange(4)[None, :, None]  # flat, then a ramp of slope one
    np.testing.assert_allclose(filter_variance.local_detail(photo, (2, 2))[:, 0], 0, atol=0.13)
    assert (filter_variance.local_detail(photo, (2, 2))[:, 1] > 0.8).all()


def test_detail_correlation_has_the_sign_of_the_relation(rng):
    photo = np.repeat(np.cumsum(rng.random((32, 32, 1)), axis=1) ** 2, 3, axis=-1)
    detail = filter_variance.local_detail(photo, (16, 16))
    variance = np.stack([-detail, np.exp(detail / detail.max()), np.ones_like(detail)], -1)
    correlations = filter_variance.detail_correlation(photo, variance)
    np.testing.assert_allclose(correlations[:2], [-1, 1], atol=1e-9)
    assert np.isnan(correlations[2])


@pytest.mark.parametrize("groups", [1, 3, 8])
def test_filter_variance_picture(tmp_path, rng, groups):
    variance = rng.uniform(0, 0.1, (16, 16, groups))
    figure = filter_variance.draw(rng.random((32, 32, 3)), variance, taps=9, layer="maxpool")
    limits = {
        image.get_clim() for ax in figure.axes for image in ax.images if image.get_array().ndim == 2
    }
    assert len(limits) == 1  # one colour scale for all maps
    check_picture(figure, tmp_path / "v.png")


def test_channel_correlation_is_pearsons(rng):
    features = rng.standard_normal((3, 4, 5, 6))
    expected = np.corrcoef(features.reshape(-1, 6).T)
    np.testing.assert_allclose(feature_groups.channel_correlation(features), expected, atol=1e-12)


def test_within_and_between_split_the_pairs():
    correlation = np.arange(16.0).reshape(4, 4)
    within, between = feature_groups.within_and_between(correlation, 2)
    np.testing.assert_array_equal(within, [1, 11])  # pairs (0, 1) and (2, 3)
    np.testing.assert_array_equal(np.sort(between), [2, 3, 6, 7])
    with pytest.raises(ValueError, match="groups must divide the 4 channels"):
        feature_groups.within_and_between(correlation, 3)


def test_a_dead_channel_drops_out(rng):
    features = rng.standard_normal((2, 3, 3, 4))
    features[..., 1] = 0
    within, between = feature_groups.within_and_between(
        feature_groups.channel_correlation(features), 2
    )
    assert (len(within), len(between)) == (1, 2)


@pytest.mark.parametrize(("channels", "groups"), [(16, 8), (8, 1), (12, 2)])
def test_feature_groups_picture(tmp_path, rng, channels, groups):
    features = rng.standard_normal((2, 8, 8, channels))
    check_picture(feature_groups.draw(features, groups, layer="maxpool"), tmp_path / "g.png")


@pytest.fixture
def strip_and_changes():
    """Image 1 of three is a checkerboard, on which a reader of one pixel flips at each step."""
    images = np.zeros((3, 10, 10, 1), np.float32)
    images[1] = checkerboards(1, 10)[0]
    predictors = {"none": reads_one_pixel, "blur": constant}
    return prediction_strip.walk(
        predictors, images, np.array([0, 1, 0]), crop_size=6, steps=5, reference="none"
    )


def test_walk_takes_the_image_on_which_the_reference_flips(strip_and_changes):
    strip, changes = strip_and_changes
    np.testing.assert_array_equal(changes, [[0, 4, 0], [0, 0, 0]])
    np.testing.assert_array_equal(
        strip.crops, [checkerboards(1, 10)[0, 2:8, i : i + 6] for i in range(5)]
    )
    np.testing.assert_array_equal(strip.predicted["none"], [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(strip.predicted["blur"], np.ones(5))
    odds = 1 / (1 + np.exp(-1.0))  # logits -1/2 and 1/2
    np.testing.assert_allclose(strip.probability["none"], odds)


def test_strip_picture_marks_right_and_wrong(tmp_path, strip_and_changes):
    strip, _ = strip_and_changes
    figure = prediction_strip.draw(strip, ("cat", "handwriting", "motorcycle"))
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert [label[0] for label in labels] == list("✗✓✗✓✗✓✓✓✓✓")
    assert labels[0].endswith("cat") and labels[1].endswith("handwriting")
    check_picture(figure, tmp_path / "s.png")
