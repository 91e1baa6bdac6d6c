"""Values survive the round trip, large buffers without a copy, references are noted."""

from __future__ import annotations

import array
import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import gc
import ipaddress
import itertools
import operator
import pathlib
import pickle
import re
import socket
import subprocess
import sys
import textwrap
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from shoal._core.system.serialization import (
    IN_BAND_LIMIT,
    Serialized,
    deregister_serializer,
    deserialize,
    note_ref,
    register_serializer,
    serialize,
)
from shoal.exceptions import SerializationError, SessionEndedError


def round_trips(value: Any) -> list[Any]:
    """The value after each way that its bytes can go."""
    serialized = serialize(value)
    inline = serialized.to_bytes()
    assert len(inline) == serialized.size
    block = bytearray(b"\xee" * (serialized.size + 64))
    target = memoryview(block)[: serialized.size]
    serialized.write_into(target)
    return [deserialize(inline), deserialize(target.toreadonly()), deserialize(memoryview(inline))]


def round_trip(value: Any) -> Any:
    return round_trips(value)[0]


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
hashables = st.recursive(scalars, lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner), max_leaves=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(hashables, inner)
        | st.sets(hashables)
        | st.frozensets(hashables)
    ),
    max_leaves=20,
)


@given(values)
def test_nested_builtin_values(value: Any) -> None:
    for copied in round_trips(value):
        assert copied == value
        assert type(copied) is type(value)


@given(st.integers(min_value=-(2**5000), max_value=2**5000))
def test_big_integers(value: int) -> None:
    assert round_trip(value) == value


@settings(deadline=None, max_examples=150)
@given(
    npst.arrays(
        dtype=npst.scalar_dtypes() | npst.unicode_string_dtypes(max_len=5) | npst.array_dtypes(max_size=3),
        shape=npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
    )
)
def test_numpy_arrays(value: Any) -> None:
    for copied in round_trips(value):
        assert_same_array(copied, value)


def assert_same_array(copied: Any, value: Any) -> None:
    assert type(copied) is type(value)
    # numpy itself loses the byte order of dates.
    expected = pickle.loads(pickle.dumps(value, 5))
    assert copied.dtype == expected.dtype
    assert copied.shape == expected.shape
    assert copied.tobytes() == expected.tobytes()


LARGE = np.arange(20_000, dtype=np.float64)

