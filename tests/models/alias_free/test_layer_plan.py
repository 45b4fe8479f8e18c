import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import signal

from aa_jax.models.alias_free import config_r, config_t, describe, generator_plan

# Constructor arguments in the reference file that are not the plan's.
FOREIGN = {"cfg", "img_resolution"}


@pytest.mark.parametrize("case", range(4))
def test_every_number_is_the_published_one(golden, case):
    arrays = golden("alias_free/layer_specs.npz")
    options = json.loads(str(arrays[f"cfg{case}"]))
    config = {"T": config_t, "R": config_r}[options["cfg"]]
    resolution = options["img_resolution"]
    plan = config(resolution, **{k: v for k, v in options.items() if k not in FOREIGN})

    expected_input = [plan.input_channels, plan.input_size[0], plan.input_sampling_rate]
    assert [*expected_input, plan.input_bandwidth] == arrays[f"input{case}"].tolist()
    assert [layer.name for layer in plan.layers] == arrays[f"names{case}"].tolist()
    for layer, row in zip(plan.layers, arrays[f"rows{case}"], strict=True):
        top, bottom, left, right = layer.padding
        special = {
            "in_size": layer.in_size[0],
            "out_size": layer.out_size[1],
            "down_radial": layer.down_filter is not None and layer.down_filter.radial,
            "pad_x0": left,
            "pad_x1": right,
            "pad_y0": top,
            "pad_y1": bottom,
        }
        for column, expected in zip(arrays["columns"], row, strict=True):
            column = str(column)
            actual = special[column] if column in special else getattr(layer, column)
            assert actual == expected, (layer.name, column)


# Of generators with z_dim = w_dim = 512 and two mapping layers.
PARAMETERS = {
    (128, 32768): (32_833_523, 21_366_701),
    (256, 16384): (23_320_443, 15_779_565),
    (256, 32768): (28_472_133, 18_816_387),
    (512, 32768): (24_873_519, 16_665_594),
    (1024, 32768): (22_313_167, 15_093_151),
}


@pytest.mark.parametrize(("resolution", "base"), PARAMETERS)
def test_channels_and_kernels_add_up_to_the_published_parameter_counts(resolution, base):
    plans = config_t(resolution, channel_base=base), config_r(resolution, channel_base=2 * base)
    for plan, expected in zip(plans, PARAMETERS[resolution, base], strict=True):
        mapping = 2 * (512 * 512 + 512)
        first = plan.input_channels**2 + 4 * 512 + 4
        rest = sum(
            513 * layer.in_channels
            + layer.out_channels * (layer.in_channels * layer.conv_kernel**2 + 1)
            for layer in plan.layers
        )
        assert mapping + first + rest == expected


def test_the_published_table_at_1024():
    table = describe(config_r(1024)).splitlines()
    assert "size 36, rate 16, bandwidth 2, channels 1024" in table[0]
    assert table[4 + 10] == (
        "| 10 | 512→1024 | 532→1044 | 203.1873 | 274.3740 | 308.8127 | 512.000 | 2048 | 4 × (24) "
        "| 2 × (12) | 256→161 | -2,-5 | no | radial | yes |"
    )
    assert table[4 + 13] == (
        "| 13 | 1024→1024 | 1044→1024 | 512.0000 | 630.3459 | 118.3459 | 630.346 | 2048 | 2 × (12) "
        "| 2 × (12) | 64→64 | -9,-10 | yes | separable | yes |"
    )
    assert len(table) == 4 + 15
    assert len({line.count("|") for line in table[2:]}) == 1


def test_rates_do_not_slip_over_a_power_of_two():
    # Layer 9's stop band is 64 exactly at 256 pixels; at 16 all rates are the image's.
    assert config_t(256).layers[9].out_sampling_rate == 128
    assert {layer.out_sampling_rate for layer in config_t(16).layers} == {16}


def test_filters_are_scipys():
    for layer in config_r(64).layers[:-1]:
        rate = layer.tmp_sampling_rate
        up = signal.firwin(layer.up_taps, layer.in_cutoff, width=2 * layer.in_half_width, fs=rate)
        np.testing.assert_allclose(layer.up_filter.taps(), up, rtol=0, atol=1e-15)
        down = layer.down_filter.taps()
        if layer.down_filter.radial:
            assert down.shape == (12, 12)
            # A radial filter is symmetric about both axes and the diagonal, and not separable.
            np.testing.assert_allclose(down, down.T, rtol=0, atol=1e-15)
            np.testing.assert_allclose(down, down[::-1], rtol=0, atol=1e-15)
            assert np.linalg.matrix_rank(down, tol=1e-6) > 1
        else:
            width = 2 * layer.out_half_width
            expected = signal.firwin(layer.down_taps, layer.out_cutoff, width=width, fs=rate)
            np.testing.assert_allclose(down, expected, rtol=0, atol=1e-15)
    torgb = config_r(64).layers[-1]
    assert torgb.up_filter is None and torgb.down_filter is None


