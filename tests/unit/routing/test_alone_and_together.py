"""A live request is a batch of one: choice, numbers, words and alternatives are those it has among others, whatever the strategy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.routing import (
    Capability,
    Circumstances,
    CostAware,
    Hybrid,
    LatencyAware,
    Policy,
    Queries,
    ServiceCurve,
    make_predictor,
)

MODELS = ("tiny", "base", "large")
CURVES = (ServiceCurve((1, 8), (0.2, 0.9)), None, ServiceCurve((1, 2, 4), (1.0, 1.2, 2.0)))
OBJECTIVES = [
    CostAware(0.1),
    CostAware(math.inf),
    Capability(0.6, {"sum": 0.9, "list": 0.2}),
    LatencyAware(floor=0.4, curves=CURVES),
    LatencyAware(target_s=1.0, floors={"sum": 0.5}, curves=CURVES, power_of_two=True),
    Hybrid(exchange=0.1, per_second=0.1, floor=0.3, slo_s=1.5, cost_limit_usd=2.5, curves=CURVES),
]
PARTS = ("in_flight", "recent_s", "discount_usd", "exchange", "left_usd", "draws", "bonus")
N = 12


class Vectors:
    """An embedder that looks the number before a text's first space up in a table."""

    def __init__(self, table):
        self.table, self.fingerprint, self.dim = table.astype(np.float32), "table", table.shape[1]

    def embed(self, texts):
        return self.table[[int(text.partition(" ")[0]) for text in texts]]


def a_predictor(kind):
    """Fitted on 300 prompts in six regions; 40 more lie where no recorded prompt does."""
    rng = np.random.default_rng(0)
    home = rng.integers(0, 6, 300)
    near = rng.standard_normal((6, 16))[home] + 0.3 * rng.standard_normal((300, 16))
    queries = Queries.of([f"{i} {'word 7 ' * (i % 9)}" for i in range(300)], ["sum", "list", "other"] * 100)
    quality = np.rint(2 * rng.random((300, 3))) / 2
    cost = rng.random((300, 3)) + np.arange(3.0)
    embedder = Vectors(np.concatenate([near, rng.standard_normal((40, 16))]))
    return make_predictor(kind, embedder).fit(queries, quality, cost, cost)


PREDICTORS = {kind: a_predictor(kind) for kind in ("stack", "task-mean", "kmeans")}


def requests(rng):
    """Familiar and strange prompts, with known, new and no labels."""
    numbers = [*rng.integers(0, 300, N // 2), *rng.integers(300, 340, N - N // 2)]
    labels = ["sum", "list", "other", "new", None]
    return Queries.of(
        [f"{i} {'x' * int(rng.integers(0, 90))}" for i in numbers], [labels[i] for i in rng.integers(0, 5, N)]
    )


def circumstances(rng, tasks):
    """Any of the parts known, others not; rates may be infinite, averages unknown."""
    parts = {
        "in_flight": rng.integers(0, 9, (N, 3)).astype(float),
        "recent_s": np.where(rng.random((N, 3)) < 0.5, math.nan, rng.random((N, 3))),
        "discount_usd": rng.random((N, 3)) * 3,
        "exchange": np.where(rng.random(N) < 0.2, math.inf, rng.random(N)),
        "left_usd": rng.random(N) * 3,
        "draws": rng.random((N, 2)),
        "bonus": np.where(rng.random((N, 3)) < 0.3, 0.2, 0.0),
    }
    return Circumstances(tasks, **{name: part for name, part in parts.items() if rng.random() < 0.6})


@pytest.mark.parametrize("kind", list(PREDICTORS))
@pytest.mark.parametrize("objective", OBJECTIVES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_a_request_is_decided_and_explained_the_same_alone_and_among_others(kind, objective, seed):
    rng = np.random.default_rng(seed)
    policy = Policy(MODELS, PREDICTORS[kind], objective)
    queries, eligible = requests(rng), rng.random((N, 3)) < 0.8
    given = circumstances(rng, queries.tasks)
    together = policy.decide(queries, eligible, given)
    alone = [policy.decide(queries[i : i + 1], eligible[i : i + 1], given[i : i + 1])[0] for i in range(N)]
    assert [decision.to_json() for decision in together] == [decision.to_json() for decision in alone]
    columns = [MODELS.index(decision.model) if decision.model else -1 for decision in together]
    assert policy.choose(queries, eligible, given).tolist() == columns
    assert all(may[column] for may, column in zip(eligible, columns, strict=True) if column >= 0)
    assert [policy.choose(queries[i : i + 1])[0] for i in range(N)] == policy.choose(queries).tolist()


def test_the_requests_are_of_every_sort():
    queries = requests(np.random.default_rng(0))
    strange = PREDICTORS["stack"].predict(queries).unfamiliar
    assert 0 < strange.sum() < N
    assert {None, "new"} < set(queries.tasks)


def test_a_part_with_too_few_rows_is_named():
    with pytest.raises(ConfigError, match="2 requests come with 1 rows of bonus"):
        Circumstances((None, None), bonus=np.zeros((1, 3)))
    assert Circumstances.__dataclass_fields__.keys() - {"tasks"} == set(PARTS)
