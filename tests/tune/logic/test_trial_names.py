"""Names of trials: unique, and never too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.tune._internal.logic.trial_names import LONGEST, clean_name, experiment_tag, folder_name, trial_id


def test_ids_differ_and_depend_on_the_search_and_the_number_alone() -> None:
    taken: set[str] = set()
    for number in range(5000):
        taken.add(trial_id("search", number, taken))
    assert len(taken) == 5000
    assert all(len(one) == 8 for one in taken)
    assert trial_id("search", 7, ()) == trial_id("search", 7, ())
    assert trial_id("search", 7, {trial_id("search", 7, ())}) != trial_id("search", 7, ())


@given(st.text(max_size=400), st.dictionaries(st.text(max_size=200), st.text(max_size=200) | st.floats(), max_size=20))
def test_a_folder_is_never_over_120_characters(name: str, params: dict[str, object]) -> None:
    folder = folder_name(name, experiment_tag(3, params), "2026-01-01_00-00-00")
    assert len(folder) <= LONGEST
    assert "/" not in folder
    assert folder.endswith("2026-01-01_00-00-00")


def test_a_tag_says_the_parameters() -> None:
    assert experiment_tag(3, {"model/lr": 0.01, "depth": 4}) == "3_depth=4,lr=0.0100"
    assert experiment_tag(3, {}) == "3"


def test_names_that_cannot_be_are_made_so_that_they_can() -> None:
    assert clean_name("a/b c") == "a_b_c"
    assert clean_name("..") == "_"
