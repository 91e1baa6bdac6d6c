"""How a run stands, in numbers."""

from __future__ import annotations

from shoal.train._internal.logic.run_progress import RunProgress, shown


def test_rates_are_of_late_reports() -> None:
    progress = RunProgress("run", 0.0)
    progress.started(0, 1)
    assert progress.ranks[0].reports_per_second is None
    for number in range(30):
        progress.reported(0, {}, False, 10.0 + number * (1.0 if number < 8 else 0.5))
    assert progress.ranks[0].reports_per_second == 2.0
    assert progress.ranks[0].seconds_per_report == 0.5
    assert progress.seconds(31.0) == 31.0


def test_checkpoints_wait_for_all_ranks() -> None:
    progress = RunProgress("run", 0.0)
    progress.started(0, 2)
    progress.reported(0, {}, True, 1.0)
    progress.reported(0, {}, True, 2.0)
    assert (progress.waiting, progress.checkpoints) == (2, 0)
    progress.reported(1, {}, True, 3.0)
    progress.committed("/run/checkpoint_0")
    assert (progress.waiting, progress.checkpoints) == (1, 1)
    progress.failed({1: ValueError("x")}, restarting=True)
    progress.started(1, 2)
    assert (progress.waiting, progress.restarts, progress.resizes) == (0, 1, 0)
    progress.started(2, 3)
    assert progress.resizes == 1


def test_a_run_that_is_over_gets_no_older() -> None:
    progress = RunProgress("run", 5.0)
    progress.ended(None, 8.0)
    assert (progress.state, progress.seconds(100.0)) == ("finished", 3.0)
    failed = RunProgress("run", 5.0)
    failed.ended(ValueError(), 8.0)
    assert failed.state == "failed"


def test_metrics_are_those_of_numbers() -> None:
    progress = RunProgress("run", 0.0)
    progress.started(0, 2)
    assert progress.metric_names(2) == []
    progress.reported(1, {"name": "x", "loss": 0.123456, "step": 3, "acc": 1.0}, False, 1.0)
    assert progress.metric_names(2) == ["loss", "step"]
    assert [shown(value) for value in (0.123456, 3, 1e-9, None, True, "text")] == [
        "0.1235",
        "3",
        "1e-09",
        "",
        "True",
        "text",
    ]
