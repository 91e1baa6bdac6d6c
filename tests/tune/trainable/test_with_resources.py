"""What users say about the resources of trials."""

from __future__ import annotations

import pytest

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory
from shoal.tune.trainable.with_resources import bundles_for


def test_resources_by_name() -> None:
    expected = PlacementGroupFactory([{"CPU": 2.0, "GPU": 0.5, "hdd": 80.0}])
    assert bundles_for({"cpu": 2, "gpu": 0.5, "hdd": 80}) == expected
    assert bundles_for({"cpu": 2, "gpu": 0.5, "custom_resources": {"hdd": 80}}) == expected


@pytest.mark.parametrize("custom", [80, {"hdd": "many"}, {"hdd": True}])
def test_amounts_that_are_none(custom: object) -> None:
    with pytest.raises(InvalidArgumentError):
        bundles_for({"cpu": 2, "custom_resources": custom})
