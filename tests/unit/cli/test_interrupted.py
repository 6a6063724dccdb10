import sys

import pytest
import typer

from workbench.cli import bench, main, record, sweep
from workbench.cli.interrupted import leaving


def interrupted(monkeypatch, verb):
    """What the whole command line does with a verb that Ctrl-C ends."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(verb)
    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr(main, "_register_verbs", lambda: None)
    monkeypatch.setattr(sys, "argv", ["workbench"])
    with pytest.raises(SystemExit) as found:
        main.main()
    return found.value.code


def test_an_interrupt_is_one_line_with_what_the_verb_leaves(monkeypatch, capsys):
    def verb():
        with leaving(lambda: "all is in runs/a: the same command goes on from there"):
            raise KeyboardInterrupt

    assert interrupted(monkeypatch, verb) == 130
    assert capsys.readouterr().err == "workbench: interrupted; all is in runs/a: the same command goes on from there\n"


def test_a_verb_that_leaves_nothing_is_one_line_too(monkeypatch, capsys):
    def verb():
        raise KeyboardInterrupt

    assert interrupted(monkeypatch, verb) == 130
    assert capsys.readouterr().err == "workbench: interrupted\n"


def test_an_exit_with_130_that_no_interrupt_caused_says_nothing(monkeypatch, capsys):
    def verb():
        raise typer.Exit(130)

    assert interrupted(monkeypatch, verb) == 130
    assert capsys.readouterr().err == ""


def test_a_recording_says_whether_there_is_something_to_go_on_with(tmp_path):
    assert record._kept(tmp_path, fresh=False) == "nothing was recorded yet"
    (tmp_path / "journal.jsonl").write_text("{}\n")
    assert record._kept(tmp_path, fresh=False).endswith(f"kept in {tmp_path}: the same command goes on from there")
    assert "the same command without --fresh goes on" in record._kept(tmp_path, fresh=True)


def test_a_search_says_where_its_trials_are(tmp_path):
    assert sweep._kept(None) == "nothing is kept without --study"
    assert sweep._kept(tmp_path) == "no trial was done yet"
    (tmp_path / "study.jsonl").write_text("{}\n")
    assert f"kept in {tmp_path / 'study.jsonl'}: the same command" in sweep._kept(tmp_path)


def test_a_bench_says_how_to_see_what_was_measured(tmp_path):
    assert bench._kept(None) == "nothing is kept without --out"
    assert bench._kept(tmp_path / "load") == "nothing was measured yet"
    (tmp_path / "document.json").write_text("{}")
    assert bench._kept(tmp_path).endswith(f"workbench bench show {tmp_path}")
