"""The Ray engine: tasks on the workers of a cluster, done again elsewhere when a worker or its node dies.

Ray's own defaults that are wrong for measurements are set here: no usage report, no dashboard, workers' output stays in their logs, the
working directory is not uploaded, and an address at which nobody answers is an error within seconds instead of minutes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

import ray
from ray import cloudpickle
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError, RayTaskError, RpcError

from workbench import __version__
from workbench.core import ClusterError, ConfigError, MissingExtra, WorkbenchError
from workbench.evaluation.engine import WorkerNeeds, failed

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # would upload the working directory of `uv run`
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_task_oom_retries": "3",  # a model that does not fit would be tried for ever
}
RETRIES = 4
CONNECT_TIMEOUT_S = 10.0
ROOM_TIMEOUT_S = 60.0
POLL_S = 1.0
RESOURCES_EVERY_S = 5.0
CLIENT = "ray://"
TOKEN = (
    "A cluster started where ~/.ray/auth_token exists asks for that token: set RAY_AUTH_MODE=token here, and RAY_AUTH_TOKEN to what "
    "`ray get-auth-token` prints on its head node"
)
AHEAD = 2
"""Tasks handed out for each worker: one at work and one waiting at its door."""


class RemoteError(WorkbenchError):
    """An error of the work that cannot travel between processes as it is: its class and message."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteError, (str(self), self.exit_code)


