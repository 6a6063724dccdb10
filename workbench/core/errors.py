"""Every error the workbench raises on purpose.

    WorkbenchError
    ├── ConfigError          a configuration, a command line or an input file is wrong (exit code 2)
    ├── MissingExtra         an optional part is not installed; says the exact command (exit code 2)
    ├── ModelError           a model could not answer
    │   ├── RateLimited      429; carries retry_after_s when the server said it
    │   ├── Unavailable      cannot connect, 5xx, timeout, cut stream: another attempt or model may work
    │   ├── BadResponse      answered, but not with what the protocol allows
    │   └── ContextOverflow  the prompt does not fit the model's context window
    ├── BudgetExceeded       the request would spend more than is left
    ├── Blocked              a guard said no
    ├── NotCertifiable       the evidence cannot support the claim that was asked for (exit code 3)
    ├── InconsistentUsage    token counts contradict each other, so that what they cost is unknown
    ├── TaskFailed           one task of many raised; names it (exit code of what it raised)
    ├── ClusterError         no cluster answers, or its workers are gone (exit code 1)
    └── StoreError           a file or store is damaged, newer than this version, locked, or the disk is full (exit code 1)

A message says what happened, the offending value, what was allowed and what to do next.
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """Root of the tree. `exit_code` is what the command line returns for it."""

    exit_code = 1


class ConfigError(WorkbenchError):
    """A configuration, a command line or an input file is wrong; nothing was changed."""

    exit_code = 2


class MissingExtra(WorkbenchError):
    """An optional library is not installed.

    Args:
        feature: what was asked for, e.g. "the transformers backend".
        extra: the extra of this package that brings it, e.g. "hf".
    """

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra {extra!r}, which is not installed: pip install 'llm-workbench[{extra}]'"
        )
        self.feature = feature
        self.extra = extra


class ModelError(WorkbenchError):
    """A model could not answer.

    Args:
        message: what happened.
        model: name of the model in the configuration.
        status: HTTP status where there was one.
        retryable: whether the same request may succeed later or elsewhere.
    """

    retryable = False

    def __init__(self, message: str, *, model: str, status: int | None = None) -> None:
        super().__init__(f"model {model!r}: {message}")
        self.model = model
        self.status = status


class RateLimited(ModelError):
    """The model's server asked to slow down; `retry_after_s` is seconds, None when the server did not say."""

    retryable = True

    def __init__(
        self, message: str, *, model: str, status: int | None = 429, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, model=model, status=status)
        self.retry_after_s = retry_after_s


class Unavailable(ModelError):
    """The model cannot be reached or failed: no connection, 5xx, timeout, cut stream."""

    retryable = True


class BadResponse(ModelError):
    """The model answered with something its protocol does not allow, or rejected the request (4xx)."""


class ContextOverflow(ModelError):
    """Prompt and answer do not fit; carries the counts in tokens.

    Args:
        model: name of the model in the configuration.
        prompt_tokens: of the prompt.
        context_window: what fits, prompt and answer together.
        answer_tokens: room that the answer was promised (`max_tokens`).
    """

    def __init__(self, *, model: str, prompt_tokens: int, context_window: int, answer_tokens: int = 0) -> None:
        answer = f" and its answer may have {answer_tokens}" if answer_tokens else ""
        super().__init__(
            f"the prompt has {prompt_tokens} tokens{answer}, the context window holds {context_window}; "
            "shorten it or choose another model",
            model=model,
        )
        self.prompt_tokens = prompt_tokens
        self.context_window = context_window
        self.answer_tokens = answer_tokens


class BudgetExceeded(WorkbenchError):
    """A budget or rate limit has too little left.

    Args:
        message: which budget, what was asked, what is left.
        scope: "session", "task", "rate", ...
        retry_after_s: seconds until it may work; None when waiting does not help.
    """

    def __init__(self, message: str, *, scope: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.scope = scope
        self.retry_after_s = retry_after_s


class Blocked(WorkbenchError):
    """A guard blocked a prompt or an answer; `verdict` is the guard's Verdict (no prompt text inside)."""

    def __init__(self, message: str, *, guard: str, verdict: object = None) -> None:
        super().__init__(message)
        self.guard = guard
        self.verdict = verdict


class NotCertifiable(WorkbenchError):
    """The evidence cannot support the claim; the answer to the question is no."""

    exit_code = 3


class InconsistentUsage(WorkbenchError):
    """Token counts that contradict each other (more cached than prompt tokens, a negative count): they have no cost."""


class TaskFailed(WorkbenchError):
    """The work of one task raised; the tasks that had ended are unharmed.

    Args:
        index: place of the task among the tasks, from 0.
        n_tasks: how many there are.
        task: the task, shortened for people.
        error: what was raised; also the `__cause__` where it is raised.
        host: name of the machine that it was raised on; None is this one.
    """

    def __init__(self, index: int, n_tasks: int, task: str, error: BaseException, host: str | None = None) -> None:
        where = "" if host is None else f" on {host}"
        super().__init__(f"task {index} of {n_tasks} ({task}) raised {type(error).__name__}{where}: {error}")
        self.index = index
        self.error = error
        self.exit_code = error.exit_code if isinstance(error, WorkbenchError) else 1


class ClusterError(WorkbenchError):
    """A cluster cannot be reached, has no room, or lost the workers that were to do the work."""


class StoreError(WorkbenchError):
    """A file or store is damaged, of a newer version, in use by another process, or could not be written."""
