"""StyleGAN3's pickles: tensors and facts read right, and whatever else is in them never run."""

import copyreg
import pathlib
import pickle
import shutil
import struct
import sys
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from aa_jax.weights import (
    UnsafePickleError,
    WeightsError,
    network_globals,
    network_pickle,
    read_checkpoint,
    read_network_pickle,
)
from tests.weights.attacks import EXTENSION_CODE, HOSTILE, OS, by_reduce
from tests.weights.network_pickles import (
    LOAD,
    PERSISTENCE,
    SOURCE,
    Persistent,
    Tensor,
    bytes_,
    module,
    nested_storage,
    nested_tensor,
    official_modules,
    write,
)
from tests.weights.torch_files import (
    Built,
    Call,
    Global,
    Raw,
    assemble,
    legacy_bytes,
    pickled,
    state_dict,
    storage,
    tensor,
    write_zip,
)

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "alias_free"
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def read(path, root):
    write(path / "network.pkl", root)
    return read_network_pickle(path / "network.pkl")


def small(**options):
    """A generator of one module with one parameter."""
    options = {"parameters": {"weight": nested_tensor(VALUES)}, **options}
    return module("Generator", **options)


@pytest.mark.parametrize("config", ["t", "r"])
def test_official_snapshot_is_read_bit_exactly(config, golden):
    snapshot = read_network_pickle(GOLDEN / f"tiny_snapshot_{config}_nosrc.pkl")
    expected = golden(f"alias_free/tiny_snapshot_{config}_expected.npz")
    assert list(snapshot) == ["G", "D", "G_ema", "augment_pipe"]
    ours = {
        f"{name}:{entry}": value
        for name in ("G_ema", "D")
        for entry, value in snapshot[name].tensors.items()
    }
    theirs = {name: value for name, value in expected.items() if ":" in name}
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name].dtype == value.dtype and ours[name].shape == value.shape, name
        assert ours[name].tobytes() == value.tobytes(), name
        assert not ours[name].flags.writeable


def test_official_snapshot_facts():
    snapshot = read_network_pickle(GOLDEN / "tiny_snapshot_r_nosrc.pkl")
    assert snapshot["G_ema"].init_kwargs == {
        **{"z_dim": 32, "c_dim": 0, "w_dim": 32, "img_resolution": 32, "img_channels": 3},
        **{"channel_base": 1024, "channel_max": 32, "conv_kernel": 1, "use_radial_filters": True},
        "mapping_kwargs": {"num_layers": 2},
        "magnitude_ema_beta": 0.5 ** (32 / 20000),
    }
    assert snapshot["D"].class_name == "Discriminator"
    assert snapshot["D"].init_kwargs["epilogue_kwargs"] == {"mbstd_group_size": 4}
    assert snapshot.training_set_kwargs["resolution"] == 32
    assert (snapshot.sources, snapshot.source_bytes) == (1, 0)
    assert snapshot["G_ema"].modules["synthesis.L0_36_32"] == "SynthesisLayer"
    assert snapshot["augment_pipe"].tensors["Hz_fbank"].shape == (4, 43)
    assert snapshot["G_ema"].buffers >= {"mapping.w_avg", "synthesis.input.freqs"}
    # Plain attributes are data that nothing needs: 15 layers have a padding.
    assert snapshot["G_ema"].ignored["padding"] == 15


# The layout, piece by piece


def test_layout_and_what_is_left_out(tmp_path):
    inner = module(
        "FullyConnectedLayer",
        parameters={"weight": nested_tensor(VALUES), "bias": None},
        buffers={"up_filter": None, "w_avg": nested_tensor(VALUES[0].astype(np.float64))},
        source="# ä",
    )
    root = {
        "G_ema": module("Generator", modules={"mapping": inner, "embed": None}, z_dim=4),
        "training_set_kwargs": None,
        "augment_pipe": None,
        "nimg": [1, 2],
    }
    snapshot = read(tmp_path, root)
    network = snapshot["G_ema"]
    assert network.tensors.keys() == {"mapping.weight", "mapping.w_avg"}
    assert network.tensors["mapping.w_avg"].dtype == np.float64
    np.testing.assert_array_equal(network.tensors["mapping.weight"], VALUES)
    assert network.modules == {"": "Generator", "mapping": "FullyConnectedLayer"}
    assert network.buffers == {"mapping.w_avg"} and network.parameter_count == 6
    assert network.ignored == {"training": 2, "z_dim": 1}
    assert snapshot.ignored == {"augment_pipe": "NoneType", "nimg": "list of 2"}
    assert snapshot.training_set_kwargs == {}
    assert (snapshot.sources, snapshot.source_bytes) == (2, len(SOURCE) + len("# ä".encode()))


