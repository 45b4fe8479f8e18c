"""What the figure of an audit shows: read back from its axes."""

import numpy as np
import pytest
from PIL import Image

from aa_jax.figures import draw_audit
from aa_jax.metrics.audit_result import AliasAudit
from aa_jax.metrics.motion import Rotation, Translation


def made(decibels, names=("conv", "pool", "block")) -> AliasAudit:
    """An audit with these figures (layers, motions), alike for four examples."""
    decibels = np.asarray(decibels, np.float64)
    errors = np.repeat(10 ** (-decibels / 10)[..., None], 4, axis=-1)
    sizes = [(16, 16, 2), (8, 8, 2), (8, 4, 2)]
    return AliasAudit(
        names,
        (Translation(1, 0), Rotation(10)),
        tuple(sizes[: len(names)]),
        (1.0, 0.5, 0.5)[: len(names)],
        errors,
        np.where(np.isnan(errors), 0.0, 1.0),
    )


def finite(audit):
    """NaN decibels come from layers without power."""
    errors = np.nan_to_num(audit.errors, nan=1.0)
    return AliasAudit(audit.layers, audit.motions, audit.shapes, audit.rates, errors, audit.powers)


def test_curves_are_the_audits(tmp_path):
    plain = finite(made([[np.inf, 20], [12, 15], [-7, np.nan]]))
    other = finite(made([[70, 30], [40, 25]], names=("conv", "pool")))
    path = tmp_path / "audit.png"
    figure = draw_audit({"plain": plain, "other": other}, path)
    left, right = figure.axes
    assert [left.get_title(), right.get_title()] == ["shift (1, 0) px", "rotation 10°"]
    curves = {
        line.get_label(): line.get_xydata()
        for line in left.lines
        if line.get_label() in ("plain", "other")
    }
    np.testing.assert_allclose(curves["plain"], [[0, 60], [1, 12], [2, -7]], atol=1e-9)
    np.testing.assert_allclose(curves["other"], [[0, 60], [1, 40]], atol=1e-9)
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[0, 20], [1, 15]], atol=1e-9)
    assert left.get_ylim() == (-10, 60)
    labels = [label.get_text() for label in left.get_xticklabels()]
    assert labels == ["conv\n16²", "pool\n8²", "block\n8 x 4"]
    with Image.open(path) as image:
        assert image.width > 600 and np.ptp(np.asarray(image.convert("L"))) > 200


def test_one_audit_needs_no_name_and_many_layers_stand_upright():
    names = tuple(f"layer{i}" for i in range(9))
    audit = AliasAudit(
        names, (Rotation(10),), ((8, 8, 1),) * 9, (1.0,) * 9, np.ones((9, 1, 2)), np.ones((9, 1, 2))
    )
    figure = draw_audit(audit, title="one")
    assert not figure.legends and figure.get_suptitle() == "one"
    labels = figure.axes[0].get_xticklabels()
    assert labels[0].get_text() == "layer0" and labels[0].get_rotation() == 90


def test_equally_many_layers_stand_side_by_side():
    one = made([[1, 2], [3, 4]], names=("L0_36_16", "to_rgb"))
    other = made([[5, 6], [7, 8]], names=("L0_36_32", "output"))
    axis = draw_audit({"one": one, "other": other}).axes[0]
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert labels == ["L0_36\n16²", "to_rgb\n8²"]
    assert axis.get_yticklabels()[0].get_text() == "0"
    np.testing.assert_allclose(axis.lines[1].get_xydata(), [[0, 5], [1, 7]], atol=1e-9)


def test_motions_must_agree():
    plain = made([[1, 1]], names=("conv",))
    other = AliasAudit(
        plain.layers, plain.motions[::-1], plain.shapes, plain.rates, plain.errors, plain.powers
    )
    with pytest.raises(ValueError, match="all of the same motions"):
        draw_audit({"plain": plain, "other": other})
    with pytest.raises(ValueError, match="at least one audit"):
        draw_audit({})