ARRAYS: dict[str, Any] = {
    "zero-dimensional": np.array(3.5),
    "empty": np.empty((0, 3)),
    "large": LARGE,
    "C order": LARGE.reshape(100, 200),
    "Fortran order": np.asfortranarray(LARGE.reshape(100, 200)),
    "transposed": LARGE.reshape(100, 200).T,
    "strided": LARGE[::2],
    "reversed": LARGE[::-1],
    "inner slice": LARGE.reshape(100, 200)[:, 3:50],
    "broadcast": np.broadcast_to(np.arange(100), (200, 100)),
    "big-endian": LARGE.astype(">f8"),
    "bool": LARGE > 7,
    "complex": LARGE.astype(complex),
    "half": LARGE.astype(np.float16),
    "datetime": LARGE.astype("datetime64[s]"),
    "timedelta": LARGE.astype("timedelta64[ms]"),
    "bytes": np.array([b"a", b"bcd"] * 5000),
    "text": np.array(["a", "bcd"] * 5000),
    "record": np.zeros(2000, dtype=[("a", "i4"), ("b", "f8", (2,))]),
    "object": np.array([1, "a", None, {"b": 2}], dtype=object),
    "longdouble": LARGE.astype(np.longdouble),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_numpy_array_of_a_kind(name: str) -> None:
    value = ARRAYS[name]
    for copied in round_trips(value):
        assert copied.dtype == value.dtype
        assert copied.shape == value.shape
        np.testing.assert_array_equal(copied, value)
        if value.flags.f_contiguous and not value.flags.c_contiguous:
            assert copied.flags.f_contiguous


def test_numpy_scalars_and_masked_and_matrix() -> None:
    for value in (np.float32(1.5), np.int64(3), np.bool_(True), np.datetime64("2020-01-01"), np.str_("a")):
        assert round_trip(value) == value
        assert type(round_trip(value)) is type(value)
    masked = np.ma.masked_array(LARGE, mask=LARGE > 5)
    copied = round_trip(masked)
    np.testing.assert_array_equal(copied.filled(0), masked.filled(0))


class TestBuffers:
    def test_large_array_is_a_read_only_view_of_the_store(self) -> None:
        serialized = serialize({"a": LARGE})
        block = bytearray(serialized.size)
        serialized.write_into(memoryview(block))
        copied = deserialize(memoryview(block).toreadonly())["a"]
        assert not copied.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            copied[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            copied.flags.writeable = True
        start = np.frombuffer(block, dtype=np.uint8).ctypes.data
        assert start <= copied.ctypes.data < start + len(block)

    def test_view_of_writable_memory_is_read_only_too(self) -> None:
        block = bytearray(serialize(LARGE).to_bytes())
        assert not deserialize(block).flags.writeable

    def test_large_array_in_inline_bytes_is_a_view(self) -> None:
        data = serialize(LARGE).to_bytes()
        copied = deserialize(data)
        start = np.frombuffer(data, dtype=np.uint8).ctypes.data
        assert start <= copied.ctypes.data < start + len(data)

    def test_small_array_is_a_writable_copy(self) -> None:
        copied = round_trip(np.zeros(10))
        copied[0] = 1
        assert copied[0] == 1

    def test_limit(self) -> None:
        assert not serialize(np.zeros(IN_BAND_LIMIT - 1, dtype=np.uint8)).buffers
        assert serialize(np.zeros(IN_BAND_LIMIT, dtype=np.uint8)).buffers

    def test_buffers_are_aligned(self) -> None:
        arrays = [np.arange(IN_BAND_LIMIT + size, dtype=np.uint8) for size in (0, 1, 63, 64, 65)]
        serialized = serialize(arrays)
        assert len(serialized.buffers) == 5
        block = bytearray(serialized.size + 64)
        begin = -np.frombuffer(block, dtype=np.uint8).ctypes.data % 64
        target = memoryview(block)[begin : begin + serialized.size]
        serialized.write_into(target)
        for copied, value in zip(deserialize(target), arrays, strict=True):
            assert copied.ctypes.data % 64 == 0
            np.testing.assert_array_equal(copied, value)

    def test_form_without_buffers_is_the_pickle(self) -> None:
        for value in (1, "a", [1, 2], {"a": np.zeros(3)}, lambda: 1):
            serialized = serialize(value)
            data = serialized.to_bytes()
            assert data == serialized.pickled
            assert data[0] == 0x80
            assert type(data) is bytes

    def test_form_with_buffers(self) -> None:
        serialized = serialize(LARGE)
        data = serialized.to_bytes()
        assert data[0] != 0x80
        assert serialized.pickled in data
        assert serialized.pickled[0] == 0x80
        assert serialized.size == len(data)

    def test_same_array_twice_is_sent_once(self) -> None:
        serialized = serialize([LARGE, LARGE])
        assert len(serialized.buffers) == 1
        first, second = deserialize(serialized.to_bytes())
        assert first is second

    @pytest.mark.parametrize("kind", [bytes, bytearray])
    @pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: ((x, 1), {"k": x}), lambda x: {"a": [x]}])
    def test_large_bytes_are_not_copied_before_they_are_laid_out(self, kind: type, wrap: Callable[[Any], Any]) -> None:
        payload = kind(b"payload!") * 100_000
        serialized = serialize(wrap(payload))
        assert any(part is payload for part in serialized._parts)
        assert deserialize(serialized.to_bytes()) == wrap(payload)

    @pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, 1_000_000])
    def test_sizes_around_those_of_frames(self, size: int) -> None:
        for value in (
            b"x" * size,
            "y" * size,
            ["z" * size, b"", "é" * size],
            bytearray(size),
            [b"q" * 100] * (size // 50),
        ):
            for copied in round_trips(value):
                assert copied == value

    def test_other_owners_of_buffers(self) -> None:
        for value in (array.array("d", range(5000)), bytearray(b"a" * 10_000)):
            assert round_trip(value) == value

    def test_pickle_buffer_itself(self) -> None:
        copied = round_trip(pickle.PickleBuffer(b"a" * 10_000))
        assert bytes(copied) == b"a" * 10_000

    def test_memory_is_released(self) -> None:
        block = bytearray(serialize(LARGE).to_bytes())
        copied = deserialize(memoryview(block))
        with pytest.raises(BufferError):
            block.append(0)
        del copied
        block.append(0)

    @pytest.mark.parametrize("extra", [0, b"x" * 100_000, lambda: 1], ids=["small", "large", "function"])
    def test_serializing_releases_the_value(self, extra: Any) -> None:
        block = bytearray(10_000)
        value = [np.frombuffer(block, dtype=np.uint8), extra]
        serialize(value)
        del value
        block.append(0)

    def test_bytes_that_are_no_value(self) -> None:
        with pytest.raises(SerializationError, match="0x41"):
            deserialize(b"A" * 100)


def test_pandas_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "i": range(5000),
            "f": np.linspace(0, 1, 5000),
            "s": [f"row {i}" for i in range(5000)],
            "c": pandas.Categorical(["a", "b"] * 2500),
            "t": pandas.date_range("2020-01-01", periods=5000, freq="h", tz="UTC"),
            "n": pandas.array([1, None] * 2500, dtype="Int64"),
        },
        index=pandas.Index(range(5000), name="key"),
    )
    assert serialize(frame).buffers
    for copied in round_trips(frame):
        pandas.testing.assert_frame_equal(copied, frame)
    for part in (
        frame["f"],
        frame.index,
        frame.groupby("c", observed=True)["i"].sum(),
        pandas.Timestamp("2020"),
        frame.iloc[:0],
    ):
        copied = round_trip(part)
        assert str(copied) == str(part)


