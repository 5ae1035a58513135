import io

import pytest

from bench.run.progress import Progress, progress


class Terminal(io.StringIO):
    """Text that says it is watched."""

    def isatty(self) -> bool:
        """Always."""
        return True


def test_nothing_is_written_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error that is not a terminal stays empty, and the items come through."""
    assert list(progress(range(3), "figures")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_terminal_is_told_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line counts the items, gives a time left from the second on, and is wiped at the end."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert list(progress("abc", "figures")) == ["a", "b", "c"]
    lines = terminal.getvalue().split("\r")
    assert "figures 1 of 3" in lines[1]
    assert "s left" not in lines[1]
    assert "s left" in lines[2]
    assert lines[-1] == "\x1b[K"


def test_the_time_left_follows_the_pace() -> None:
    """Two of five steps in ten seconds leave fifteen."""
    now = [100.0]
    counter = Progress(5, clock=lambda: now[0])
    assert counter.begin("case") == "case 1 of 5"
    now[0] = 105.0
    assert counter.begin("case") == "case 2 of 5, 20 s left"
    now[0] = 110.0
    assert counter.begin("case") == "case 3 of 5, 15 s left"
