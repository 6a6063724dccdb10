"""The search: an Optuna study whose trials come in batches, each batch recorded whole or not at all.

A journal's lines are Optuna's own (`JournalFileBackend` reads them), but they are written a batch at a time with one sync, and a batch ends
with the number of trials that are done. At opening, what follows the last such mark is cut off: a search that was killed begins the batch
anew, with the random numbers that belong to it, and arrives where it would have arrived.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna

from workbench.core import ConfigError, StoreError
from workbench.core.hashing import sha256_text
from workbench.core.journal import Journal, read_journal
from workbench.tuning.space.plan import Parameter, Value
from workbench.tuning.space.samplers import make_sampler
from workbench.tuning.space.sampling import BATCH, SAMPLER, proposer

MARK = "workbench.trials"
SUBJECT = "workbench.subject"
TOLD = ("seed", "sampler")
"""Parts of the subject that are options; the others are hashes."""
NAME = "space"
Point = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished trial.

    Args:
        number: from 0.
        point: value of every parameter.
        values: of the goals.
        unserved: share of requests that nobody may serve; above 0 the point breaks its limits.
    """

    number: int
    point: Point
    values: tuple[float, ...]
    unserved: float


class BlockJournal:
    """Optuna's journal backend in blocks; what is not yet committed is in memory alone.

    Args:
        path: the file; None keeps all in memory.

    Raises:
        StoreError: another process writes it, or a line is damaged.
    """

    def __init__(self, path: Path | None) -> None:
        self._logs: list[dict[str, Any]] = []
        self._pending: list[dict[str, Any]] = []
        self._journal: Journal | None = None
        if path is not None:
            self._journal = Journal(path)
            os.truncate(path, _end_of_last_block(path))
            self._logs = list(read_journal(path))

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """The records from that number on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Keep records until `commit`."""
        plain = json.loads(json.dumps(logs))
        self._logs += plain
        self._pending += plain

    def commit(self) -> None:
        """Write what was kept, with one sync."""
        if self._journal is not None and self._pending:
            self._journal.append(self._pending)
        self._pending = []

    def close(self) -> None:
        """Release the file."""
        if self._journal is not None:
            self._journal.close()


def _end_of_last_block(path: Path) -> int:
    """Offset behind the last mark; 0 where there is none."""
    end = at = 0
    with path.open("rb") as file:
        for line in file:
            at += len(line)
            if f'"{MARK}"'.encode() in line:
                end = at
    return end


class Study:
    """A resumable search over free parameters.

    Args:
        parameters: what is varied.
        directions: "maximize" or "minimize", a goal each.
        subject: what the search is about (hashes of data and space, seed); another one's journal is refused.
        seed: of the proposals.
        path: journal file; None keeps the search in memory.
        sampler: "auto", "tpe", "nsga2" or "random".

    Raises:
        ConfigError: the journal belongs to another subject, or is none of a search.
        StoreError: another process writes it, or it is damaged.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        directions: Sequence[str],
        subject: Mapping[str, Any],
        seed: int,
        path: Path | None = None,
        sampler: str = SAMPLER,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.parameters, self.seed, self.sampler = tuple(parameters), seed, sampler
        if path is not None:
            _check_kind(path)
        self._journal = BlockJournal(path)
        try:
            self._study = self._opened(list(directions), dict(subject), path)
        except BaseException:
            self._journal.close()
            raise
        self.n_resumed = self.n_trials

    def _opened(self, directions: list[str], subject: dict[str, Any], path: Path | None) -> Any:
        try:
            storage = optuna.storages.JournalStorage(self._journal)
            study = optuna.create_study(storage=storage, study_name=NAME, directions=directions, load_if_exists=True)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise StoreError(
                f"the study {path} cannot be read ({type(exc).__name__}: {exc}); give another file"
            ) from exc
        before = study.user_attrs.get(SUBJECT)
        if before is None:
            study.set_user_attr(SUBJECT, subject)
            study.set_user_attr(MARK, 0)
            self._journal.commit()
        elif before != subject:
            raise ConfigError(f"the study {path} searched with {_others(before, subject)}")
        return study

    @property
    def n_trials(self) -> int:
        """Trials done."""
        return int(self._study.user_attrs[MARK])

    def search(
        self, n_trials: int, score: Callable[[Sequence[Point]], Sequence[tuple[tuple[float, ...], float]]]
    ) -> Iterator[int]:
        """Go on until `n_trials` are done; yields their number after each batch, which is then on disk.

        Args:
            n_trials: in all, those of earlier runs counted.
            score: for points, the values of their goals and the share of requests that each leaves unserved.
        """
        distributions = {p.name: _distribution(p) for p in self.parameters}
        while (done := self.n_trials) < n_trials:
            batch = BATCH[proposer(self.sampler, done)]
            size = min(batch - done % batch, n_trials - done)
            self._study.sampler = make_sampler(self.sampler, done, int(sha256_text(f"{self.seed} {done}")[:8], 16))
            asked = [self._study.ask(distributions) for _ in range(size)]
            for trial, (values, unserved) in zip(asked, score([dict(t.params) for t in asked]), strict=True):
                trial.set_constraint("unserved", unserved)
                self._study.tell(trial, values)
            self._study.set_user_attr(MARK, done + size)
            self._journal.commit()
            yield done + size

    def trials(self) -> list[Trial]:
        """All that are done, in order."""
        return [
            Trial(t.number, dict(t.params), tuple(t.values), float(t.constraints["unserved"]))
            for t in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        ]

    def close(self) -> None:
        """Release the journal."""
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_kind(path: Path) -> None:
    """Refuse a file that is not a journal of a search before anything of it is cut."""
    if not path.exists() or not path.stat().st_size:
        return
    try:
        with path.open("rb") as file:
            line = file.readline()
        first = json.loads(line) if line.endswith(b"\n") else {"study_name": NAME} if b"op_code" in line else None
        is_ours = isinstance(first, dict) and first.get("study_name") == NAME
    except ValueError:
        is_ours = False
    if not is_ours:
        raise ConfigError(f"{path} is not the journal of a space sweep; give --study a new file or folder")


def _others(before: Mapping[str, Any], subject: Mapping[str, Any]) -> str:
    """What differs, with its value where that is a word or a number, and what to do."""
    names = [name for name in subject if before.get(name) != subject[name]]
    told = [f"{name} ({before.get(name)}, now {subject[name]})" if name in TOLD else name for name in names]
    same = f"--{names[0]} {before.get(names[0])}" if names[0] in TOLD else f"the {names[0]} of then"
    return f"another {' and '.join(told)}; give --study another file, or {same}"


def _distribution(parameter: Parameter) -> Any:
    if not parameter.is_continuous:
        return optuna.distributions.CategoricalDistribution(parameter.listed())
    return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