def test_arrow_tables() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"a": range(50_000), "b": [f"text {i}" for i in range(50_000)], "c": [None, [1, 2]] * 25_000})
    serialized = serialize(table)
    assert serialized.buffers
    assert len(serialized.pickled) < 20_000
    for copied in round_trips(table):
        assert copied.equals(table)


class TestTorch:
    @pytest.fixture
    def torch(self) -> Any:
        return pytest.importorskip("torch")

    def test_tensors(self, torch: Any) -> None:
        large = torch.arange(10_000, dtype=torch.float32)
        for value in (
            large,
            large.reshape(100, 100).T,
            large[3:50],
            large.to(torch.bfloat16),
            large > 3,
            large.to(torch.complex64),
            torch.tensor(3.5),
            torch.empty(0, 3),
            torch.empty((), dtype=torch.int8).fill_(3),
        ):
            for copied in round_trips(value):
                assert copied.dtype == value.dtype
                assert copied.shape == value.shape
                assert torch.equal(copied, value)
                copied.zero_()

    def test_large_tensor_goes_out_of_band(self, torch: Any) -> None:
        serialized = serialize({"weights": torch.zeros(100_000)})
        assert [buffer.nbytes for buffer in serialized.buffers] == [400_000]
        assert len(serialized.pickled) < 1000

    def test_gradients_and_modules(self, torch: Any) -> None:
        leaf = torch.ones(3, requires_grad=True)
        assert round_trip(leaf).requires_grad
        model = torch.nn.Linear(300, 40)
        copied = round_trip(model)
        assert isinstance(copied.weight, torch.nn.Parameter)
        assert torch.equal(copied.weight, model.weight)
        copied(torch.ones(2, 300)).sum().backward()
        state = round_trip(model.state_dict())
        assert torch.equal(state["weight"], model.weight)

    def test_tensors_that_are_not_plain(self, torch: Any) -> None:
        sparse = torch.eye(3).to_sparse()
        assert torch.equal(round_trip(sparse).to_dense(), torch.eye(3))
        conjugate = torch.ones(3, dtype=torch.complex64).conj()
        assert torch.equal(round_trip(conjugate), conjugate)
        marked = torch.ones(3)
        marked.note = "kept"
        assert round_trip(marked).note == "kept"

    def test_inside_what_is_pickled_by_value(self, torch: Any) -> None:
        weights = torch.arange(10_000)
        serialized = serialize(lambda: weights)
        assert serialized.buffers
        assert torch.equal(deserialize(serialized.to_bytes())(), weights)


# --- What plain pickle cannot do -----------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Record:
    name: str
    data: Any


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a = 1


def module_function(x: int) -> int:
    return x + 1


