"""What routing does over time, replayed on recorded rows: a burst that sees stale load, a paced budget, conversations, an explored log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from workbench.core import ConfigError, Message, Request, SystemClock
from workbench.core.price import TokenPrice
from workbench.evaluation.statistics import clustered_mean
from workbench.routing import (
    Circumstances,
    CostAware,
    FixedPolicy,
    LatencyAware,
    Policy,
    Predictions,
    ServiceCurve,
    Sessions,
    StickinessConfig,
)
from workbench.routing.exploration import explored
from workbench.routing.pacing import PacingConfig, paced_exchange
from workbench.tuning.off_policy import choice_probabilities, off_policy
from workbench.tuning.selection import Replay
from workbench.tuning.strategy_trials import StrategyTrial

FloatArray = npt.NDArray[np.float64]
PER_MILLION = 1e-6


def burst(trial: StrategyTrial, n: int, seed: int = 0) -> pl.DataFrame:
    """What n requests of one instant wait for, by what their routers know of the load.

    All see an idle lab ("stale"), look at two models drawn by lot instead of all, or count every earlier one ("up to date"). Seconds
    are read off the measured service curves at the load that the burst itself makes; models count as machines of their own.

    Args:
        trial: of a latency-aware strategy.
        n: requests, drawn from the report split.
        seed: of the draw.

    Raises:
        ConfigError: another strategy.
    """
    objective = trial.objective
    if not isinstance(objective, LatencyAware):
        raise ConfigError(f"a burst asks a latency-aware objective, {trial.name!r} is {objective.kind}")
    drawn = np.random.default_rng([seed, 8]).permutation(len(trial.replay.matrix))[:n]
    replay = replace(trial.replay, matrix=trial.replay.matrix.take(drawn))
    queries = replay.matrix.queries
    shape = (len(queries), len(replay.matrix.models))
    stale = Circumstances(queries.tasks, in_flight=np.zeros(shape), draws=Circumstances.of(queries).draws)
    lots = replace(objective, power_of_two=True)
    found = {
        "stale, the best of all": trial.policy.choose(queries, given=stale),
        "stale, the better of two by lot": Policy(replay.matrix.models, replay.predictor, lots).choose(
            queries, given=stale
        ),
        "up to date": _one_after_another(trial.policy, replay),
    }
    return pl.DataFrame([_burst_row(name, chosen, replay, objective.curves) for name, chosen in found.items()])


def _one_after_another(policy: Policy, replay: Replay) -> npt.NDArray[np.intp]:
    queries, in_flight, chosen = replay.matrix.queries, np.zeros((1, len(replay.matrix.models))), []
    for row in range(len(queries)):
        one = queries[[row]]
        column = int(policy.choose(one, given=Circumstances(one.tasks, in_flight=in_flight.copy()))[0])
        in_flight[0, column] += 1
        chosen.append(column)
    return np.array(chosen, np.intp)


def _burst_row(
    name: str, chosen: npt.NDArray[np.intp], replay: Replay, curves: Sequence[ServiceCurve | None]
) -> dict[str, str | float]:
    models = replay.matrix.models
    counts = np.bincount(chosen, minlength=len(models))
    seconds = np.array([c.at(np.array([float(counts[j])]))[0] if c else math.nan for j, c in enumerate(curves)])[chosen]
    score = replay.matrix.score[np.arange(len(chosen)), chosen].mean()
    return {
        "routers": name,
        "mean_s": float(seconds.mean()),
        "slowest_s": float(seconds.max()),
        "score": float(score),
        **{model: int(count) for model, count in zip(models, counts, strict=True)},
    }


@dataclass(frozen=True, slots=True, eq=False)
class PacedReplay:
    """A budget followed over one period.

    Args:
        elapsed: share of the period at each request, shape (n,).
        spent: share of the budget spent by then, λ following the spend, shape (n,).
        unpaced: the same with λ held, shape (n,).
        score: mean score with λ following the spend.
        unpaced_score: with λ held, until the budget ends; the cheapest model answers from there on.
        fixed_score, fixed_spent: of the best fixed λ within the budget, known in hindsight only; share of the budget.
        cheapest_score, cheapest_spent: of the cheapest model alone.
    """

    elapsed: FloatArray
    spent: FloatArray
    unpaced: FloatArray
    score: float
    unpaced_score: float
    fixed_score: float
    fixed_spent: float
    cheapest_score: float
    cheapest_spent: float

    def table(self) -> pl.DataFrame:
        """Score, and the share of the budget that it took, of each way to spend."""
        rows = [
            ("λ follows the spend", self.score, float(self.spent[-1])),
            ("λ held until the money is gone", self.unpaced_score, float(self.unpaced[-1])),
            ("the best fixed λ, known in hindsight", self.fixed_score, self.fixed_spent),
            ("the cheapest model alone", self.cheapest_score, self.cheapest_spent),
        ]
        return pl.DataFrame(rows, schema=["way", "score", "share_of_budget_spent"], orient="row")


def paced(trial: StrategyTrial, budget_usd: float, slack: float = 0.05, seed: int = 0) -> PacedReplay:
    """The report split as one period's traffic, most of it in the first half, under a budget.

    Args:
        trial: of a cost-aware strategy; its λ is where pacing begins.
        budget_usd: of the period.
        slack: see `PacingConfig`.
        seed: of the order of requests.

    Raises:
        ConfigError: another strategy.
    """
    if not isinstance(trial.objective, CostAware):
        raise ConfigError(f"λ is paced; {trial.name!r} is {trial.objective.kind} and has none")
    matrix, exchange = trial.replay.matrix, trial.objective.exchange
    order = np.random.default_rng([seed, 5]).permutation(len(matrix))
    elapsed = np.linspace(0.0, 1.0, len(order), endpoint=False) ** 1.5
    config = PacingConfig(budget_usd=budget_usd, period_s=1.0, slack=slack)
    follow, hold = (_spend(trial, order, elapsed, exchange, config, is_paced) for is_paced in (True, False))
    frontier, cost_usd = trial.replay.frontier, matrix.cost_usd.mean(axis=0)
    within = np.flatnonzero(frontier.cost_usd * len(matrix) <= budget_usd)
    cheapest = int(cost_usd.argmin())
    alone = float(matrix.score[:, cheapest].mean()), float(cost_usd[cheapest]) * len(matrix) / budget_usd
    best = int(within[frontier.score[within].argmax()]) if len(within) else None
    fixed = alone
    if best is not None:
        fixed = float(frontier.score[best]), float(frontier.cost_usd[best]) * len(matrix) / budget_usd
    return PacedReplay(elapsed, follow[0] / budget_usd, hold[0] / budget_usd, follow[1], hold[1], *fixed, *alone)


def _spend(
    trial: StrategyTrial,
    order: npt.NDArray[np.intp],
    elapsed: FloatArray,
    exchange: float,
    config: PacingConfig,
    is_paced: bool,
) -> tuple[FloatArray, float]:
    """USD spent after each request, and the mean score."""
    replay, spent_usd, path, scores = trial.replay, 0.0, [], []
    matrix, predictions = replay.matrix, replay.predictions
    eligible = np.ones((1, len(matrix.models)), np.bool_)
    for row, at in zip(order.tolist(), elapsed.tolist(), strict=True):
        now = paced_exchange(exchange, spent_usd, at, config)
        if not is_paced and math.isfinite(now):
            now = exchange
        given = Circumstances((None,), exchange=np.array([now]))
        column = int(CostAware(exchange).choose(predictions[row : row + 1], eligible, given)[0])
        spent_usd += float(matrix.cost_usd[row, column])
        scores.append(matrix.score[row, column])
        path.append(spent_usd)
    return np.array(path), float(np.mean(scores))


@dataclass(frozen=True, slots=True)
class ConversationConfig:
    """Recorded prompts put together to conversations.

    Args:
        turns: questions of one conversation.
        preamble_tokens: system prompt and documents at its beginning.
        exchange: λ, score per USD at the prices of `conversations`.
        min_gain: score that a switch must gain beyond the lost cache.
        seed: of which prompts form a conversation.
    """

    turns: int = 8
    preamble_tokens: int = 2000
    exchange: float = 100.0
    min_gain: float = 0.0
    seed: int = 0


def conversations(replay: Replay, prices: Sequence[TokenPrice], config: ConversationConfig) -> pl.DataFrame:
    """Score, USD and switches of conversations when the lost prefix cache is priced, when it is not, and when nobody may switch.

    Predicted and recorded scores are those of the rows; token counts are the preamble, the history and the prompt's words. An answer's
    score is taken as it was recorded alone: what a history does to it was not measured. Every model is billed as a seller bills: what
    it read before at the cached price, the rest in full. `worth_gained` is score − λ · USD a turn beyond deciding each turn on its own,
    with its 95 % interval over conversations.

    Args:
        replay: predictor and rows.
        prices: one a model, with cached input.
        config: how long and how dear.

    Raises:
        ConfigError: not one price a model, or fewer rows than one conversation has turns.
    """
    matrix = replay.matrix
    if len(prices) != len(matrix.models):
        raise ConfigError(f"{len(prices)} prices for the models {', '.join(matrix.models)}; give one each")
    order = np.random.default_rng([config.seed, 6]).permutation(len(matrix))
    n_whole = len(order) // config.turns
    if not n_whole:
        raise ConfigError(f"{len(matrix)} rows make no conversation of {config.turns} turns; ask for fewer turns")
    talks = order[: n_whole * config.turns].reshape(n_whole, config.turns)
    outcomes = {name: _talks(replay, prices, config, talks.tolist(), name) for name in WAYS}
    alone = outcomes[WAYS[0]]
    return pl.DataFrame([_conversation_row(name, found, alone, config) for name, found in outcomes.items()])


WAYS = ("each turn on its own", "lost cache priced", "first model kept")


def _talks(
    replay: Replay, prices: Sequence[TokenPrice], config: ConversationConfig, talks: list[list[int]], way: str
) -> FloatArray:
    """Score, USD and whether the model changed, shape (conversations, turns, 3)."""
    return np.array([_talk(replay, prices, config, talk, way) for talk in talks], float)


def _conversation_row(way: str, found: FloatArray, alone: FloatArray, config: ConversationConfig) -> dict[str, Any]:
    worth, usual = (part[..., 0] - config.exchange * part[..., 1] for part in (found, alone))
    gain = clustered_mean((worth - usual).mean(axis=1), list(range(len(worth))))
    return {
        "conversations": way,
        "n": len(found),
        "score": float(found[..., 0].mean()),
        "usd_per_1k_turns": 1000 * float(found[..., 1].mean()),
        "switches_per_conversation": float(found[..., 2].sum() / len(found)),
        "worth_gained": float(gain.value),
        "worth_gained_ci": [float(end) for end in gain.ci],
    }


def _talk(
    replay: Replay, prices: Sequence[TokenPrice], config: ConversationConfig, talk: list[int], way: str
) -> list[tuple[float, float, bool]]:
    """Score, USD and whether the model changed, turn by turn."""
    matrix, models = replay.matrix, replay.matrix.models
    sessions = Sessions(StickinessConfig(min_gain=config.min_gain), SystemClock())
    messages: tuple[Message, ...] = ()
    history, last, turns = config.preamble_tokens, -1, []
    eligible = np.ones((1, len(models)), np.bool_)
    for row in talk:
        messages += (Message("user", matrix.queries.texts[row]),)
        request = Request(messages=messages, session="talk")
        n_prompt = history + len(matrix.queries.texts[row].split())
        ties = sessions.ties(request, models, lambda model, n: n * _saved_usd(prices[models.index(model)]))
        full = np.array([[n_prompt * p.input_usd_per_1m * PER_MILLION for p in prices]])
        discount = ties.discount_usd if way == WAYS[1] else np.zeros_like(full)
        quality = replay.predictions.quality[row : row + 1] + (ties.bonus if way == WAYS[1] else 0.0)
        predicted = Predictions(quality, np.maximum(full - discount, 0.0), np.full(full.shape, np.nan))
        column = int(CostAware(config.exchange).choose(predicted, eligible)[0])
        if way == WAYS[2] and last >= 0:
            column = last
        usd = float(full[0, column] - ties.discount_usd[0, column])
        turns.append((float(matrix.score[row, column]), usd, last >= 0 and column != last))
        sessions.note(request, models[column], n_prompt)
        messages += (Message("assistant", "answer"),)
        history, last = n_prompt + 1, column
    return turns


def _saved_usd(price: TokenPrice) -> float:
    """USD that one cached prompt token saves."""
    cached = price.cached_input_usd_per_1m
    return 0.0 if cached is None else (price.input_usd_per_1m - cached) * PER_MILLION


def explored_log(target: StrategyTrial, share: float, repeats: int = 1, seed: int = 0) -> pl.DataFrame:
    """What a log of the best single model with some exploration says about a strategy, beside the truth.

    Every report row is served `repeats` times by the best single model, a share of them by lot; the target policy's mean score is then
    estimated from what the log holds alone. The truth is known because every model's answer to every row was recorded.

    Args:
        target: the strategy to be judged.
        share: of requests whose model is drawn by lot.
        repeats: how often each prompt comes.
        seed: of the lots.

    Raises:
        NotCertifiable: the log is worth too few requests.
    """
    matrix, models = target.replay.matrix, target.replay.matrix.models
    served = FixedPolicy(models[target.state.single], models).decide(matrix.queries)
    rows, chosen, propensity = [], [], []
    for turn in range(repeats):
        for row, decision in enumerate(served):
            drawn = explored(decision, models, share, f"{seed}/{turn}/{matrix.prompt_ids[row]}")
            rows.append(row)
            chosen.append(models.index(str(drawn.model)))
            propensity.append(drawn.propensity)
    index, columns = np.array(rows), np.array(chosen)
    report = off_policy(
        columns,
        matrix.score[index, columns],
        np.array(propensity, float),
        choice_probabilities(target.choice, len(models))[index],
        predicted=target.replay.predictions.quality[index],
        groups=[matrix.groups[row] for row in rows],
    )
    truth = float(matrix.score[np.arange(len(matrix)), target.choice].mean())
    lines = [
        {
            "estimate": e.method,
            "score": e.score,
            "low": e.ci[0],
            "high": e.ci[1],
            "truth": truth,
            "covers": e.ci[0] <= truth <= e.ci[1],
            "n_logged": report.n,
            "n_effective": report.n_effective,
            "overlaps": report.overlaps,
        }
        for e in report.estimates.values()
    ]
    return pl.DataFrame(lines)
