"""What code keeps on its way."""

from __future__ import annotations

import traceback

import pytest

from shoal import cloudpickle
from shoal._core.system.definition_pickling import pickle_definition


def fail() -> None:
    raise RuntimeError("here")


@pytest.mark.parametrize("pickled", [cloudpickle.dumps, lambda function: pickle_definition(function)[0]])
def test_code_keeps_the_name_of_its_file(pickled) -> None:
    def local() -> None:
        fail()

    copy = cloudpickle.loads(pickled(local))
    assert copy is not local
    assert copy.__code__.co_filename == __file__
    with pytest.raises(RuntimeError) as raised:
        copy()
    assert [frame.name for frame in traceback.extract_tb(raised.tb) if frame.filename == __file__][-1] == "fail"
