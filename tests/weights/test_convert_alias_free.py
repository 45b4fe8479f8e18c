"""From an official StyleGAN3 pickle to a safetensors file that loads, and the launcher."""

import pathlib
import runpy

import numpy as np
import pytest

from aa_jax.weights import WeightsError, convert_network_pickle, load_generator
from aa_jax.weights.alias_free_names import variables
from tests.weights.attacks import OS
from tests.weights.network_pickles import module, write
from tests.weights.torch_files import Call, Global

SOURCE = pathlib.Path(__file__).parents[1] / "golden" / "alias_free" / "tiny_snapshot_r_nosrc.pkl"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    target = tmp_path_factory.mktemp("converted") / "a.safetensors"
    return target, convert_network_pickle(SOURCE, target)


def test_converted_file_gives_the_same_network(converted):
    expected, found = variables(load_generator(SOURCE)), variables(load_generator(converted[0]))
    assert found.keys() == expected.keys()
    for name, leaf in expected.items():
        np.testing.assert_array_equal(found[name][...], leaf[...], err_msg=name)


def test_report_accounts_for_the_whole_pickle(converted):
    conversion = converted[1]
    lines = str(conversion).splitlines()
    entry = "synthesis.L3_36_32.weight (32, 32, 1, 1) synthesis.layers.3.kernel (1, 1, 32, 32)"
    assert entry in [" ".join(line.split()) for line in lines]
    assert "compared, not needed: synthesis.input.transform" in lines
    # Two mapping layers of 32 x 32 + 32, and so on: counted in the pickle itself.
    assert "converted: G_ema (Generator), 33991 parameters in 67 tensors, and 47 buffers" in lines
    assert "ignored: D (Discriminator), 21345 parameters in 23 tensors, and 14 buffers" in lines
    assert any(line.startswith("ignored: augment_pipe (AugmentPipe)") for line in lines)
    assert "ignored: training_set_kwargs" in lines
    assert "ignored: 1 source texts of 0 bytes, unexecuted" in lines
    assert lines[-1].startswith("85 arrays written; largest difference of a filter from ours: ")
    assert conversion.report.filter_difference < 1e-7


def test_other_network_of_a_pickle(tmp_path):
    conversion = convert_network_pickle(SOURCE, tmp_path / "a.safetensors", network="G")
    assert "ignored: G_ema (Generator)" in str(conversion)
    with pytest.raises(WeightsError, match="no network 'G_mean'; it has G, D, G_ema"):
        convert_network_pickle(SOURCE, tmp_path / "b.safetensors", network="G_mean")
    with pytest.raises(WeightsError, match="the network is a Discriminator"):
        convert_network_pickle(SOURCE, tmp_path / "b.safetensors", network="D")
    assert not (tmp_path / "b.safetensors").exists()


@pytest.fixture
def launch(request):
    """The launcher's ``main``, called with the arguments of a command line."""
    path = request.config.rootpath / "scripts" / "convert_weights.py"
    main = runpy.run_path(str(path))["main"]
    return lambda *arguments: main([*map(str, arguments)])


@pytest.mark.parametrize("options", [(), ("--model", "alias_free", "--network", "G")])
def test_launcher_converts(options, launch, tmp_path, capsys):
    target = tmp_path / "a.safetensors"
    assert launch(SOURCE, target, *options) == 0
    assert "85 arrays written" in capsys.readouterr().out
    assert load_generator(target).z_dim == 32


def test_launcher_refuses_in_one_message(launch, tmp_path, capsys):
    canary = tmp_path / "canary"
    evil = Call(Global(OS, "system"), (f"touch {canary}",))
    write(tmp_path / "evil.pkl", {"G_ema": module("Generator", padding=[evil])})
    (tmp_path / "page.pkl").write_text("<!DOCTYPE html>")
    for name, message in (("evil.pkl", f"'{OS}.system'"), ("page.pkl", "a web page saved")):
        assert launch(tmp_path / name, tmp_path / "a.safetensors") == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and "--model" in error
    assert not canary.exists() and not (tmp_path / "a.safetensors").exists()
