import io

from rich.console import Console

from workbench.evaluation.progress import Bars, Lines, progress_for
from workbench.testing import FakeClock


def test_a_line_every_few_seconds_with_rate_and_time_left():
    clock, lines = FakeClock(), []
    progress = Lines(lines.append, clock, every_s=5)
    progress.start("tiny", total=100, done=20)
    for _ in range(4):
        clock.advance(2)
        progress.advance("tiny", 10, 1)
    clock.advance(8)
    progress.advance("tiny", 40, 0)
    progress.finish("tiny")
    assert lines == [
        "tiny: 20 of 100 were recorded before",
        "tiny: 50 of 100, 3 failed, 5.0/s, 10 s left",
        "tiny: 100 of 100, 4 failed, 5.0/s, took 16 s",
    ]


def test_nothing_new_has_no_rate():
    lines = []
    progress = Lines(lines.append, FakeClock())
    progress.start("tiny", total=3, done=3)
    progress.finish("tiny")
    assert lines[-1] == "tiny: 3 of 3"


def test_bars_show_every_model_and_give_the_terminal_back():
    stream = io.StringIO()
    bars = Bars(Console(file=stream, force_terminal=True, width=120, color_system=None))
    bars.start("tiny", 4, 0)
    bars.advance("tiny", 4, 1)
    bars.finish("tiny")
    shown = stream.getvalue()
    assert "tiny" in shown
    assert "4/4" in shown
    assert "1 failed" in shown


def test_pipes_get_lines_and_not_bars():
    assert isinstance(progress_for(io.StringIO(), None), Lines)