def test_channels_last_strides_and_parts_of_a_storage(tmp_path):
    values = np.arange(24, dtype=np.float32)
    stored = nested_storage(values)
    parameters = {
        # (O, I, H, W) = (2, 3, 2, 2) in channels-last memory.
        "weight": tensor(stored, (2, 3, 2, 2), (12, 1, 6, 3)),
        "row": tensor(nested_storage(values), (3,), (2,), offset=5),
    }
    network = read(tmp_path, {"G_ema": module("Generator", parameters=parameters)})["G_ema"]
    expected = values.reshape(2, 2, 2, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(network.tensors["weight"], expected)
    np.testing.assert_array_equal(network.tensors["row"], [5, 7, 9])


def test_one_address_may_have_held_two_storages(tmp_path):
    parameters = {
        "a": tensor(nested_storage(VALUES, key="1"), (6,)),
        "b": tensor(nested_storage(-VALUES, key="1"), (6,)),
    }
    network = read(tmp_path, {"G_ema": module("Generator", parameters=parameters)})["G_ema"]
    np.testing.assert_array_equal(network.tensors["a"], -network.tensors["b"])


def test_tied_tensors_share_memory(tmp_path):
    remembered = Raw(assemble(nested_tensor(VALUES)) + b"q\x07")
    parameters = {"a": remembered, "b": Raw(b"h\x07")}
    network = read(tmp_path, {"G_ema": module("Generator", parameters=parameters)})["G_ema"]
    assert np.shares_memory(network.tensors["a"], network.tensors["b"])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_layout_as_pickle_writes_it(protocol, tmp_path, monkeypatch):
    """Sets, ordered dictionaries, NumPy values and easy dictionaries, in every protocol's way."""
    for name, stand_in in official_modules().items():
        monkeypatch.setitem(sys.modules, name, stand_in)
    easy = sys.modules["dnnlib.util"].EasyDict(num_layers=2, lr_multiplier=np.float64(0.01))
    kwargs = easy.__class__(
        mapping_kwargs=easy, size=np.array([[36, 52]]), ema=np.float32(0.5), flag=np.bool_(True)
    )
    kwargs["fortran"] = np.asfortranarray(np.arange(6).reshape(2, 3))
    state = {
        "_parameters": OrderedDict(weight=Tensor(VALUES.T)),
        "_buffers": {},
        "_modules": OrderedDict(),
        "_non_persistent_buffers_set": {"a", "b"},
        "_init_args": (),
        "_init_kwargs": kwargs,
    }
    root = {"G_ema": Persistent("Generator", state), "D": None}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(root, protocol))
    network = read_network_pickle(tmp_path / "a.pkl")["G_ema"]
    np.testing.assert_array_equal(network.tensors["weight"], VALUES.T)
    assert network.init_kwargs == {
        "mapping_kwargs": {"num_layers": 2, "lr_multiplier": 0.01},
        "size": [[36, 52]],
        "ema": 0.5,
        "flag": True,
        "fortran": [[0, 1, 2], [3, 4, 5]],
    }
    assert type(network.init_kwargs["ema"]) is float


# Attacks


def _inside(evil: bytes) -> Raw:
    """The opcodes of a pickle that push its object, to stand within another pickle."""
    return Raw((evil[2:] if evil.startswith(b"\x80") else evil).removesuffix(b"."))


def _storage_file(**parts) -> Raw:
    """A nested file of five pickles, one of which may be evil."""
    good = legacy_bytes(storage("0", np.float32, 6, None), {"0": (6, VALUES.tobytes())})
    if "object" in parts:
        good = legacy_bytes(parts["object"], {"0": (6, VALUES.tobytes())})
    elif "keys" in parts:
        good = good.replace(pickled(["0"]), parts["keys"])
    else:
        good = parts["first"] + good
    return tensor(Call(LOAD, (bytes_(good),)), (2, 3))


