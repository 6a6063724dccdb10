"""How many tokens a conversation may use: reserved before the model is asked, settled to what was used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from workbench.core import BudgetExceeded
from workbench.core.price import Strict


class SessionBudgetConfig(Strict):
    """How much one session may use."""

    tokens: Annotated[int, Field(gt=0, description="prompt and answer tokens of all requests of a session")]
    max_sessions: Annotated[
        int, Field(gt=0, description="sessions remembered; the longest unused idle one is forgotten first")
    ] = 100_000


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens set aside for one request. Hand it back to `settle` exactly once.

    Args:
        key: tenant and session.
        tokens: what was set aside.
        number: tells reservations apart.
    """

    key: tuple[str, str]
    tokens: int
    number: int


@dataclass(slots=True)
class _Account:
    spent: int = 0
    reserved: int = 0


class SessionBudget:
    """Token accounts, one a session of a tenant. Safe to use from several threads.

    Spent plus reserved never exceeds the limit, under any interleaving, as long as no request uses more than it reserved;
    if one does (a model that answers longer than asked), the overdraft is counted and the next request is refused.

    Args:
        config: the limit.
    """

    def __init__(self, config: SessionBudgetConfig) -> None:
        self.config = config
        self._accounts: OrderedDict[tuple[str, str], _Account] = OrderedDict()
        self._open: set[int] = set()
        self._made = 0
        self._lock = threading.Lock()

    def reserve(self, tenant: str, session: str, tokens: int) -> Reservation:
        """Set `tokens` aside for one request.

        Raises:
            BudgetExceeded: scope "session"; fewer are left and nothing was set aside.
        """
        key = (tenant, session)
        with self._lock:
            account = self._accounts.setdefault(key, _Account())
            self._accounts.move_to_end(key)
            left = self.config.tokens - account.spent - account.reserved
            if tokens > left:
                raise BudgetExceeded(
                    f"session {session!r} has {max(0, left)} of {self.config.tokens} tokens left, the request may need {tokens};"
                    " shorten it, ask for a shorter answer or begin a new session",
                    scope="session",
                )
            account.reserved += tokens
            self._made += 1
            self._open.add(self._made)
            self._forget_idle()
            return Reservation(key, tokens, self._made)

    def settle(self, reservation: Reservation, used_tokens: int) -> None:
        """Replace a reservation by what was used; the rest is free again. A second call changes nothing."""
        with self._lock:
            if reservation.number not in self._open:
                return
            self._open.remove(reservation.number)
            account = self._accounts[reservation.key]
            account.reserved -= reservation.tokens
            account.spent += used_tokens

    def left(self, tenant: str, session: str) -> int:
        """Tokens that a new request of the session could reserve now; never below 0."""
        with self._lock:
            account = self._accounts.get((tenant, session), _Account())
            return max(0, self.config.tokens - account.spent - account.reserved)

    def _forget_idle(self) -> None:
        while len(self._accounts) > self.config.max_sessions:
            idle = next((key for key, account in self._accounts.items() if not account.reserved), None)
            if idle is None:
                return
            del self._accounts[idle]
