"""What a user counts as good service: bounds on one request's seconds, all of which must hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean


@dataclass(frozen=True, slots=True)
class SLO:
    """Upper bounds in seconds; None does not bound. Seconds run from the intended start.

    Args:
        ttft_s: to the first visible token.
        latency_s: to the end of the answer.
        tpot_s: per output token after the first.

    Example:
        >>> SLO.parse("ttft_s=0.5,latency_s=2").bounds
        {'ttft_s': 0.5, 'latency_s': 2.0}
    """

    ttft_s: float | None = None
    latency_s: float | None = None
    tpot_s: float | None = None

    def __post_init__(self) -> None:
        if not self.bounds:
            raise ConfigError("an SLO needs at least one bound, e.g. ttft_s=0.5,latency_s=2")
        for name, bound_s in self.bounds.items():
            if not (bound_s > 0 and math.isfinite(bound_s)):
                raise ConfigError(f"SLO {name} is a number of seconds above 0, found {bound_s:g}")

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by name."""
        found = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: bound for name, bound in found if bound is not None}

    @classmethod
    def parse(cls, text: str) -> SLO:
        """An SLO as the command line writes it: `ttft_s=0.5,latency_s=2,tpot_s=0.05`.

        Raises:
            ConfigError: not NAME=SECONDS, an unknown name (suggests the nearest), a name given twice, or no positive number.
        """
        known = [field.name for field in fields(cls)]
        bounds: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name not in known:
                raise ConfigError(f"SLO: unknown bound {name!r}: {did_you_mean(name, known)}")
            if name in bounds:
                raise ConfigError(f"SLO: {name} is given twice in {text!r}; keep one")
            bounds[name] = _seconds(name, value)
        return cls(**bounds)

    def judge(self, row: Mapping[str, object]) -> bool | None:
        """Whether a measured row was good service; None when that was not seen.

        A failure is bad. A request that was cut by the end of the run is left out, unless it had broken a bound before it was cut: what
        could have come later would not have mended that. An answer of at most one token has no time per output token and an empty one no
        first token: the bound on the latter is held against its whole latency. A row whose needed seconds are unknown is left out.

        Source: for cut requests the rule of vllm-project/guidellm pull request 1085; for short answers `vllm bench serve`.
        """
        if row.get("error") is not None:
            return False
        was_cut = row.get("finish_reason") == "cut"
        held = [_holds(row, name, bound_s, was_cut) for name, bound_s in self.bounds.items()]
        if False in held:
            return False
        return None if None in held else True


def _holds(row: Mapping[str, object], name: str, bound_s: float, was_cut: bool) -> bool | None:
    value = row.get(name)
    if isinstance(value, int | float):
        return value <= bound_s
    if was_cut:
        cut_s, intended_s = row.get("cut_s"), row.get("intended_s")
        if name == "tpot_s" or not isinstance(cut_s, int | float) or not isinstance(intended_s, int | float):
            return None
        return False if cut_s - intended_s > bound_s else None
    n_tokens, latency_s = row.get("completion_tokens"), row.get("latency_s")
    if name == "tpot_s" and isinstance(n_tokens, int) and n_tokens <= 1:
        return True
    if name == "ttft_s" and row.get("chunks_s") == [] and isinstance(latency_s, int | float):
        return latency_s <= bound_s
    return None


def _seconds(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as exc:
        raise ConfigError(f"SLO {name} is a number of seconds, found {value!r}; write {name}=0.5") from exc
