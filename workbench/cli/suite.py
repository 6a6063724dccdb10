"""`workbench suite`: make the reference suite, look at any suite."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.output import print_json, print_table, stderr

if TYPE_CHECKING:
    from workbench.evaluation import Suite

suite_app = typer.Typer(help="Generate or inspect an evaluation set.", no_args_is_help=True)
SHOWN_CHARS = 60


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(suite_app, name="suite")


@suite_app.command("build")
def build(
    out: Annotated[Path, typer.Option(help="File to write: .jsonl or .parquet.")],
    split: Annotated[
        str, typer.Option(help="Which instances: train, dev or test (test is never trained on).")
    ] = "test",
    per_task: Annotated[int, typer.Option(min=1, help="Prompts of each kind.")] = 60,
    wordings: Annotated[
        str, typer.Option(help="Sentences: seen (trained), held_out (never trained) or both.")
    ] = "seen",
    seed: Annotated[int, typer.Option(help="Draws instances and wordings.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write the generated reference suite.

    Example: workbench suite build --per-task 60 --out suite.jsonl
    """
    from workbench.core import ConfigError
    from workbench.core.files import check_file
    from workbench.core.naming import did_you_mean
    from workbench.evaluation import Suite

    if split not in ("train", "dev", "test"):
        raise ConfigError(f"unknown split {split!r}: {did_you_mean(split, ['train', 'dev', 'test'])}")
    check_file(out, "--out")
    suite = Suite.reference(wordings, split=split, n_per_task=per_task, seed=seed)
    suite.write(out)
    if json:
        print_json({"out": str(out), **_facts(suite)})
    else:
        stderr.print(f"{len(suite)} prompts of {len(suite.tasks)} kinds in {out} (hash {suite.hash[:12]})")


@suite_app.command("show")
def show(
    suite: Annotated[
        str,
        typer.Argument(metavar="SUITE", help="A JSON lines, CSV or parquet file, reference[:held_out], or a Hub id."),
    ],
    grader: Annotated[str | None, typer.Option(help="Default grader, e.g. exact or numeric:tolerance=0.01.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Read a column under another name: prompt=question.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Count prompts, tasks and graders of a suite.

    Example: workbench suite show mine.jsonl
    """
    from workbench.evaluation import Suite

    loaded = Suite.load(suite, grader=grader, columns=parse_columns(column))
    facts = _facts(loaded)
    if json:
        print_json(facts)
        return
    rows = [[t["task"], t["n"], t["groups"], t["median_chars"], t["example"]] for t in facts["tasks"]]
    title = f"{suite}: {facts['n']} prompts in {facts['groups']} groups, hash {loaded.hash[:12]}"
    print_table(title, ["task", "n", "groups", "median chars", "example"], rows)
    print_table("graders", ["grader", "n"], [[name, n] for name, n in facts["graders"].items()])


def parse_columns(written: list[str] | None) -> dict[str, str]:
    """{"prompt": "question"} from ["prompt=question"]."""
    from workbench.core import ConfigError

    pairs = [text.partition("=") for text in written or []]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise ConfigError(f"--column takes NAME=COLUMN, e.g. prompt=question; found {name + equals + column!r}")
    return {name: column for name, _, column in pairs}


def _facts(suite: Suite) -> dict[str, Any]:
    graders = Counter(suite.grader_of(item).to_text() for item in suite)
    labels = [*suite.tasks, *([None] if any(item.task is None for item in suite) else [])]
    return {
        "n": len(suite),
        "groups": len({item.group for item in suite}),
        "hash": suite.hash,
        "graders": dict(graders.most_common()),
        "tasks": [_task_facts(suite, label) for label in labels],
    }


def _task_facts(suite: Suite, task: str | None) -> dict[str, Any]:
    items = [item for item in suite if item.task == task]
    lengths = sorted(len(item.prompt) for item in items)
    example = " ".join(items[0].prompt.split())
    return {
        "task": task,
        "n": len(items),
        "groups": len({item.group for item in items}),
        "median_chars": lengths[len(lengths) // 2],
        "example": example if len(example) <= SHOWN_CHARS else example[: SHOWN_CHARS - 1] + "…",
    }
