import dataclasses

import pytest

from aa_jax.ops.augmentation import BG, BGC, BGCF, BGCFN, BGCFNC, Augmentation


def on(augmentation):
    multipliers = dataclasses.asdict(augmentation)
    names = list(multipliers)[: list(multipliers).index("cutout") + 1]
    assert {multipliers[name] for name in names} <= {0.0, 1.0}
    return [name for name in names if multipliers[name]]


def test_sets_contain_what_their_letters_say():
    blit, geometry = ["xflip", "rotate90", "xint"], ["scale", "rotate", "aniso", "xfrac"]
    color = ["brightness", "contrast", "lumaflip", "hue", "saturation"]
    assert on(Augmentation()) == []
    assert on(BG) == blit + geometry
    assert on(BGC) == blit + geometry + color
    assert on(BGCF) == blit + geometry + color + ["imgfilter"]
    assert on(BGCFN) == blit + geometry + color + ["imgfilter", "noise"]
    assert on(BGCFNC) == blit + geometry + color + ["imgfilter", "noise", "cutout"]


def test_hashable_and_equal_by_content():
    assert Augmentation(imgfilter_bands=[1, 0, 0, 0]) == Augmentation(imgfilter_bands=(1, 0, 0, 0))
    assert hash(dataclasses.replace(BGC)) == hash(BGC)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"xflip": -1.0}, r"xflip must be finite and not negative, got -1\.0"),
        ({"hue_limit": float("nan")}, "hue_limit must be finite and not negative, got nan"),
        ({"imgfilter_bands": (1, 1, 1)}, "imgfilter_bands must hold four multipliers, got 3"),
        ({"imgfilter_bands": (1, 1, -2, 1)}, r"imgfilter_bands\[2\] must be .*, got -2"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)
