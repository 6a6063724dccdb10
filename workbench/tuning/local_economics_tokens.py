"""What an API would have charged for measured requests: token counts, the bill in its parts, and draws of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.core import ConfigError, Usage
from workbench.core.price import TokenPrice
from workbench.economics import token_cost_usd
from workbench.evaluation.statistics import bootstrap_means

Floats = NDArray[np.float64]
COUNTS = ("prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens", "reasoning_tokens")
PARTS = ("uncached_usd", "cached_usd", "answer_usd", "total_usd", "batch_usd", "prompt_tokens", "completion_tokens")
FEW_GROUPS = 20
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class TokenCounts:
    """Tokens of requests, one row each.

    Args:
        frame: the columns `COUNTS` and `group`; prompt and completion tokens are never null.
        origin: whose tokens they are and where they were counted.
        is_own: whether the API model itself was measured; else another model's tokenizer and answers stand in for it.
        evidence: folder, run and hash.
        n_left_out: requests without counts (failed ones), which are not priced.
    """

    frame: pl.DataFrame
    origin: str
    is_own: bool
    evidence: Mapping[str, Any]
    n_left_out: int = 0

    @classmethod
    def of(cls, rows: pl.DataFrame, group: str, origin: str, is_own: bool, evidence: Mapping[str, Any]) -> TokenCounts:
        """Counts of the rows that have them.

        Args:
            rows: measured requests.
            group: column whose equal values are not independent (the prompt's id, or its paraphrase group).
            origin, is_own, evidence: see the class.

        Raises:
            ConfigError: no row has counts.
        """
        known = [pl.col(name) if name in rows.columns else pl.lit(None, pl.Int64).alias(name) for name in COUNTS]
        frame = rows.select(*known, pl.col(group).cast(pl.String).alias("group"))
        counted = frame.filter(pl.col("prompt_tokens").is_not_null() & pl.col("completion_tokens").is_not_null())
        if not counted.height:
            raise ConfigError(
                f"{origin}: no request has token counts, so that no price can be applied; the server reports no usage"
            )
        if not is_own:  # another server's cache and hidden reasoning say nothing about this API's
            none = (
                pl.lit(None, pl.Int64).alias(name)
                for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens")
            )
            counted = counted.with_columns(*none)
        return cls(counted, origin, is_own, evidence, frame.height - counted.height)

    @property
    def groups(self) -> list[str]:
        """The group of each row."""
        return list(self.frame["group"])

    @property
    def n_groups(self) -> int:
        """Independent groups."""
        return int(self.frame["group"].n_unique())

    def bills(self, price: TokenPrice, name: str) -> Floats:
        """USD of each request in its parts: columns of `PARTS`, the last two being tokens.

        `uncached_usd` and `cached_usd` are the prompt's, were none or all of it read from the cache; `answer_usd` the rest.

        Raises:
            ConfigError: a count is missing that the price needs.
        """
        return np.array([_bill(row, price, name) for row in self.frame.iter_rows(named=True)])


def _bill(row: Mapping[str, Any], price: TokenPrice, name: str) -> list[float]:
    usage = Usage(**{count: row[count] for count in COUNTS})
    if usage.reasoning_tokens is None:
        usage = replace(usage, reasoning_tokens=0)
    total = _usd(usage, price, name)
    plain = replace(usage, cached_tokens=0, cache_write_tokens=0)
    answer = _usd(plain, price, name) - _usd(replace(plain, completion_tokens=0, reasoning_tokens=0), price, name)
    cached = _usd(replace(plain, cached_tokens=usage.prompt_tokens), price, name) - answer
    batch = total if price.batch is None else _usd(usage, price, name, batch=True)
    return [
        _usd(plain, price, name) - answer,
        cached,
        answer,
        total,
        batch,
        float(usage.prompt_tokens or 0),
        float(usage.completion_tokens or 0),
    ]


def _usd(usage: Usage, price: TokenPrice, name: str, *, batch: bool = False) -> float:
    cost = token_cost_usd(usage, price, batch=batch)
    if cost is None:
        raise ConfigError(f"what {name} charges for {usage} cannot be told: a count is missing that its price needs")
    return cost


@dataclass(frozen=True, slots=True)
class ApiBill:
    """The mean bill of one request, in parts that can be turned one by one.

    Args:
        uncached_usd: the prompt, were nothing of it cached.
        cached_usd: the prompt, were all of it read from the cache.
        answer_usd: the answer, hidden reasoning included.
        cached_share: where between the two the prompt lies, 0..1.
        batch_usd: everything through the batch service.
        batch_share: share of the requests sent as batch, 0..1.
        token_factor: tokens of this API for one token of whoever was measured.
    """

    uncached_usd: float
    cached_usd: float
    answer_usd: float
    cached_share: float
    batch_usd: float
    batch_share: float = 0.0
    token_factor: float = 1.0

    @property
    def prompt_usd(self) -> float:
        """The prompt at its cached share."""
        return (1 - self.cached_share) * self.uncached_usd + self.cached_share * self.cached_usd

    @property
    def variable_usd(self) -> float:
        """USD a request."""
        standard = self.prompt_usd + self.answer_usd
        return self.token_factor * ((1 - self.batch_share) * standard + self.batch_share * self.batch_usd)


def mean_bills(counts: TokenCounts, price: TokenPrice, name: str, seed: int, n_draws: int) -> tuple[Floats, Floats]:
    """Means of `PARTS` over the requests, and their bootstrap draws (n_draws, 7): whole groups are resampled.

    The same seed and groups give the same resamples, so that what is compared on the same prompts is compared on the same draws.
    """
    table = counts.bills(price, name)
    draws = bootstrap_means(table, counts.groups, np.random.default_rng(seed), n_draws)
    return table.mean(axis=0), draws


def api_bill(means: Floats) -> ApiBill:
    """The bill of one row of means; the cached share is the one that gives the total."""
    uncached, cached, answer, total, batch = (float(value) for value in means[:5])
    share = (uncached - (total - answer)) / (uncached - cached) if uncached != cached else 0.0
    return ApiBill(uncached, cached, answer, 0.0 if abs(share) < ROUNDING else share, batch)
