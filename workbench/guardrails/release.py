"""Streamed text that leaves only when it is safe.

The invariant: a character is released once every enforced blocking guard has judged all findings that could hold it. What has been
released when a guard blocks is the text up to the finding, for every way the stream was cut into pieces: findings count in the order of
their ends, and only once the character behind them is settled (a later accent or letter could still change it).
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.guardrails.chain import GuardChain, blocking, enforced
from workbench.guardrails.guard import Guard, GuardContext, failed
from workbench.guardrails.verdict import Finding, Verdict, rewritten
from workbench.guardrails.view import NormalForm, View


def holds_whole(guards: Sequence[Guard]) -> bool:
    """Whether a stream must be held back to its end: an enforced guard rewrites or judges only whole answers."""
    return any(enforced(guard) and (guard.holdback is None or guard.config.action == "rewrite") for guard in guards)


class StreamRelease:
    """One stream's text on its way out. Not shared between streams.

    Args:
        chain: the guards of the answer.
        context: what they may know.
        form: Unicode normal form they read.
    """

    def __init__(self, chain: GuardChain, context: GuardContext, form: NormalForm = "NFKC") -> None:
        self.released = 0
        self.verdict: Verdict | None = None
        self._chain, self._context, self._form = chain, context, form
        self._holds_whole = holds_whole(chain.guards)
        self._guards = [g for g in chain.guards if enforced(g) and g.config.action == "block"]
        self._hold = max((g.holdback or 1 for g in self._guards), default=0)
        self._pieces: list[str] = []
        self._window, self._offset = "", 0

    @property
    def is_blocked(self) -> bool:
        """Whether a guard has stopped the stream; `verdict` says which."""
        return self.verdict is not None

    def feed(self, piece: str) -> str:
        """The text that may leave after `piece` came in; empty while it must wait or after a block."""
        if self.is_blocked:
            return ""
        self._pieces.append(piece)
        if self._holds_whole:
            return ""
        self._window += piece
        if not self._guards:
            return self._release(self._offset + len(self._window))
        view = View(self._window, self._form, self._offset)
        n_settled = _settled(view)
        if n_settled == 0:
            return ""
        finding = self._first_finding(view, view.starts[n_settled - 1])
        if self.is_blocked:
            return self._release(finding.raw_start if finding else self.released)
        out = self._release(view.starts[max(0, n_settled - self._hold)])
        self._slide(view)
        return out

    async def finish(self) -> tuple[str, list[Verdict]]:
        """The rest of the text and the verdicts on the whole; the rest ends before a finding if a guard blocks."""
        whole = "".join(self._pieces)
        verdicts = await self._chain.check(View(whole, self._form), self._context)
        self.verdict = self.verdict or blocking(verdicts)
        if self._holds_whole:
            return ("" if self.is_blocked else rewritten(whole, verdicts)), verdicts
        if self._guards:
            view = View(self._window, self._form, self._offset)
            finding = self._first_finding(view, len(whole))
            if self.is_blocked:
                return self._release(finding.raw_start if finding else self.released), verdicts
        return self._release(len(whole)), verdicts

    def _release(self, until: int) -> str:
        """Raw text up to `until` that has not left yet."""
        until = max(until, self.released)
        out = self._window[self.released - self._offset : until - self._offset]
        self.released += len(out)
        if not self._guards:
            self._window, self._offset = "", self.released
        return out

    def _slide(self, view: View) -> None:
        """Forget what has left but its last cluster, which tells whether a word begins behind it."""
        before = [start for start in view.starts if start < self.released][-1:]
        if before and before[0] > self._offset:
            self._window, self._offset = self._window[before[0] - self._offset :], before[0]

    def _first_finding(self, view: View, settled_end: int) -> Finding | None:
        """The finding that ends first among those that end by `settled_end`; sets `verdict`."""
        found: list[tuple[int, int, Finding, Verdict]] = []
        for guard in self._guards:
            try:
                verdict = guard.check(view, self._context)
            except Exception as exc:  # as in the chain: `on_failure` decides
                verdict = failed(guard, self._context, "error", f"the guard failed with {type(exc).__name__}")
                if verdict.action == "block":
                    self.verdict = verdict
                    return None
                continue
            for finding in verdict.findings:
                if finding.raw_end <= settled_end and finding.raw_start >= self.released:
                    found.append((finding.raw_end, finding.raw_start, finding, verdict))
        if not found:
            return None
        _, _, finding, verdict = min(found, key=lambda item: item[:2])
        self.verdict = verdict
        return finding


def _settled(view: View) -> int:
    """How many normalised characters no further text can change: all but the last cluster."""
    n = len(view.text)
    while n and view.starts[n - 1] == view.starts[-1]:
        n -= 1
    return n
