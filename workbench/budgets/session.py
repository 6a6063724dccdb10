"""How many tokens and how much money a conversation may use: reserved before the model is asked, settled to what was used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from workbench.core import BudgetExceeded
from workbench.core.price import Strict


class SessionBudgetConfig(Strict):
    """How much one session may use: tokens, money, or both."""

    tokens: Annotated[
        int | None, Field(gt=0, description="prompt and answer tokens of all requests of a session; null: any number")
    ] = None
    usd: Annotated[
        float | None,
        Field(gt=0, description="USD of all calls of a session; models without a price are refused; null: any"),
    ] = None
    max_sessions: Annotated[
        int, Field(gt=0, description="sessions remembered; the longest unused idle one is forgotten first")
    ] = 100_000

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.tokens is None and self.usd is None:
            raise ValueError("a session budget limits tokens, usd or both; give one of them")
        return self


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
    spent_usd: float = 0.0
    held_usd: float = 0.0

    @property
    def is_idle(self) -> bool:
        return not self.reserved and not self.held_usd


class SessionBudget:
    """Accounts of tokens and money, one a session of a tenant. Safe to use from several threads.

    Tokens are reserved when a request is admitted; money is held when the model is chosen, because only then its price is known.
    Spent plus reserved never exceeds a limit, under any interleaving, as long as no request uses more than it reserved;
    if one does (a model that answers longer than asked), the overdraft is counted and the next request is refused.

    Args:
        config: the limit.
    """

    def __init__(self, config: SessionBudgetConfig) -> None:
        self.config = config
        self._accounts: OrderedDict[tuple[str, str], _Account] = OrderedDict()
        self._open: dict[int, float] = {}
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
            limit = self.config.tokens
            left = tokens if limit is None else limit - account.spent - account.reserved
            if tokens > left:
                raise BudgetExceeded(
                    f"session {session!r} has {max(0, left)} of {limit} tokens left, the request may need {tokens};"
                    " shorten it, ask for a shorter answer or begin a new session",
                    scope="session",
                )
            account.reserved += tokens
            self._made += 1
            self._open[self._made] = 0.0
            self._forget_idle()
            return Reservation(key, tokens, self._made)

    def hold_usd(self, reservation: Reservation, usd: float) -> None:
        """Set money aside for a request that was admitted, instead of what was held for it before.

        Raises:
            BudgetExceeded: scope "session"; less is left, and what was held before still is.
        """
        with self._lock:
            before = self._open.get(reservation.number)
            if before is None or self.config.usd is None:
                return
            account = self._accounts[reservation.key]
            left = self.config.usd - account.spent_usd - account.held_usd + before
            if usd > left:
                raise BudgetExceeded(
                    f"session {reservation.key[1]!r} has {max(0.0, left):.3g} of {self.config.usd:.3g} USD left, the request may need"
                    f" {usd:.3g}; ask for a shorter answer, name a cheaper model or begin a new session",
                    scope="session",
                )
            account.held_usd += usd - before
            self._open[reservation.number] = usd

    def settle(self, reservation: Reservation, used_tokens: int, used_usd: float | None = 0.0) -> None:
        """Replace a reservation by what was used; the rest is free again. A second call changes nothing.

        Args:
            reservation: of the request.
            used_tokens: of all its calls.
            used_usd: of all its calls; None, where nobody knows, charges what was held.
        """
        with self._lock:
            held_usd = self._open.pop(reservation.number, None)
            if held_usd is None:
                return
            account = self._accounts[reservation.key]
            account.reserved -= reservation.tokens
            account.spent += used_tokens
            account.held_usd = max(0.0, account.held_usd - held_usd)
            account.spent_usd += held_usd if used_usd is None else used_usd

    def left(self, tenant: str, session: str) -> int | None:
        """Tokens that a new request of the session could reserve now, never below 0; None without a limit on tokens."""
        with self._lock:
            account = self._accounts.get((tenant, session), _Account())
            limit = self.config.tokens
            return None if limit is None else max(0, limit - account.spent - account.reserved)

    def left_usd(self, reservation: Reservation) -> float | None:
        """USD that this request could hold now, its own hold included, never below 0; None without a limit on money."""
        with self._lock:
            account = self._accounts.get(reservation.key, _Account())
            own_usd = self._open.get(reservation.number, 0.0)
            limit = self.config.usd
            return None if limit is None else max(0.0, limit - account.spent_usd - account.held_usd + own_usd)

    def share_left(self, reservation: Reservation) -> float:
        """Share of the budget that settled requests have left, 0..1: of tokens or of money, whichever is less."""
        with self._lock:
            account = self._accounts.get(reservation.key, _Account())
            spent = ((account.spent, self.config.tokens), (account.spent_usd, self.config.usd))
            return max(0.0, min(1.0 - used / limit for used, limit in spent if limit is not None))

    def _forget_idle(self) -> None:
        while len(self._accounts) > self.config.max_sessions:
            idle = next((key for key, account in self._accounts.items() if account.is_idle), None)
            if idle is None:
                return
            del self._accounts[idle]
