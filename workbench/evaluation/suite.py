"""Suite: the questions every model is asked, with what their answers are graded by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core import ConfigError, MissingExtra, Request, Sampling
from workbench.core.files import write_text
from workbench.core.hashing import sha256_json
from workbench.core.naming import did_you_mean
from workbench.evaluation.graders.registry import GraderSpec
from workbench.evaluation.items import MAX_PROMPT_CHARS, Item, item_from_row
from workbench.evaluation.sources import Row, read_rows, reference_rows, renamed

if TYPE_CHECKING:
    import datasets
    import polars as pl

DEFAULT_GRADER = GraderSpec("normalised")


@dataclass(frozen=True, eq=False)
class Suite:
    """An evaluation set, checked when it is made.

    Args:
        items: the questions, in order; ids are unique.
        grader: grades the items that name no grader of their own.
        name: what it was made from.
    """

    items: tuple[Item, ...]
    grader: GraderSpec = DEFAULT_GRADER
    name: str = "suite"

    def __post_init__(self) -> None:
        if not self.items:
            raise ConfigError(f"{self.name} is empty: a suite needs at least one prompt")
        _refuse_duplicates(self)
        _check_answers(self)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        grader: str | GraderSpec | None = None,
        columns: Mapping[str, str] | None = None,
        max_prompt_chars: int = MAX_PROMPT_CHARS,
    ) -> Suite:
        """A suite from a file, `reference[:WORDINGS]`, or a Hub data set `owner/name[/config][:split]`.

        Args:
            source: see `workbench.evaluation.sources.read_rows`.
            grader: default grader; `normalised` when not given.
            columns: which columns to read under another name, {"prompt": "question"}.
            max_prompt_chars: longest prompt accepted.

        Raises:
            ConfigError: see the class; also an empty suite, no answers, ids used twice, a prompt that is too long.
        """
        return cls.from_rows(
            renamed(read_rows(source), columns or {}), str(source), grader=grader, max_prompt_chars=max_prompt_chars
        )

    @classmethod
    def reference(cls, wordings: str = "seen", **arguments: Any) -> Suite:
        """The generated suite; `split`, `n_per_task`, `seed` and `tasks` as in `reference.build_suite`."""
        return cls.from_rows(reference_rows(wordings, **arguments), f"reference:{wordings}")

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Row],
        name: str,
        *,
        grader: str | GraderSpec | None = None,
        max_prompt_chars: int = MAX_PROMPT_CHARS,
    ) -> Suite:
        """A suite from (place, row) pairs."""
        items = tuple(item_from_row(row, where, max_prompt_chars) for where, row in rows)
        return cls(items, GraderSpec.parse(grader) if grader else DEFAULT_GRADER, name)

    @classmethod
    def from_dataset(cls, dataset: datasets.Dataset, *, grader: str | GraderSpec | None = None) -> Suite:
        """A suite from a `datasets.Dataset` with the columns of a suite file."""
        rows = ((f"row {number}", dict(row)) for number, row in enumerate(dataset, start=1))
        return cls.from_rows(rows, "dataset", grader=grader)

    @cached_property
    def dataset(self) -> datasets.Dataset:
        """The items as a `datasets.Dataset`, one row a prompt, the file's further columns included."""
        try:
            import datasets
        except ModuleNotFoundError as exc:
            raise MissingExtra("a suite as a data set", "evaluation") from exc
        return datasets.Dataset.from_polars(self.table())

    def table(self) -> pl.DataFrame:
        """The items as a frame, one row a prompt."""
        import polars as pl

        return pl.DataFrame([item.to_record() for item in self.items], infer_schema_length=None, strict=False)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that is asked and how it is graded; does not depend on the order."""
        contents = sorted((item.content() for item in self.items), key=lambda content: str(content["prompt_id"]))
        return sha256_json([self.grader.to_text(), contents])

    @property
    def tasks(self) -> list[str]:
        """Task labels, sorted."""
        return sorted({item.task for item in self.items if item.task is not None})

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def requests(self, sampling: Sampling | None = None) -> Iterator[Request]:
        """One request an item, in order."""
        return (item.request(sampling) for item in self.items)

    def only(self, tasks: Sequence[str]) -> Suite:
        """The items of these tasks.

        Raises:
            ConfigError: no item has that task; suggests the nearest.
        """
        for task in tasks:
            if task not in self.tasks:
                raise ConfigError(f"{self.name} has no task {task!r}: {did_you_mean(task, self.tasks)}")
        return Suite(tuple(item for item in self.items if item.task in tasks), self.grader, self.name)

    def head(self, n: int) -> list[Item]:
        """The first n items, taking the tasks in turn, so that few items still hold every task."""
        if n < 1:
            raise ConfigError(f"a limit must be at least 1, found {n}")
        by_task: dict[str | None, list[Item]] = {}
        for item in self.items:
            by_task.setdefault(item.task, []).append(item)
        in_turn = (item for turn in zip_longest(*by_task.values()) for item in turn if item is not None)
        chosen = {item.prompt_id for item, _ in zip(in_turn, range(n), strict=False)}
        return [item for item in self.items if item.prompt_id in chosen]

    def grader_of(self, item: Item) -> GraderSpec:
        """The item's own grader, else the suite's."""
        return item.grader or self.grader

    def write(self, path: Path) -> None:
        """Write the suite as .jsonl or .parquet, whole or not at all."""
        if path.suffix == ".parquet":
            from workbench.evaluation.frames import write_parquet

            write_parquet(self.table(), path)
        elif path.suffix == ".jsonl":
            rows = (item.to_record() for item in self.items)
            lines = ({key: value for key, value in row.items() if value is not None} for row in rows)
            write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        else:
            raise ConfigError(f"a suite is written as .jsonl or .parquet, found {path.suffix!r} in {path}")


def _refuse_duplicates(suite: Suite) -> None:
    counts = Counter(item.prompt_id for item in suite.items)
    repeated = [prompt_id for prompt_id, count in counts.items() if count > 1]
    if not repeated:
        return
    named = ", ".join(repr(prompt_id) for prompt_id in repeated[:3]) + (" …" if len(repeated) > 3 else "")
    raise ConfigError(
        f"{suite.name}: {len(repeated)} ids are used more than once: {named}; give every prompt its own id "
        "(without ids, equal rows get equal ids: remove the repetitions)"
    )


def _check_answers(suite: Suite) -> None:
    """Every item can be graded. A suite without any answer is one complaint, not thousands."""
    needing = [item for item in suite.items if not suite.grader_of(item).works_without_answer]
    if needing and all(item.answer is None for item in suite.items):
        raise ConfigError(
            f"{suite.name} has no answers, and the grader {suite.grader_of(needing[0]).name!r} needs them: add a column "
            "'answer', or choose a grader that needs none (json with a schema, regex with a pattern, judge)"
        )
    for item in suite.items:
        try:
            suite.grader_of(item).check(item.answer)
        except ConfigError as exc:
            raise ConfigError(f"{suite.name}, prompt {item.prompt_id!r}: {exc}") from exc