def resampling_matrix(layer, axis):
    """What the filters do along one axis, sample by sample; a jinc by its middle row."""
    up, down = layer.up_filter.taps(), layer.down_filter.taps()
    if down.ndim == 2:
        down = down[len(down) // 2]
    before, after = layer.padding[2 * axis : 2 * axis + 2]
    columns = []
    for impulse in np.eye(layer.conv_size[axis]):
        dense = np.zeros(len(impulse) * layer.up_factor)
        dense[:: layer.up_factor] = impulse
        padded = np.pad(dense, (max(before, 0), max(after, 0)))
        padded = padded[max(-before, 0) : len(padded) - max(-after, 0)]
        temporary = np.convolve(padded, up, "valid")
        assert len(temporary) == layer.temporary_size[axis]
        columns.append(np.convolve(temporary, down, "valid")[:: layer.down_factor])
    return np.stack(columns, 1)


@settings(max_examples=20)
@given(
    config=st.sampled_from([config_t, config_r]),
    sixteenths=st.tuples(st.integers(16, 40), st.booleans()),
    options=st.fixed_dictionaries(
        {
            "num_layers": st.integers(3, 8),
            "num_critical": st.integers(1, 2),
            "margin_size": st.integers(0, 12),
            "lrelu_upsampling": st.sampled_from([2, 4]),
            "first_cutoff": st.sampled_from([1.5, 2.0]),
        }
    ),
)
def test_layers_stay_centred_on_any_canvas(config, sixteenths, options):
    count, upright = sixteenths
    long = 32 * count // 16
    plan = config((long, 32) if upright else (32, long), **options)
    assert plan.layers[-1].out_size == plan.resolution
    for layer, following in zip(plan.layers[:-1], plan.layers[1:], strict=True):
        assert layer.out_size == following.in_size
        for axis in range(2):
            matrix = resampling_matrix(layer, axis)
            assert matrix.shape == (layer.out_size[axis], layer.conv_size[axis])
            np.testing.assert_allclose(matrix, matrix[::-1, ::-1], rtol=0, atol=1e-14)


def test_a_rectangle_differs_from_its_shorter_sides_square_in_sizes_only():
    square, wide, tall = config_r(256), config_r((256, 512)), config_r((512, 256))
    assert square == config_r((256, 256))
    assert (wide.input_size, tall.input_size) == ((36, 52), (52, 36))
    sizes = {"in_size", "out_size"}
    for a, b, c in zip(square.layers, wide.layers, tall.layers, strict=True):
        for field in set(vars(a)) - sizes:
            assert getattr(a, field) == getattr(b, field) == getattr(c, field)
        margin = 0 if a.index >= 13 else 10
        rate = a.out_sampling_rate
        assert b.out_size == (rate + 2 * margin, 2 * rate + 2 * margin)
        assert c.out_size == b.out_size[::-1]
    assert wide.layers[3].name == "L3_52x84_1024"
    assert "| 52x84→52x84 |" in describe(wide)


def test_a_plan_is_static_data():
    assert hash(config_r(64)) == hash(config_r(64))
    assert config_t(64) != config_t(64, margin_size=11)
    assert config_t(64).num_ws == 16
    assert config_r(64, channel_max=48, conv_kernel=3).layers[0].conv_size == (38, 38)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 96}, r"resolution must be a power of two, at least 16 .*, got 96"),
        ({"resolution": 8}, r"resolution must be a power of two, at least 16 .*, got 8"),
        ({"resolution": 64.0}, r"resolution must be an integer or \(height, width\), got 64.0"),
        ({"resolution": (64, 64, 3)}, r"resolution must be .*\(height, width\), got \(64, 64, 3\)"),
        ({"resolution": (96, 128)}, r"resolution must be a power of two.* got \(96, 128\)"),
        ({"resolution": (64, 70)}, r"resolution must .* a multiple of 4, .* got \(64, 70\)"),
        ({"num_layers": 1}, r"num_layers must be an integer from 2 on, got 1"),
        ({"num_critical": 14}, r"num_critical must be less than num_layers, 14, got 14"),
        ({"num_critical": 0}, r"num_critical must be an integer from 1 on, got 0"),
        ({"margin_size": -1}, r"margin_size must be an integer from 0 on, got -1"),
        ({"conv_kernel": True}, r"conv_kernel must be an integer from 1 on, got True"),
        ({"channel_base": 16}, r"channel_base must be large enough .*, got 16"),
        ({"first_cutoff": 40.0}, r"first_cutoff must lie in \(0, 32\], .*, got 40.0"),
        ({"first_stopband": 2.0}, r"first_stopband must be .* above first_cutoff, 2.0, got 2.0"),
        ({"last_stopband_rel": 1}, r"last_stopband_rel must be finite and above 1, got 1"),
    ],
)
def test_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        generator_plan(**({"resolution": 64} | options))