OBJECTS: list[Any] = [
    Colour.RED,
    Point(1, 2),
    Record("r", [1]),
    collections.OrderedDict(a=1),
    collections.Counter("abca"),
    collections.deque([1, 2], maxlen=3),
    collections.defaultdict(list, a=[1]),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    datetime.timedelta(days=1),
    decimal.Decimal("1.50"),
    fractions.Fraction(1, 3),
    ipaddress.ip_address("10.0.0.1"),
    pathlib.PurePosixPath("/a/b"),
    re.compile("a+"),
    uuid.UUID(int=5),
    range(3),
    slice(1, 2),
    Ellipsis,
    NotImplemented,
    types.SimpleNamespace(a=1),
    frozenset({1}),
    1 + 2j,
    float("inf"),
    len,
    operator.itemgetter(1),
    int,
    module_function,
    Record,
    datetime.date,
]


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_objects(value: Any) -> None:
    for copied in round_trips(value):
        if hasattr(type(value), "__eq__") and type(value).__eq__ is not object.__eq__:
            assert copied == value
        else:
            assert repr(copied) == repr(value)
    assert round_trip([value, LARGE])[0] is not None


def test_identity_inside_a_value_is_kept() -> None:
    inner: list[int] = []
    first, second = round_trip([inner, inner])
    assert first is second
    loop: list[Any] = []
    loop.append(loop)
    copied = round_trip(loop)
    assert copied[0] is copied


def test_functions_of_all_kinds() -> None:
    captured = 5

    def local(x: int, *, y: int = 2) -> int:
        return x + captured + y

    def recursive(n: int) -> int:
        return n * recursive(n - 1) if n else 1

    async def coroutine() -> int:
        return captured

    def generator() -> Iterator[int]:
        yield captured

    assert round_trip(local)(1, y=3) == 9
    assert round_trip(lambda x: x * captured)(3) == 15
    assert round_trip(recursive)(5) == 120
    assert round_trip(functools.partial(local, 1))(y=1) == 7
    assert list(round_trip(generator)()) == [5]
    assert round_trip([coroutine])[0].__name__ == "coroutine"
    assert round_trip({"a": [lambda: LARGE]})["a"][0]().shape == LARGE.shape
    assert round_trip(np.add) is np.add
    assert round_trip("abc".upper)() == "ABC"


def test_local_classes() -> None:
    @dataclasses.dataclass
    class Local:
        data: Any

        def size(self) -> int:
            return len(self.data)

    copied = round_trip([Local(LARGE), Local("ab")])
    assert copied[0].size() == len(LARGE)
    assert copied[1].size() == 2
    assert type(copied[0]) is type(copied[1])
    assert serialize([Local(LARGE)]).buffers


def test_nested_deeply() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value]
    assert round_trip(value) == value
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializationError, match="nested too deeply"):
        serialize(value)
    assert round_trip([1]) == [1]
    while value:
        # Freeing it in one go would exhaust the stack of older Pythons.
        value = value.pop()


class Unpicklable:
    def __reduce__(self) -> Any:
        raise RuntimeError("never")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (threading.Lock, ["value is a _thread.lock", "cannot pickle", "process"]),
        (lambda: (x for x in "ab"), ["generator", "list of its items"]),
        (lambda: {"a": [1, threading.Lock()]}, ["value['a'][1] is a _thread.lock"]),
        (lambda: Record("r", {"deep": threading.Lock()}), ["value.data['deep']", "_thread.lock"]),
        (socket.socket, ["socket", "inside the task"]),
        (lambda: threading.Thread(), ["lock"]),
        (Unpicklable, ["never", "Unpicklable"]),
    ],
    ids=["lock", "generator", "nested", "attribute", "socket", "thread", "own reduce"],
)
def test_what_cannot_be_pickled_is_named(make: Callable[[], Any], words: list[str]) -> None:
    value = make()
    try:
        with pytest.raises(TypeError) as caught:
            serialize(value)
    finally:
        if isinstance(value, socket.socket):
            value.close()
    assert isinstance(caught.value, SerializationError)
    assert caught.value.path[0] == "value"
    for word in words:
        assert word in str(caught.value)
    assert round_trip([1, 2]) == [1, 2]


# --- References -----------------------------------------------------------------------------------------------------------


class Ref:
    """Stands for an ObjectRef."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        note_ref(self)
        return Ref, (self.name,)


class EndedRef:
    def __reduce__(self) -> Any:
        raise SessionEndedError


class SerializesInside:
    """Serializes while it is serialized, as a handle may."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __reduce__(self) -> Any:
        serialized = serialize(self.inner)
        self.inner_refs = [ref.name for ref in serialized.refs]
        return deserialize, (serialized.to_bytes(),)


