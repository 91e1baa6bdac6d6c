"""Functions and classes are pickled once, by content, and what they drag along is watched."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from shoal._core.system import definition_pickling
from shoal._core.system.definition_pickling import large_captures, pickle_definition
from shoal._core.system.serialization import deserialize, serialize
from shoal.exceptions import DefinitionTooLargeError, SerializationError


def test_local_function() -> None:
    base = 5

    def add(x: int) -> int:
        return x + base

    data, digest = pickle_definition(add)
    assert pickle.loads(data)(2) == 7
    assert len(digest) == 20
    assert pickle_definition(add) == (data, digest)


def test_hash_tells_contents_apart() -> None:
    def make(base: int) -> Any:
        return lambda x: x + base

    assert pickle_definition(make(1))[1] == pickle_definition(make(1))[1]
    assert pickle_definition(make(1))[1] != pickle_definition(make(2))[1]


def test_local_class() -> None:
    class Counter:
        def __init__(self) -> None:
            self.n = 0

        def add(self) -> int:
            self.n += 1
            return self.n

    data, _ = pickle_definition(Counter)
    assert pickle.loads(data)().add() == 1


def test_importable_function_travels_by_name() -> None:
    data, _ = pickle_definition(textwrap.dedent)
    assert len(data) < 60


def test_what_refuses_is_named() -> None:
    lock = threading.Lock()

    def train() -> Any:
        return lock

    with pytest.raises(SerializationError) as caught:
        pickle_definition(train, "train")
    assert str(caught.value).startswith("cannot serialize function train: train -> lock (a variable of the enclosing")

    class Model:
        lock = threading.Lock()

    with pytest.raises(SerializationError, match=r"class Model: .*attribute"):
        pickle_definition(Model, "Model")


class TestSizes:
    def test_large_captures(self) -> None:
        small, large = np.zeros(10), np.zeros(1_000_000)
        table = {"rows": np.zeros(20_000)}

        def use(x: Any = large[:100_000]) -> Any:
            return small, large, table

        assert large_captures(use) == [
            ("large", pytest.approx(8_000_000, abs=1000)),
            ("x", pytest.approx(800_000, abs=1000)),
            ("table", pytest.approx(160_000, abs=1000)),
        ]

    def test_captures_of_a_class(self) -> None:
        large = np.zeros(1_000_000)

        class Model:
            weights = np.ones(100_000)

            def step(self) -> Any:
                return large

            @staticmethod
            def other() -> Any:
                return large

            @property
            def size(self) -> int:
                return len(large)

        assert [name for name, _ in large_captures(Model)] == ["large", "weights"]

    def test_captures_that_cannot_be_pickled_are_no_matter(self) -> None:
        lock = threading.Lock()
        assert large_captures(lambda: lock) == []
        assert large_captures(len) == []

    def test_warning(self) -> None:
        data_set = np.zeros(1_000_000)
        with pytest.warns(UserWarning, match=r"train is 7\.6 MiB when pickled, because of 'data_set' \(7\.6 MiB\)"):
            pickle_definition(lambda: data_set, "train")

    def test_refusal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(definition_pickling, "LARGEST_SIZE", 5 * 2**20)
        data_set = np.zeros(1_000_000)
        with pytest.raises(DefinitionTooLargeError, match=r"shoal\.put\(data_set\)") as caught:
            pickle_definition(lambda: data_set, "train")
        assert caught.value.captures[0][0] == "data_set"

    def test_without_a_variable_to_blame(self) -> None:
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def train(): return {'x' * 10 + '[' + ','.join(['1'] * 10) + ']'!r}" + f", {'y' * (5 * 2**20)!r}", space)
        with pytest.warns(UserWarning, match="Pass large data as arguments"):
            pickle_definition(space["train"], "train")


@pytest.fixture
def hidden_module(tmp_path: Path) -> Iterator[types.ModuleType]:
    """A module loaded from a path that is not on `sys.path`, as test runners do."""
    path = tmp_path / "hidden_module.py"
    path.write_text(
        textwrap.dedent(
            """
            import dataclasses

            FACTOR = 3

            @dataclasses.dataclass
            class Item:
                size: int

            def scale(item):
                return Item(item.size * FACTOR)
            """
        )
    )
    spec = importlib.util.spec_from_file_location("hidden_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hidden_module"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["hidden_module"]
    if "hidden_module" in cloudpickle.list_registry_pickle_by_value():
        cloudpickle.unregister_pickle_by_value(module)


def elsewhere(code: str, *data: bytes) -> str:
    """Runs code in a fresh interpreter; `data` is a list of bytes there."""
    script = f"import sys; data = {list(data)!r}\n{textwrap.dedent(code)}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestModulesThatOthersCannotImport:
    def test_travel_by_value(self, hidden_module: types.ModuleType) -> None:
        function, _ = pickle_definition(hidden_module.scale)
        argument = serialize(hidden_module.Item(2)).to_bytes()
        code = """
            from shoal._core.system.serialization import deserialize
            print(deserialize(data[0])(deserialize(data[1])))
        """
        assert elsewhere(code, function, argument) == "Item(size=6)"

    def test_results_come_home_as_the_classes_that_left(self, hidden_module: types.ModuleType) -> None:
        function, _ = pickle_definition(hidden_module.scale)
        argument = serialize(hidden_module.Item(2)).to_bytes()
        code = """
            from shoal._core.system.serialization import deserialize, serialize
            print(serialize(deserialize(data[0])(deserialize(data[1]))).to_bytes().hex())
        """
        result = deserialize(bytes.fromhex(elsewhere(code, function, argument)))
        assert result == hidden_module.Item(6)
        assert type(result) is hidden_module.Item

    def test_module_made_at_run_time(self) -> None:
        module = types.ModuleType("made_at_run_time")
        sys.modules["made_at_run_time"] = module
        try:
            exec("def answer():\n    return 42", module.__dict__)
            data, _ = pickle_definition(module.answer)
            assert elsewhere("import pickle; print(pickle.loads(data[0])())", data) == "42"
        finally:
            del sys.modules["made_at_run_time"]

    def test_module_that_can_be_imported_is_left_alone(
        self, hidden_module: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(str(tmp_path))
        data, _ = pickle_definition(hidden_module.scale)
        assert len(data) < 60
        assert "hidden_module" not in cloudpickle.list_registry_pickle_by_value()