PLACES = {
    "beside the networks": lambda evil: {"G_ema": small(), "extra": _inside(evil)},
    "in front of the networks": lambda evil: {"extra": _inside(evil), "G_ema": small()},
    "the file itself": lambda evil: evil,
    "a network": lambda evil: {"G_ema": _inside(evil)},
    "an attribute": lambda evil: {"G_ema": small(padding=_inside(evil))},
    "a hook": lambda evil: {"G_ema": small(_forward_hooks={3: _inside(evil)})},
    "a parameter": lambda evil: {"G_ema": small(parameters={"weight": _inside(evil)})},
    "a buffer of a submodule": lambda evil: {
        "G_ema": small(modules={"mapping": small(buffers={"w_avg": _inside(evil)})})
    },
    "a submodule": lambda evil: {"G_ema": small(modules={"mapping": _inside(evil)})},
    "init_kwargs": lambda evil: {"G_ema": small(init_kwargs={"z_dim": [_inside(evil)]})},
    "the source": lambda evil: {"G_ema": small(source=_inside(evil))},
    "the envelope": lambda evil: {"G_ema": Call(PERSISTENCE, (_inside(evil),))},
    "facts about the data": lambda evil: {
        "G_ema": small(),
        "training_set_kwargs": {"path": _inside(evil)},
    },
    "the state of an array": lambda evil: {"G_ema": small(size=Built(ARRAY, (_inside(evil),)))},
    "the bytes of a storage": lambda evil: {
        "G_ema": small(parameters={"weight": tensor(Call(LOAD, (_inside(evil),)), (6,))})
    },
    "a storage's first pickle": lambda evil: {
        "G_ema": small(parameters={"weight": _storage_file(first=evil)})
    },
    "a storage's object": lambda evil: {
        "G_ema": small(parameters={"weight": _storage_file(object=evil)})
    },
    "a storage's list of keys": lambda evil: {
        "G_ema": small(parameters={"weight": _storage_file(keys=evil)})
    },
}
ARRAY = Call(
    Global("numpy.core.multiarray", "_reconstruct"),
    (Global("numpy", "ndarray"), (0,), bytes_(b"b")),
)


@pytest.fixture
def extension():
    """Registers os.system under an extension code, as some library of the process might."""
    copyreg.add_extension(OS, "system", EXTENSION_CODE)
    yield
    copyreg.remove_extension(OS, "system", EXTENSION_CODE)
    copyreg._extension_cache.pop(EXTENSION_CODE, None)


@pytest.mark.parametrize("place", PLACES)
def test_hostile_pickle_is_refused_by_name_and_runs_nothing(place, tmp_path, extension):
    canary = tmp_path / "canary"
    for attack in HOSTILE:
        evil, name = attack(f"touch {canary}")
        root = PLACES[place](evil)
        if isinstance(root, bytes) and not root.startswith(b"\x80"):
            continue  # Of protocol 0, and so not taken for a pickle at all.
        with pytest.raises(UnsafePickleError, match=name.replace(".", r"\.")):
            read(tmp_path, root)
        assert not canary.exists()


@pytest.mark.parametrize("place", PLACES)
def test_the_attacks_are_real(place, tmp_path, monkeypatch):
    """Control: Python's own unpickler, with official modules at hand, runs the command."""
    for name, stand_in in official_modules().items():
        monkeypatch.setitem(sys.modules, name, stand_in)
    canary = tmp_path / "canary"
    root = PLACES[place](by_reduce(f"touch {canary}")[0])
    try:
        pickle.loads(root if isinstance(root, bytes) else pickled(root, 4))
    except (TypeError, ValueError, pickle.UnpicklingError):
        pass  # Some fail after the deed.
    assert canary.exists()


def test_source_text_is_never_executed(tmp_path):
    canary = tmp_path / "canary"
    source = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n"
    assert read(tmp_path, {"G_ema": small(source=source)})["G_ema"].class_name == "Generator"
    assert not canary.exists()