class TestReferences:
    def names(self, value: Any) -> list[str]:
        return [ref.name for ref in serialize(value).refs]

    def test_are_noted_in_order(self) -> None:
        one, two = Ref("one"), Ref("two")
        assert self.names([one, {"a": two}, one]) == ["one", "two"]
        assert serialize([one]).refs[0] is one

    def test_are_noted_once_when_pickled_by_value(self) -> None:
        ref = Ref("captured")
        assert self.names(lambda: ref) == ["captured"]
        assert self.names([Ref("first"), lambda: ref]) == ["first", "captured"]
        assert self.names([Ref("first"), "__main__"]) == ["first"]

    def test_none_are_left_for_the_next_value(self) -> None:
        with pytest.raises(SerializationError):
            serialize([Ref("one"), threading.Lock()])
        assert self.names([1]) == []
        assert self.names([Ref("two")]) == ["two"]
        assert not serialize(5).refs

    def test_earlier_results_keep_theirs(self) -> None:
        first = serialize([Ref("one")])
        serialize([Ref("two")])
        assert [ref.name for ref in first.refs] == ["one"]

    def test_nested_serialization_has_its_own(self) -> None:
        inner = SerializesInside([Ref("inner"), LARGE])
        assert self.names([Ref("before"), inner, Ref("after")]) == ["before", "after"]
        assert inner.inner_refs == ["inner"]
        copied = round_trip([inner, LARGE])
        assert copied[0][0].name == "inner"
        np.testing.assert_array_equal(copied[0][1], copied[1])

    @pytest.mark.parametrize(
        "extra", [0, b"x" * 100_000, lambda: 1, "__main__"], ids=["small", "large", "function", "main"]
    )
    def test_are_not_kept_longer_than_the_result(self, extra: Any) -> None:
        ref = Ref("one")
        watch = weakref.ref(ref)
        serialized = serialize([ref, extra])
        del ref
        assert watch() is serialized.refs[0]
        del serialized
        assert watch() is None

    def test_are_not_kept_after_a_failure(self) -> None:
        ref = Ref("one")
        watch = weakref.ref(ref)
        with pytest.raises(SerializationError):
            serialize([ref, threading.Lock()])
        del ref
        gc.collect()
        assert watch() is None

    def test_outside_of_serialization_nothing_happens(self) -> None:
        note_ref(Ref("nowhere"))
        pickle.dumps(Ref("nowhere"))
        assert self.names([]) == []

    def test_ended_session_is_reported_as_such(self) -> None:
        with pytest.raises(SessionEndedError):
            serialize([EndedRef()])

    def test_threads_do_not_mix(self) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for turn in range(200):
                    names = [f"{number}-{turn}-{place}" for place in range(5)]
                    value = [Ref(name) for name in names]
                    extra: Any = (lambda: number) if turn % 20 == 0 else np.arange(turn * 100)
                    serialized = serialize([value, extra])
                    assert [ref.name for ref in serialized.refs] == names
                    copied = deserialize(serialized.to_bytes())
                    assert [ref.name for ref in copied[0]] == names
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


# --- Serializers of users -------------------------------------------------------------------------------------------------


class Opaque:
    def __init__(self, data: Any) -> None:
        self.data = data
        self.lock = threading.Lock()


class OpaqueChild(Opaque):
    pass


def opaque_data(value: Opaque) -> Any:
    return value.data


@pytest.fixture
def registered() -> Iterator[None]:
    register_serializer(Opaque, serializer=opaque_data, deserializer=Opaque)
    yield
    deregister_serializer(Opaque)


