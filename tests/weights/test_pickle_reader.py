"""The pickle machine: benign pickles read right, hostile ones refused by name and not run."""

import copyreg
import io
import pickle
import struct
import tracemalloc
from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from aa_jax.weights import UnsafePickleError, WeightsError, pickle_reader, read_checkpoint
from aa_jax.weights.pickle_globals import GLOBALS
from aa_jax.weights.pickle_reader import RestrictedUnpickler
from tests.weights.attacks import EXTENSION_CODE, HOSTILE, OS, by_reduce
from tests.weights.torch_files import (
    Built,
    Call,
    Global,
    Persistent,
    Raw,
    assemble,
    legacy_bytes,
    pickled,
    state_dict,
    write_zip,
)


def load(data: bytes):
    return RestrictedUnpickler(io.BytesIO(data)).load()


@pytest.fixture
def extension():
    """Registers os.system under an extension code, as some library of the process might."""
    copyreg.add_extension(OS, "system", EXTENSION_CODE)
    yield
    copyreg.remove_extension(OS, "system", EXTENSION_CODE)
    copyreg._extension_cache.pop(EXTENSION_CODE, None)


def _zip(path, data):
    write_zip(path, data, {})


def _legacy(path, data):
    path.write_bytes(legacy_bytes(data, {}))


def _legacy_keys(path, data):
    """The evil pickle stands where the list of storages should."""
    whole = legacy_bytes({}, {})
    path.write_bytes(whole.removesuffix(pickled([])) + data)


@pytest.mark.parametrize("write", [_zip, _legacy, _legacy_keys])
@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_pickle_is_refused_by_name_and_runs_nothing(attack, write, tmp_path, extension):
    marker = tmp_path / "marker"
    data, name = attack(f"touch {marker}")
    write(tmp_path / "evil.pth", data)
    with pytest.raises(UnsafePickleError, match=name.replace(".", r"\.")):
        read_checkpoint(tmp_path / "evil.pth")
    assert not marker.exists()


@pytest.mark.parametrize("attack", HOSTILE)
def test_the_attacks_are_real(attack, tmp_path, extension):
    """Control: Python's own unpickler runs the command, so the refusals above mean something."""
    marker = tmp_path / "marker"
    data, _ = attack(f"touch {marker}")
    try:
        pickle.loads(data)
    except (AttributeError, TypeError):
        pass  # Some fail after the deed.
    assert marker.exists()


def test_bare_pickle_with_a_checkpoint_extension_runs_nothing(tmp_path):
    marker = tmp_path / "marker"
    (tmp_path / "evil.pth").write_bytes(by_reduce(f"touch {marker}")[0])
    with pytest.raises(UnsafePickleError, match=rf"'{OS}\.system'.*not been imported or called"):
        read_checkpoint(tmp_path / "evil.pth")
    assert not marker.exists()


SCALAR = Global("numpy.core.multiarray", "scalar")
DTYPE = Global("numpy", "dtype")
FIELDS = (3, "<", None, ("a",), {"a": 1}, 8, 8, 0)
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")
DEEP_KEY = Raw(b"}" + b")" + b"\x85" * 200_000 + b"Ns")

