"""Silent ranks."""

from __future__ import annotations

from shoal.train._internal.logic.progress import ProgressWatch, to_blame, waits

WORKING = '  File "/home/me/train.py", line 3, in loop\n    time.sleep(9)\n'
WAITING = '  File "/site-packages/torch/distributed/distributed_c10d.py", line 9, in all_reduce\n    work.wait()\n'


def test_silent_ranks_are_named_when_one_of_them_is_due() -> None:
    watch = ProgressWatch(2, now=100.0, warn_after=60.0, fail_after=None)
    assert watch.deadline() == 160.0
    watch.heard(0, 130.0)
    assert watch.silent(160.0) == [1]
    assert watch.silent(165.0) == []
    assert watch.deadline() == 190.0
    assert watch.silent(191.0) == [0, 1]
    # Rank 1, looked at after 60 s of silence, is due after 120.
    assert watch.deadline() == 220.0
    watch.heard(1, 195.0)
    assert watch.silent(230.0) == []
    assert watch.silent(255.0) == [0, 1]


def test_lost_ranks() -> None:
    watch = ProgressWatch(3, now=0.0, warn_after=None, fail_after=5.0)
    watch.heard(0, 3.0)
    watch.ended(2)
    assert watch.deadline() == 5.0
    assert watch.lost(6.0) == [1]
    assert watch.silence(1, 6.0) == 6.0
    assert watch.silent(1e9) == []


def test_a_run_without_limits_has_no_deadline() -> None:
    assert ProgressWatch(3, 0.0, None, None).deadline() is None
    ended = ProgressWatch(1, 0.0, 1.0, 1.0)
    ended.ended(0)
    assert ended.deadline() is None


def test_who_works_while_others_wait_is_to_blame() -> None:
    assert waits(WORKING + WAITING)
    assert not waits(WORKING)
    assert to_blame([0, 1], {0: WORKING, 1: WORKING + WAITING}) == [0]
    assert to_blame([0, 1], {0: WORKING, 1: WORKING}) == []
    assert to_blame([0, 1], {0: WAITING, 1: WAITING}) == []


def test_who_does_not_answer_is_to_blame() -> None:
    assert to_blame([0, 1, 2], {0: WORKING, 2: WORKING + WAITING}) == [1]


def test_a_lost_rank_that_waits_for_another_is_given_time_until_that_one_is_lost_too() -> None:
    watch = ProgressWatch(2, now=0.0, warn_after=None, fail_after=5.0)
    watch.heard(1, 0.5)
    assert watch.lost(5.0) == [0]
    assert watch.given_up([0], {0: WAITING}, 5.0) == []
    assert watch.lost(5.1) == []
    assert watch.deadline() == 5.5
    assert watch.lost(5.5) == [0, 1]
    assert watch.given_up([0, 1], {0: WAITING, 1: WORKING}, 5.5) == [1]


def test_a_lost_rank_that_waits_for_nobody_lost_is_given_up_at_last() -> None:
    watch = ProgressWatch(2, now=0.0, warn_after=None, fail_after=5.0)
    watch.heard(1, 4.0)
    assert watch.given_up([0], {0: WAITING}, 5.0) == []
    watch.heard(1, 9.0)
    assert watch.lost(10.0) == [0]
    assert watch.given_up([0], {0: WAITING}, 10.0) == [0]


def test_lost_ranks_that_all_work_or_all_wait_are_given_up_together() -> None:
    watch = ProgressWatch(2, now=0.0, warn_after=None, fail_after=5.0)
    assert watch.given_up([0, 1], {0: WORKING, 1: WORKING}, 6.0) == [0, 1]
    assert watch.given_up([0, 1], {0: WAITING, 1: WAITING}, 6.0) == [0, 1]
    assert watch.given_up([0], {0: WORKING}, 6.0) == [0]


def test_code_of_the_user_that_a_library_calls_is_no_waiting() -> None:
    waiting = '  File "/x/site-packages/torch/autograd/graph.py", line 1, in backward\n'
    deep = '  File "/usr/lib/python3.11/threading.py", line 9, in wait\n    waiter.acquire()\n'
    assert waits(WORKING + waiting + deep)
    assert not waits(waiting + WORKING + deep)
    assert not waits("")