@pytest.mark.usefixtures("registered")
class TestCustomSerializers:
    def test_is_used_at_every_depth(self) -> None:
        assert round_trip(Opaque(3)).data == 3
        assert round_trip({"a": [Opaque("x")]})["a"][0].data == "x"
        assert round_trip(Record("r", Opaque(5))).data.data == 5

    def test_its_buffers_go_out_of_band(self) -> None:
        serialized = serialize([Opaque(LARGE)])
        assert serialized.buffers
        np.testing.assert_array_equal(deserialize(serialized.to_bytes())[0].data, LARGE)

    def test_is_used_when_pickling_by_value(self) -> None:
        opaque = Opaque(3)
        assert round_trip(lambda: opaque.data)() == 3

    def test_is_for_the_exact_class(self) -> None:
        with pytest.raises(SerializationError, match="lock"):
            serialize(OpaqueChild(3))

    def test_local_functions_as_serializers(self) -> None:
        register_serializer(
            OpaqueChild, serializer=lambda value: value.data, deserializer=lambda data: Opaque(data * 2)
        )
        try:
            assert round_trip(OpaqueChild(4)).data == 8
        finally:
            deregister_serializer(OpaqueChild)

    def test_last_one_counts(self) -> None:
        register_serializer(Opaque, serializer=lambda value: 1, deserializer=lambda data: data)
        assert round_trip(Opaque(3)) == 1

    def test_refs_inside_are_noted(self) -> None:
        assert [ref.name for ref in serialize(Opaque(Ref("inside"))).refs] == ["inside"]

    def test_deregistering(self) -> None:
        deregister_serializer(Opaque)
        deregister_serializer(Opaque)
        with pytest.raises(SerializationError):
            serialize(Opaque(3))

    def test_registrations_of_copyreg_count_too(self) -> None:
        class Local:
            pass

        copyreg.pickle(Local, lambda value: (str, ("from copyreg",)))
        try:
            assert round_trip(Local()) == "from copyreg"
            assert round_trip([Local(), lambda: 1])[0] == "from copyreg"
        finally:
            del copyreg.dispatch_table[Local]


# --- By value or by name -------------------------------------------------------------------------------------------------


def run_script(tmp_path: Path, text: str) -> bytes:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_what_main_defines_travels_by_value(tmp_path: Path) -> None:
    data = run_script(
        tmp_path,
        """
        import dataclasses, enum, sys
        from typing import NamedTuple
        from shoal._core.system.serialization import deserialize, serialize

        FACTOR = 3

        class Kind(enum.Enum):
            A = 1

        class Pair(NamedTuple):
            a: int

        @dataclasses.dataclass
        class Model:
            size: int
            def scaled(self):
                return self.size * FACTOR

        def apply(model):
            return model.scaled() + 1

        value = [Model(5), apply, Model, Kind.A, Pair(2), {"method": Model(1).scaled}]
        data = serialize(value).to_bytes()
        again = deserialize(data)
        assert type(again[0]) is Model and again[3] is Kind.A, "the class comes home as itself"
        sys.stdout.buffer.write(data)
        """,
    )
    model, apply, model_class, kind, pair, methods = deserialize(data)
    assert model.scaled() == 15
    assert apply(model) == 16
    assert model_class(2).scaled() == 6
    assert kind.name == "A"
    assert pair.a == 2
    assert methods["method"]() == 3
    # A worker sends it on the same way.
    assert deserialize(serialize([model]).to_bytes())[0].scaled() == 15


def test_cloudpickle_is_imported_only_when_needed(tmp_path: Path) -> None:
    run_script(
        tmp_path,
        """
        import sys
        from fractions import Fraction
        from shoal._core.system.serialization import deserialize, serialize

        for value in (1, "a", [1, {"b": (2, 3)}], Fraction(1, 3), len, b"x" * 100_000):
            deserialize(serialize(value).to_bytes())
        assert not {"cloudpickle", "numpy", "traceback", "inspect"} & set(sys.modules), sorted(sys.modules)
        deserialize(serialize(lambda: 1).to_bytes())
        assert "cloudpickle" in sys.modules
        """,
    )


def test_text_that_looks_like_main_is_only_text() -> None:
    assert round_trip(["__main__", {"__main__": 1}]) == ["__main__", {"__main__": 1}]


def test_modules_that_the_user_sends_by_value() -> None:
    this = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(this)
    try:
        data = serialize([Record("r", 1)]).to_bytes()
    finally:
        cloudpickle.unregister_pickle_by_value(this)
    assert b"dataclass_fields" in data
    assert b"dataclass_fields" not in serialize([Record("r", 1)]).to_bytes()


def test_what_lives_in_importable_modules_travels_by_name() -> None:
    assert len(serialize(textwrap.dedent).to_bytes()) < 60
    assert len(serialize([fractions.Fraction, itertools.chain]).to_bytes()) < 100


def test_serialized_is_plain_data() -> None:
    serialized = Serialized((b"\x80\x05", b"K\x01."))
    assert serialized.pickled == b"\x80\x05K\x01."
    assert serialized.size == 5
    assert deserialize(serialized.to_bytes()) == 1
