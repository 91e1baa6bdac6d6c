"""Which lines of standard error are kept to explain a death."""

from __future__ import annotations

from shoal._core.system.stderr_tail import StderrTail


def tail_of(*lines: str, size: int = 5) -> tuple[str, ...]:
    tail = StderrTail(size)
    for line in lines:
        tail.add(line)
    return tail.lines()


def test_the_last_lines_are_kept() -> None:
    assert tail_of() == ()
    assert tail_of("a", "b") == ("a", "b")
    assert tail_of(*"abcdefg") == tuple("cdefg")


def test_long_lines_are_cut() -> None:
    (line,) = tail_of("x" * 100_000)
    assert line == "x" * 2000 + "..."


def test_of_a_crash_the_first_frames_of_its_thread_are_kept() -> None:
    report = [
        "Fatal Python error: Segmentation fault",
        "",
        "Thread 0x2 (most recent call first):",
        *(f"  other frame {number}" for number in range(9)),
        "",
        "Current thread 0x1 (most recent call first):",
        *(f"  frame {number}" for number in range(30)),
        "Extension modules: numpy (total: 1)",
    ]
    assert tail_of("a", "b", *report) == (
        report[0],
        "Current thread 0x1 (most recent call first):",
        "  frame 0",
        "  frame 1",
        "  frame 2",
    )


def test_what_was_printed_before_a_short_crash_report_is_kept_too() -> None:
    report = ("Fatal Python error: Aborted", "Current thread 0x1 (most recent call first):", "  frame")
    assert tail_of("a", "b", "c", *report) == ("b", "c", *report)
