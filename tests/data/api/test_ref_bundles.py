"""Blocks by reference, and datasets that travel after they have run."""

from __future__ import annotations

import pickle

import shoal
from shoal import cloudpickle
from shoal.data.block import RefBundle


def test_blocks_come_as_references_in_order() -> None:
    bundles = list(shoal.data.range(10, override_num_blocks=3).iter_internal_ref_bundles())
    assert all(isinstance(bundle, RefBundle) for bundle in bundles)
    assert sum(bundle.num_rows() for bundle in bundles) == 10
    assert all(bundle.size_bytes() > 0 for bundle in bundles)
    tables = [shoal.get(ref) for bundle in bundles for ref, _ in bundle.blocks]
    assert [row for table in tables for row in table["id"].to_pylist()] == list(range(10))


def test_a_dataset_that_has_run_travels() -> None:
    dataset = shoal.data.range(10, override_num_blocks=3).map_batches(lambda batch: batch)
    assert dataset.count() == 10
    assert dataset.take(3)
    assert pickle.loads(cloudpickle.dumps(dataset)).take_all() == dataset.take_all()