REFUSED = {
    "state of a permitted function": (
        Built(REBUILD, (None, {"build": 1})),
        r"sets the state of torch\._utils\._rebuild_tensor_v2",
    ),
    "state of a storage type": (Built(Global("torch", "FloatStorage"), {"dtype": 1}), "sets the"),
    "state of a list": (Built([], {"append": 1}), "sets the state of list"),
    "call of a storage type": (Call(Global("torch", "FloatStorage"), (9,)), "no function"),
    "call of a string": (Call("eval", ("1",)), "calls str"),
    "arguments that are no tuple": (Call(REBUILD, Raw(b"]")), "no function"),
    "append to a function": (Raw(assemble(REBUILD) + b"Na"), "appends to a Function"),
    "item of a function": (Raw(assemble(REBUILD) + b"NNs"), "sets an item of a Function"),
    "foreign persistent id": (Persistent(("module", "os", "x", "y")), "persistent id"),
    "numpy array": (
        Call(Global("numpy.core.multiarray", "_reconstruct"), ()),
        r"numpy\.core\.multiarray\._reconstruct",
    ),
    "numpy object type": (Call(DTYPE, ("O", False, True)), "plain number"),
    "numpy record type": (Call(DTYPE, ("i4,O", False, True)), "plain number"),
    "numpy type with fields": (Built(Call(DTYPE, ("f8",)), FIELDS), "beyond byte order"),
    "numpy scalar of any type": (Call(SCALAR, ("O", "x")), "plain number type"),
    "encode to anything": (Call(Global("_codecs", "encode"), ("x", "zip")), "byte strings"),
    "deep dictionary key": (DEEP_KEY, "key of type tuple"),
    "huge integer key": (Raw(b"}" + assemble(2**200) + b"Ns"), "key of type int"),
    "set": (Raw(b"\x8f"), "EMPTY_SET"),
    "text persistent id": (Raw(b"Pstorage\n"), "PERSID"),
    "byte array": (Raw(b"\x96" + struct.pack("<Q", 2) + b"ab"), "BYTEARRAY8"),
    "names that are no strings": (Raw(b"K\x01K\x02\x93"), "isn't a string"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    value, message = REFUSED[case]
    with pytest.raises(UnsafePickleError, match=message):
        load(pickled(value, protocol=4))


CORRUPT = {
    "empty": b"",
    "no end": b"\x80\x02N",
    "nothing on the stack": b"\x80\x02.",
    "pop of nothing": b"\x80\x020.",
    "mark missing": b"\x80\x02Nt.",
    "memo missing": b"\x80\x02h\x07.",
    "key without value": b"\x80\x02}(K\x01u.",
    "unknown opcode": b"\x80\x02\xff.",
    "text beyond the end": b"\x80\x02\x8d" + struct.pack("<Q", 2**62) + b"abc.",
    "bytes beyond the end": b"\x80\x02B" + struct.pack("<I", 2**32 - 1) + b"abc.",
    "text that is not UTF-8": b"\x80\x02X\x01\0\0\0\xff.",
    "wrong number of arguments": pickled(Call(REBUILD, (1, 2))),
    "odd ordered dictionary": pickled(Call(Global("collections", "OrderedDict"), ([1, 2],))),
    "scalar of another length": pickled(
        Call(SCALAR, (Call(DTYPE, ("f8",)), Call(Global("_codecs", "encode"), ("abc", "latin1"))))
    ),
}


@pytest.mark.parametrize("case", CORRUPT)
def test_corrupt(case):
    with pytest.raises(WeightsError):
        load(CORRUPT[case])


def test_permitted_globals_stay_as_they_were():
    before = dict(GLOBALS)
    for value, _ in REFUSED.values():
        with pytest.raises(WeightsError):
            load(pickled(value, protocol=4))
    assert before == GLOBALS


def test_memo_index_and_declared_lengths_allocate_nothing():
    """Python's own unpickler would make a memo of 2**32 slots for this."""
    tracemalloc.start()
    try:
        assert load(b"\x80\x02K\x05r" + struct.pack("<I", 2**32 - 1) + b".") == 5
        with pytest.raises(WeightsError):
            load(b"\x80\x02\x8e" + struct.pack("<Q", 2**40) + b".")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_one_string_copied_by_many_calls_is_refused():
    text = assemble("x" * 100_000) + b"q\x000"
    call = assemble(Global("_codecs", "encode")) + b"(h\x00" + assemble("latin1") + b"tR0"
    with pytest.raises(WeightsError, match="items to calls"):
        load(b"\x80\x02" + text + call * 100 + b"N.")


def test_too_many_opcodes(monkeypatch):
    monkeypatch.setattr(pickle_reader, "MAX_OPCODES", 100)
    assert load(pickled([1] * 50)) == [1] * 50
    with pytest.raises(WeightsError, match="more than 100 opcodes"):
        load(pickled([1] * 200))


def test_stream_is_left_behind_the_pickle():
    stream = io.BytesIO(pickled(1) + pickled("two") + b"rest")
    assert RestrictedUnpickler(stream).load() == 1
    assert RestrictedUnpickler(stream).load() == "two"
    assert stream.read() == b"rest"


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(value=PLAIN, protocol=st.integers(0, 4))
def test_plain_containers_read_as_pickle_reads_them(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_shared_containers_stay_shared(protocol):
    inner = [1]
    result = load(pickle.dumps({"a": inner, "b": inner}, protocol))
    assert result["a"] is result["b"]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_ordered_dict_and_counter_become_dicts(protocol):
    assert load(pickle.dumps(OrderedDict(b=1, a=2), protocol)) == {"b": 1, "a": 2}
    assert load(pickle.dumps(Counter([30, 60, 60]), protocol)) == {30: 1, 60: 2}


def test_ordered_dict_as_python_2_wrote_it():
    pairs = [["weight", 1], ["bias", 2]]
    result = load(pickled(Call(Global("collections", "OrderedDict"), (pairs,))))
    assert list(result.items()) == [("weight", 1), ("bias", 2)]


@pytest.mark.parametrize("kind", ["f8", "f4", "f2", "i8", "u1", "b1", "c8"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_numpy_scalars(kind, protocol):
    scalar = np.array(71.5).astype(kind)[()]
    assert load(pickle.dumps([scalar, scalar], protocol)) == [scalar, scalar]


def test_numpy_scalar_of_a_big_endian_machine():
    state = (3, ">", None, None, None, -1, -1, 0)
    kind = Raw(assemble(Call(DTYPE, ("f8", False, True))) + b"q\x00" + assemble(state) + b"b")
    encode = Global("_codecs", "encode")
    values = [
        Call(SCALAR, (kind, Call(encode, (struct.pack(">d", 71.5).decode("latin-1"), "latin1")))),
        # The second finds the dtype in the memo, where it was put before its state was set.
        Call(SCALAR, (Raw(b"h\x00"), Call(encode, ("@\x08" + "\0" * 6, "latin1")))),
    ]
    assert load(pickled(values)) == [71.5, 3.0]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_pickles_raise_only_weights_errors(data):
    """Whatever happens to the bytes: a value or a WeightsError, nothing else."""
    records, _ = state_dict({"a": np.ones((2, 3), np.float32), "b": np.zeros(1, np.int64)})
    scalar = pickle.dumps({"acc": np.float64(0.5), "n": [1, (2, 3)]}, 2)
    good = bytearray(data.draw(st.sampled_from([pickled(records), scalar])))
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        load(bytes(good[: data.draw(st.integers(1, len(good)))]))
    except WeightsError:
        pass