EXTRA = [
    PERSISTENCE,
    LOAD,
    Global("dnnlib.util", "EasyDict"),
    Global("dnnlib.tflib.network", "Network"),
    Global("numpy", "ndarray"),
    Global("numpy.core.multiarray", "_reconstruct"),
    Global("numpy._core.numeric", "_frombuffer"),
    Global("builtins", "set"),
]


@pytest.mark.parametrize("function", EXTRA)
def test_ordinary_checkpoints_may_not_use_the_extra_names(function, tmp_path):
    write_zip(tmp_path / "a.pth", pickled({"a": function}), {})
    with pytest.raises(UnsafePickleError, match=f"{function.module}.{function.name}"):
        read_checkpoint(tmp_path / "a.pth")


REFUSED = {
    "instance of no class": (Raw(assemble("x") + b")\x81"), "instance of str"),
    "instance with arguments": (
        Raw(assemble(Global("dnnlib.util", "EasyDict")) + assemble((1,)) + b"\x81"),
        "instance of dnnlib.util.EasyDict",
    ),
    "call of a class": (Call(Global("dnnlib.util", "EasyDict"), ()), "no function"),
    "state of a module": (Built(small(), {"a": 1}), "sets the state of PersistentRecord"),
    "state of the array class": (Built(Global("numpy", "ndarray"), (1,)), "sets the state of"),
    "array of objects": (
        Built(ARRAY, (1, (1,), Call(Global("numpy", "dtype"), ("O", False, True)), False, [])),
        "plain number",
    ),
    "array of a list": (Built(ARRAY, (1, (1,), None, False, [])), "isn't of plain numbers"),
    "another array class": (
        Call(
            Global("numpy.core.multiarray", "_reconstruct"),
            (Global("dnnlib.util", "EasyDict"), (0,), bytes_(b"b")),
        ),
        "something other than a numpy.ndarray",
    ),
    "set of tuples": (Raw(b"\x8f(" + assemble(("a",)) + b"\x90"), "key of type tuple"),
    "items of a list": (Raw(b"](K\x01\x90"), "adds items to a list"),
    "storage by persistent id": (storage("0", np.float32, 6), "persistent id"),
    "nested network pickle": (
        Call(LOAD, (bytes_(legacy_bytes(Call(LOAD, (bytes_(b""),)), {})),)),
        "torch.storage._load_from_bytes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, tmp_path):
    value, message = REFUSED[case]
    with pytest.raises(UnsafePickleError, match=message):
        read(tmp_path, {"G_ema": small(), "extra": value})


# Damage and lies


def cycle() -> Raw:
    """A module that is made of a remembered state, into which it is put afterwards."""
    state = b"}q\x01" + assemble("_parameters") + b"}s" + assemble("_buffers") + b"}s0"
    meta = {"type": "class", "module_src": "", "class_name": "Generator", "state": Raw(b"h\x01")}
    made = assemble(Call(PERSISTENCE, (meta,))) + b"q\x020"
    return Raw(
        state + made + b"h\x01" + assemble({"_modules": {"again": Raw(b"h\x02")}})[1:] + b"0h\x02"
    )


def deep_list(depth: int) -> Raw:
    return Raw(b"]" * depth + b"a" * (depth - 1))


def doubling_lists(times: int) -> Raw:
    """A list of two of a list of two of ...: few opcodes, billions of items."""
    code = b"]q\x00"
    for i in range(times):
        code += b"0](h%ch%ceq%c" % (i, i, i + 1)
    return Raw(code)


BROKEN = {
    "parameter that is none": (small(parameters={"weight": 3}), "weight in _parameters is a int"),
    "module that is none": (small(modules={"mapping": {}}), "mapping in _modules is a dict"),
    "name with a dot": (small(parameters={"a.b": None}), "without a plain name"),
    "name that is a number": (small(buffers={1: None}), "without a plain name"),
    "no parameters": (
        Call(
            PERSISTENCE,
            ({"type": "class", "module_src": "", "class_name": "G", "state": {}},),
        ),
        "has no _parameters",
    ),
    "not a class": (Call(PERSISTENCE, ({"type": "module"},)), "isn't a class's instance"),
    "no state": (Call(PERSISTENCE, ({"type": "class", "class_name": "G"},)), "without module_src"),
    "arguments that are none": (small(init_kwargs=3), "aren't a list and a dictionary"),
    "module in the arguments": (small(init_kwargs={"a": small()}), "has a module Generator"),
    "tensor in the arguments": (small(init_kwargs={"a": nested_tensor(VALUES)}), "has a tensor"),
    "huge integer": (small(init_kwargs={"z_dim": 2**70}), "has a int"),
    "nested arguments": (small(init_kwargs={"a": deep_list(100)}), "nests them too deeply"),
    "unfolding arguments": (small(init_kwargs={"a": doubling_lists(40)}), "too many items"),
    "module inside itself": (cycle(), "nests modules deeper than 16"),
    "storage of text": (
        small(parameters={"weight": tensor(Call(LOAD, ("abc",)), (1,))}),
        "storage made of a str",
    ),
    "storage that is a dictionary": (
        small(parameters={"weight": tensor(Call(LOAD, (bytes_(legacy_bytes({}, {})),)), (1,))}),
        "a file with a dict in it",
    ),
    "storage with a long head": (
        small(parameters={"weight": _storage_file(object=["x" * 2000])}),
        "corrupt or truncated",
    ),
    "tensor beyond its storage": (
        small(parameters={"weight": tensor(nested_storage(VALUES), (7,))}),
        "outside its storage of 6 elements",
    ),
    "stride zero": (
        small(parameters={"weight": tensor(nested_storage(VALUES), (2**40,), (0,))}),
        "outside its storage of 6 elements",
    ),
    "array of another length": (
        small(
            size=Built(
                ARRAY,
                (1, (2**40,), Call(Global("numpy", "dtype"), ("i8",)), False, bytes_(b"12345678")),
            )
        ),
        "1099511627776 elements in 8 bytes",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken(case, tmp_path):
    network, message = BROKEN[case]
    with pytest.raises(WeightsError, match=message):
        read(tmp_path, {"G_ema": network})


@pytest.mark.parametrize("size", [2**31, 2**62])
def test_storage_claims_more_than_it_has(size, tmp_path):
    root = storage("0", np.float32, size, None)
    data = legacy_bytes(root, {"0": (size, VALUES.tobytes())})
    weight = tensor(Call(LOAD, (bytes_(data),)), (2, 3))
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match="truncated: storage '0' ends at byte"):
            read(tmp_path, {"G_ema": small(parameters={"weight": weight})})
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_declared_lengths_allocate_nothing(tmp_path):
    """From a file, a read of 2**62 bytes would allocate them before it finds the end."""
    tracemalloc.start()
    try:
        for opcode in (b"\x8e", b"\x8d", b"\x96"):
            with pytest.raises(WeightsError, match="corrupt or truncated"):
                read(tmp_path, b"\x80\x04" + opcode + struct.pack("<Q", 2**62) + b"abc.")
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_tensors_are_in_memory_once(tmp_path):
    arrays = [np.full(250_000, i, np.float32) for i in range(10)]
    parameters = {f"p{i}": nested_tensor(array) for i, array in enumerate(arrays)}
    write(tmp_path / "a.pkl", {"G_ema": module("Generator", parameters=parameters)})
    tracemalloc.start()
    try:
        network = read_network_pickle(tmp_path / "a.pkl")["G_ema"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(t.nbytes for t in network.tensors.values()) == 10**7
    # One tensor more while it is copied out of its pickle, and as much for the reader.
    assert peak < 1.35e7


def test_one_byte_string_in_many_storages_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(network_globals, "MAX_STORAGES", 3)
    data = Raw(assemble(bytes_(legacy_bytes(storage("0", np.uint8, 1, None), {"0": (1, b"a")}))))
    first = Raw(assemble(Call(LOAD, (Raw(data.code + b"q\x00"),))))
    again = Call(LOAD, (Raw(b"h\x00"),))
    read(tmp_path, {"G_ema": small(parameters={}), "extra": [first, again, again]})
    with pytest.raises(WeightsError, match="more than 3 tensor storages"):
        read(tmp_path, {"G_ema": small(parameters={}), "extra": [first, again, again, again]})


def test_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(network_pickle, "MAX_FILE_BYTES", 100)
    with pytest.raises(WeightsError, match="expected at most 100"):
        read(tmp_path, {"G_ema": small()})


def test_truncated_files_raise_weights_errors(tmp_path):
    whole = (GOLDEN / "tiny_snapshot_r_nosrc.pkl").read_bytes()
    for length in [0, 1, 2, 3, 10, 100, 1000, 10_000, len(whole) // 2, len(whole) - 1]:
        (tmp_path / "cut.pkl").write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="fetch"):
            read_network_pickle(tmp_path / "cut.pkl")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_only_weights_errors(data, tmp_path_factory):
    """Whatever happens to a few bytes: networks or a WeightsError, nothing else."""
    path = pathlib.Path(tmp_path_factory.getbasetemp()) / "damaged.pkl"
    inner = small(buffers={"b": nested_tensor(VALUES)}, size=ARRAY)
    good = pickled({"G_ema": small(modules={"m": inner}, init_kwargs={"a": [1.0, None]})}, 4)
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(len(damaged) // 2, len(damaged)))])
    try:
        read_network_pickle(path)
    except WeightsError:
        pass


# Files of other kinds


def _legacy_checkpoint(path):
    records, buffers = state_dict({"a": VALUES}, legacy=True)
    path.write_bytes(legacy_bytes(records, buffers))


def _zip_checkpoint(path):
    write_zip(path, *state_dict({"a": VALUES}))


def _safetensors(path):
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"x")


def _stylegan2(path):
    blocks = {"b4": module("SynthesisBlock"), "b8": module("SynthesisBlock")}
    synthesis = module("SynthesisNetwork", modules=blocks)
    write(path, {"G": None, "D": None, "G_ema": module("Generator", modules={"s": synthesis})})


def _tensorflow(path):
    network = Global("dnnlib.tflib.network", "Network")
    state = {"version": 4, "name": "G", "build_module_src": "import os"}
    networks = tuple(Built(Raw(assemble(network) + b")\x81"), state) for _ in range(3))
    write(path, networks, protocol=2)


FOREIGN = {
    "legacy checkpoint": (
        _legacy_checkpoint,
        "a PyTorch checkpoint of torch.save.*read_checkpoint",
    ),
    "zip checkpoint": (_zip_checkpoint, "a zip, as torch.save writes.*read_checkpoint"),
    "safetensors": (_safetensors, "a safetensors file"),
    "state dict": (
        lambda path: write(path, {"a": nested_tensor(VALUES), "b": nested_tensor(VALUES)}),
        "a state dict of 2 tensors, which lacks the networks' configuration",
    ),
    "single network": (lambda path: write(path, small()), "holds a single Generator"),
    "list": (lambda path: write(path, [1, 2]), "holds a list of 2; expected the dictionary of G"),
    "other dictionary": (
        lambda path: write(path, {"acc": 1, "lr": [0.1]}),
        r"a dictionary without networks \(keys: acc, lr\)",
    ),
    "StyleGAN2": (
        _stylegan2,
        "G_ema is a StyleGAN2 Generator .* only StyleGAN3 networks, configurations T and R",
    ),
    "TensorFlow": (_tensorflow, "TensorFlow-era StyleGAN .* only StyleGAN3"),
    "web page": (lambda path: path.write_text("<!DOCTYPE html>"), "no pickle .* a web page"),
    "empty file": (lambda path: path.write_bytes(b""), "empty"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_files_are_told_by_what_they_are(kind, tmp_path):
    make, message = FOREIGN[kind]
    make(tmp_path / "a.pkl")
    with pytest.raises(WeightsError, match=message) as caught:
        read_network_pickle(tmp_path / "a.pkl")
    assert str(caught.value).startswith(f"{tmp_path / 'a.pkl'}: ")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_network_pickle(tmp_path / "none.pkl")
    shutil.copy(GOLDEN / "tiny_snapshot_t_nosrc.pkl", tmp_path / "odd name.bin")
    assert "G_ema" in read_network_pickle(str(tmp_path / "odd name.bin"))
