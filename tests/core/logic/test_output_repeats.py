"""Which lines are shown when many workers print the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal._core.logic.output_repeats import Line, OutputRepeats


def said(pid: int, text: str, is_stderr: bool = False) -> Line:
    return ("f", pid, is_stderr, text)


def texts(lines: list[Line]) -> list[str]:
    return [text for _, _, _, text in lines]


def test_the_first_is_shown_and_the_others_are_counted() -> None:
    repeats = OutputRepeats()
    assert repeats.add(0.0, [said(1, "hello"), said(2, "hello")]) == [said(1, "hello")]
    assert repeats.add(1.0, [said(3, "hello"), said(1, "hello")]) == []
    assert repeats.due() == 5.0
    assert repeats.flush(4.9) == []
    assert texts(repeats.flush(5.0)) == [
        "hello [repeated 3x across cluster] (set SHOAL_DEDUP_LOGS=0 to see every line)"
    ]


def test_the_hint_comes_once() -> None:
    repeats = OutputRepeats()
    for now in (0.0, 5.0):
        repeats.add(now, [said(pid, "hello") for pid in range(3)])
    assert texts(repeats.flush(10.0)) == ["hello [repeated 3x across cluster]"]


def test_a_single_repeat_is_shown_as_it_is() -> None:
    repeats = OutputRepeats()
    repeats.add(0.0, [said(1, "hello"), said(2, "hello")])
    assert repeats.flush(5.0) == [said(2, "hello")]
    assert repeats.due() is None


def test_one_worker_may_repeat_itself() -> None:
    lines = [said(1, "hello")] * 3
    assert OutputRepeats().add(0.0, lines) == lines


def test_the_same_pid_on_another_node_is_another_worker() -> None:
    repeats = OutputRepeats()
    repeats.add(0.0, [said(1, "hello")], node="a")
    assert repeats.add(0.0, [said(1, "hello")], node="b") == []


def test_numbers_and_paths_do_not_make_lines_differ() -> None:
    repeats = OutputRepeats()
    assert texts(repeats.add(0.0, [said(1, "epoch 1 of 9: /tmp/a"), said(2, "epoch 2 of 9: /tmp/b")])) == [
        "epoch 1 of 9: /tmp/a"
    ]
    assert texts(repeats.add(0.0, [said(2, "epoch done")])) == ["epoch done"]


def test_lines_without_words_are_all_shown() -> None:
    lines = [said(pid, text) for pid in (1, 2) for text in ("", "  ", "12", "3/4")]
    assert OutputRepeats().add(0.0, lines) == lines


def test_the_streams_are_apart() -> None:
    lines = [said(1, "hello"), said(2, "hello", is_stderr=True)]
    assert OutputRepeats().add(0.0, lines) == lines


def test_after_a_quiet_window_the_next_is_shown_again() -> None:
    repeats = OutputRepeats()
    repeats.add(0.0, [said(1, "hello"), said(2, "hello"), said(3, "hello")])
    repeats.flush(5.0)
    assert repeats.flush(10.0) == []
    assert repeats.add(11.0, [said(4, "hello")]) == [said(4, "hello")]


def test_late_repeats_come_before_new_lines() -> None:
    repeats = OutputRepeats()
    repeats.add(0.0, [said(1, "a"), said(2, "a")])
    assert repeats.add(6.0, [said(1, "b")]) == [said(2, "a"), said(1, "b")]


def test_the_end_shows_what_is_left() -> None:
    repeats = OutputRepeats()
    repeats.add(0.0, [said(pid, "a") for pid in range(3)] + [said(1, "b"), said(2, "b")])
    assert texts(repeats.flush_all()) == [
        "a [repeated 2x across cluster] (set SHOAL_DEDUP_LOGS=0 to see every line)",
        "b",
    ]
    assert repeats.flush_all() == []


def test_memory_is_bounded() -> None:
    repeats = OutputRepeats()
    words = ["".join(chr(ord("a") + int(digit)) for digit in str(number)) for number in range(20_000)]
    assert len(repeats.add(0.0, [said(1, word) for word in words])) == 20_000
    assert len(repeats._patterns) == 10_000


@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.integers(1, 3), st.sampled_from(["a", "b", "c 1", "c 2", "9"])), max_size=40
    )
)
def test_no_line_is_lost(arrivals: list[tuple[float, int, str]]) -> None:
    """Every line is shown or counted, once."""
    repeats = OutputRepeats()
    shown = []
    for now, pid, text in sorted(arrivals):
        shown += repeats.add(now, [said(pid, text)])
    shown += repeats.flush_all()
    counted = sum(int(text.split("[repeated ")[1].split("x")[0]) if "[repeated" in text else 1 for text in texts(shown))
    assert counted == len(arrivals)
