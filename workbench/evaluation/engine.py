"""Engines: where independent work runs, in this process or on the workers of a Ray cluster.

Work is a function of what all tasks share and of one task. Results come back as tasks end; only the caller writes files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from workbench.core import ConfigError, TaskFailed
from workbench.core.registry import Registry

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

ENGINES = Registry(
    "engine",
    {"local": "workbench.evaluation.engine:LocalEngine", "ray": "workbench.evaluation.engine_ray:RayEngine"},
    extras={"ray": "ray"},
)
MAX_TASK_CHARS = 120


class Engine(Protocol):
    """Runs a function over many tasks."""

    name: str

    def run(self, work: Callable[[S, T], R], shared: S, tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """(index of the task, result) as tasks end, in any order, each index exactly once.

        Args:
            work: called as `work(shared, task)`. Work whose worker died is done again elsewhere, so it may run more than once and
                must not write files.
            shared: what every task needs; travels to each worker once.
            tasks: one argument each.

        Raises:
            TaskFailed: the work raised; names the task and has the error as its cause.
            ClusterError: the workers are gone, or never came.
        """
        ...

    def close(self) -> None:
        """Release what the engine started; a cluster that was there before goes on."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerNeeds:
    """What a worker of a cluster takes of its node.

    Args:
        cpus: cores that are kept for it; numeric libraries in it use as many threads.
        gpus: GPUs that it sees; 0 is none.
        most_workers: tasks at work at the same time, over all nodes; None is as many as there is room for.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    most_workers: int | None = None

    def __post_init__(self) -> None:
        if not (self.cpus > 0 and self.gpus >= 0 and (self.most_workers is None or self.most_workers >= 1)):
            raise ConfigError(f"a worker needs more than 0 cores, 0 or more GPUs, and at least 1 of it; found {self}")


def make_engine(name: str, address: str | None = None, needs: WorkerNeeds | None = None) -> Engine:
    """The engine of that name.

    Args:
        name: "local" or "ray".
        address: of a Ray cluster, as `--address` takes it; None with "ray" starts one on this machine for as long as the engine is open.
        needs: what a worker takes of its node; one core by default. The local engine has no workers.

    Raises:
        ConfigError: unknown name, or an address for the local engine.
        MissingExtra: "ray" without Ray.
        ClusterError: no cluster answers at the address.

    Example:
        >>> engine = make_engine("local")
        >>> dict(engine.run(pow, 2, [1, 5, 10]))
        {0: 2, 1: 32, 2: 1024}
    """
    kind = ENGINES.load(name)
    if name == "local":
        if address is not None:
            raise ConfigError(
                f"the local engine has no address, found {address!r}; give --engine ray with it, or neither"
            )
        return LocalEngine()
    engine: Engine = kind(address, needs=needs)
    return engine


class LocalEngine:
    """This process: one task after the other, or a few at a time in threads where the work releases the interpreter's lock.

    Args:
        n_threads: tasks at a time; 1 runs them in the caller's thread, in order.

    Example:
        >>> sorted(LocalEngine(n_threads=2).run(lambda base, n: base + n, 10, range(3)))
        [(0, 10), (1, 11), (2, 12)]
    """

    name = "local"

    def __init__(self, n_threads: int = 1) -> None:
        if n_threads < 1:
            raise ConfigError(f"n_threads must be at least 1, found {n_threads}")
        self._n_threads = n_threads

    def run(self, work: Callable[[S, T], R], shared: S, tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """See `Engine.run`."""
        if self._n_threads > 1:
            yield from self._in_threads(work, shared, tasks)
            return
        for index, task in enumerate(tasks):
            try:
                result = work(shared, task)
            except Exception as exc:
                raise failed(index, tasks, exc) from exc
            yield index, result

    def _in_threads(self, work: Callable[[S, T], R], shared: S, tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """As many tasks under way as there are threads; the next is handed out when one has ended."""
        indices = iter(range(len(tasks)))
        with ThreadPoolExecutor(self._n_threads) as pool:
            running: dict[Future[R], int] = {}
            while True:
                for index in islice(indices, self._n_threads - len(running)):
                    running[pool.submit(work, shared, tasks[index])] = index
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index = running.pop(future)
                    error = future.exception()
                    if isinstance(error, Exception):
                        raise failed(index, tasks, error) from error
                    yield index, future.result()

    def close(self) -> None:
        """Nothing to release."""


def failed(index: int, tasks: Sequence[T], error: Exception, host: str | None = None) -> TaskFailed:
    """The error that says which task's work raised what, and on which machine if not on this one."""
    shown = repr(tasks[index])
    shown = shown if len(shown) <= MAX_TASK_CHARS else shown[:MAX_TASK_CHARS] + "…"
    return TaskFailed(index, len(tasks), shown, error, host)