class RayEngine:
    """A Ray cluster, or one of this machine's cores that lasts as long as the engine.

    Args:
        address: "auto" (the cluster that this machine belongs to), "host:port", or "ray://host:port" (Ray Client). None starts a
            cluster on this machine; where the process is connected to one already, that is used and left running.
        needs: what a worker needs of its node, and how many there may be.
        runtime_env: as `ray.init` takes it, e.g. {"working_dir": "."} to upload the working directory; None uploads nothing.
        room_timeout_s: longest wait for a worker's cores to be free before it is an error.

    Raises:
        ClusterError: nobody answers at the address within `CONNECT_TIMEOUT_S`, or it has another version of Ray or Python.
        ConfigError: an address that is none, or this process is connected to another cluster.
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        *,
        needs: WorkerNeeds | None = None,
        runtime_env: dict[str, Any] | None = None,
        room_timeout_s: float = ROOM_TIMEOUT_S,
    ) -> None:
        self.needs = needs or WorkerNeeds()
        self._room_timeout_s = room_timeout_s
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(address, runtime_env)
        elif address not in (None, "auto", ray.get_runtime_context().gcs_address):
            raise ConfigError(
                f"this process is connected to a Ray cluster at {ray.get_runtime_context().gcs_address} and cannot use the one at "
                f"{address}; call ray.shutdown() first, or leave the address out"
            )
        resources = {"num_cpus": self.needs.cpus, "num_gpus": self.needs.gpus}
        self._call = ray.remote(**resources, max_retries=RETRIES, max_calls=0)(_by_value())
        self._window, self._looked_s = 0, -RESOURCES_EVERY_S

    def run(self, work: Callable[[S, T], R], shared: S, tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """See `Engine.run`. At most a few tasks for each worker are handed out at a time, so that a million do not fill the store.

        Whoever stops early leaves those few running; they end by themselves, or with this process, whose tasks a cluster ends. To cancel a
        task that is just ending aborts the process (a failed check in Ray 2.60's task manager).
        """
        if not tasks:
            return
        self._find_room()
        box = [ray.put((work, shared))]
        indices = iter(range(len(tasks)))
        running: dict[Any, int] = {}
        while True:
            for index in islice(indices, max(0, self._most_at_once() - len(running))):
                running[self._call.remote(box, tasks[index], __version__)] = index
            if not running:
                return
            for ref in self._wait(list(running)):
                index = running.pop(ref)
                yield index, _result(ref, index, tasks)

    def close(self) -> None:
        """Leave the cluster; one that was started by this engine ends."""
        if self._is_ours and ray.is_initialized():
            ray.shutdown()

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _find_room(self) -> None:
        """Wait until one worker is up, which also shows whether its node has this version.

        Raises:
            ClusterError: none in time.
        """
        probe = self._call.remote(None, None, __version__)
        ready, _ = ray.wait([probe], timeout=self._room_timeout_s)
        if not ready:
            with contextlib.suppress(Exception):  # the cluster may be gone
                ray.cancel(probe)
            raise self._no_room()
        _result(probe, 0, ["first contact"])

    def _wait(self, refs: list[Any]) -> list[Any]:
        """The tasks that have ended, at least one."""
        lacking_since_s = None
        while True:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
            ready = ready or ray.wait(refs, timeout=POLL_S)[0]
            if ready:
                return list(ready)
            now_s = time.monotonic()
            if self._n_workers() >= 1:
                lacking_since_s = None
            elif lacking_since_s is None:
                lacking_since_s = now_s
            elif now_s - lacking_since_s > self._room_timeout_s:
                raise self._no_room()

    def _most_at_once(self) -> int:
        """Tasks that may be handed out: as many as there are workers where their number is limited, twice as many where it is not."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= RESOURCES_EVERY_S:
            self._window, self._looked_s = max(1, self._n_workers()) * AHEAD, now_s
        most = self.needs.most_workers
        return self._window if most is None else min(self._window, most)

    def _n_workers(self) -> int:
        """How many workers the cluster's nodes hold as they are now."""
        found = ray.cluster_resources()
        rooms = [found.get("CPU", 0.0) / self.needs.cpus] if self.needs.cpus else []
        rooms += [found.get("GPU", 0.0) / self.needs.gpus] if self.needs.gpus else []
        return int(min(rooms, default=1.0))

    def _no_room(self) -> ClusterError:
        wanted = f"{self.needs.cpus:g} CPU" + (f" and {self.needs.gpus:g} GPU" if self.needs.gpus else "")
        has, free = ray.cluster_resources(), ray.available_resources()
        told = ", ".join(f"{free.get(kind, 0):g} of {has.get(kind, 0):g} {kind} free" for kind in ("CPU", "GPU"))
        return ClusterError(
            f"no worker with {wanted} came free within {self._room_timeout_s:g} s ({told}); wait for the cluster's other work, add a node, "
            "or ask for less"
        )


def _by_value() -> Callable[[Any, Any, str], tuple[Any, ...]]:
    """The function that a worker runs. It travels whole, so that a node without this package, or with another version, can say so."""

    def workbench_task(box: Any, task: Any, version: str) -> tuple[Any, ...]:
        import socket

        try:
            import workbench
            from workbench.evaluation import engine_ray
        except ImportError as exc:
            return (
                "unfit",
                f"node {socket.gethostname()} cannot import the workbench ({exc}); install llm-workbench {version} there",
            )
        if workbench.__version__ != version:
            found = f"node {socket.gethostname()} has llm-workbench {workbench.__version__}, this machine {version}"
            return "unfit", f"{found}; install the same version on all"
        return ("fit",) if box is None else engine_ray.run_task(box[0], task)

    return workbench_task


_kept: list[tuple[Any, Any]] = []  # on a worker: the reference of the work and what all tasks share, and their value


def run_task(reference: Any, task: Any) -> tuple[Any, ...]:
    """On a worker: the task's result, or what it raised and where. What all tasks share is fetched once a process."""
    try:
        if not _kept or _kept[0][0] != reference:
            _kept[:] = [(reference, ray.get(reference))]
        work, shared = _kept[0][1]
        return "done", work(shared, task)
    except Exception as exc:  # the caller decides
        return "raised", _portable(exc), socket.gethostname()


def _portable(error: Exception) -> Exception:
    """The error, or its description where it would not survive the journey."""
    try:
        copy = cloudpickle.loads(cloudpickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception:  # any class may fail in any way
        pass
    return RemoteError(f"{type(error).__name__}: {error}", getattr(error, "exit_code", 1))


def _result(ref: Any, index: int, tasks: Sequence[Any]) -> Any:
    try:
        state, *values = ray.get(ref)
    except RayTaskError as exc:
        cause = getattr(exc, "cause", None)
        raise failed(index, tasks, cause if isinstance(cause, Exception) else RemoteError(_first_line(exc))) from exc
    except RayError as exc:
        raise ClusterError(
            f"task {index} of {len(tasks)} was lost {RETRIES + 1} times: {type(exc).__name__}: {_first_line(exc)}; what had ended is kept. "
            "A worker that dies every time is often out of memory: give it more CPUs, so that fewer share a node"
        ) from exc
    if state == "unfit":
        raise ClusterError(values[0])
    if state == "raised":
        raise failed(index, tasks, values[0], values[1]) from values[0]
    return values[0] if values else None


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")


def _connect(address: str | None, runtime_env: dict[str, Any] | None) -> None:
    """Connect, or start a cluster.

    Raises:
        ClusterError: see `RayEngine`.
    """
    if address is not None:
        _refuse_unreachable(address)
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "runtime_env": runtime_env}
    if address is None:
        settings["include_dashboard"] = False
    _tell_on_stderr()
    try:
        ray.init(address or "local", **settings)
    except (Exception, SystemExit) as exc:  # SystemExit: what Ray does when the other side is no Ray
        where = "on this machine" if address is None else f"at {address}"
        here = f"this machine has Ray {ray.__version__} and Python {platform.python_version()}"
        hint = f". {TOKEN}" if (address or "").startswith(CLIENT) else ""
        raise ClusterError(f"no Ray cluster {where}: {type(exc).__name__}: {_first_line(exc)}; {here}{hint}") from exc


def _tell_on_stderr() -> None:
    """Ray prints what its nodes report, a dead worker say, on standard output, which is for results: send it to standard error."""
    from ray._private import worker

    original = getattr(worker, "print_to_stdstream", None)
    if original is None or getattr(original, "is_ours", False):
        return

    def to_stderr(data: dict[str, Any], ignore_prefix: bool) -> None:
        original({**data, "is_err": True}, ignore_prefix)

    to_stderr.is_ours = True  # type: ignore[attr-defined]
    worker.print_to_stdstream = to_stderr


def _refuse_unreachable(address: str) -> None:
    """An error within seconds where Ray would wait for minutes."""
    host, port = _host_and_port(address)
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError as exc:
        raise ClusterError(
            f"nobody answers at {host}:{port} ({exc.strerror or exc}; waited at most {CONNECT_TIMEOUT_S:g} s), which {address!r} leads to; "
            "is the cluster up (ray start --head) and its port open?"
        ) from exc
    if address == "auto" or address.startswith(CLIENT):
        return  # of its own cluster Ray finds the token itself
    try:
        GcsClient(address=f"{host}:{port}")
    except AuthenticationError as exc:
        raise ClusterError(
            f"the Ray cluster at {address} does not let this process in: {_first_line(exc)} {TOKEN}"
        ) from exc
    except RpcError as exc:
        raise ClusterError(f"what answers at {address} is no Ray cluster: {_first_line(exc)}") from exc


def _host_and_port(address: str) -> tuple[str, int]:
    if address.startswith(CLIENT):
        if find_spec("grpc") is None:
            raise MissingExtra(f"an address that begins with {CLIENT}", "ray")
        found: str | None = address.removeprefix(CLIENT)
    else:
        from ray._private.services import canonicalize_bootstrap_address

        try:
            found = None if address == "local" else canonicalize_bootstrap_address(address)
        except ConnectionError as exc:
            told = "this machine belongs to no Ray cluster: start one (ray start --head), or give --address HOST:PORT"
            raise ClusterError(told) from exc
        except ValueError as exc:
            raise _bad_address(address) from exc
    parts = urlsplit(f"//{found}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise _bad_address(address) from exc
    if host is None or port is None:
        raise _bad_address(address)
    return host, port


def _bad_address(address: str) -> ConfigError:
    return ConfigError(f"{address!r} is no address of a Ray cluster; allowed are auto, HOST:PORT and ray://HOST:PORT")
