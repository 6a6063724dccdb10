import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import Message, Request
from workbench.routing import Circumstances, CostAware, Policy, Predictions, Queries
from workbench.routing.stickiness import Sessions, StickinessConfig
from workbench.testing import FakeClock

MODELS = ("a", "b")
USD_A_TOKEN = {"a": 0.001, "b": 0.01}


def saving(model, n_tokens):
    return USD_A_TOKEN[model] * n_tokens


def turns(n, session="s", tenant="t"):
    return Request(
        tuple(Message("user" if i % 2 == 0 else "assistant", f"turn {i}") for i in range(n)),
        session=session,
        tenant=tenant,
    )


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def sessions(clock):
    return Sessions(StickinessConfig(ttl_s=300, min_gain=0.05), clock)


def test_a_conversation_that_goes_on_finds_its_prefix_warm(sessions):
    sessions.note(turns(1), "a", 100)
    ties = sessions.ties(turns(3), MODELS, saving)
    assert (ties.last, ties.warm_tokens) == ("a", (100, 0))
    assert ties.discount_usd.tolist() == [[0.1, 0.0]]
    assert ties.bonus.tolist() == [[0.05, 0.0]]


def test_a_cache_dies_with_its_time_to_live(sessions, clock):
    sessions.note(turns(1), "a", 100)
    clock.advance(300)
    assert sessions.ties(turns(3), MODELS, saving).warm_tokens == (100, 0)
    clock.advance(1)
    ties = sessions.ties(turns(3), MODELS, saving)
    assert ties.warm_tokens == (0, 0)
    assert ties.last == "a", "hysteresis outlives the cache"


def test_a_history_that_was_edited_is_cold(sessions):
    sessions.note(turns(3), "a", 100)
    edited = Request((Message("user", "another beginning"), *turns(3).messages[1:]), session="s", tenant="t")
    assert sessions.ties(edited, MODELS, saving).warm_tokens == (0, 0)
    assert sessions.ties(turns(1), MODELS, saving).warm_tokens == (0, 0), "shorter than what was sent"


@pytest.mark.parametrize("other", [{"session": "x"}, {"tenant": "x"}, {"session": None}])
def test_another_session_or_tenant_knows_nothing(sessions, other):
    sessions.note(turns(1), "a", 100)
    assert sessions.ties(turns(3, **other), MODELS, saving).last is None


def test_both_models_may_be_warm(sessions):
    sessions.note(turns(1), "a", 100)
    sessions.note(turns(3), "b", 300)
    ties = sessions.ties(turns(5), MODELS, saving)
    assert (ties.last, ties.warm_tokens) == ("b", (100, 300))


def test_the_longest_unused_conversation_is_forgotten(clock):
    sessions = Sessions(StickinessConfig(max_sessions=2), clock)
    for name in ("x", "y", "x", "z"):
        sessions.note(turns(1, session=name), "a", 10)
    assert sessions.ties(turns(1, session="y"), MODELS, saving).last is None
    assert sessions.ties(turns(1, session="x"), MODELS, saving).last == "a"


def test_what_stays_or_is_given_up_is_said(sessions):
    sessions.note(turns(1), "a", 100)
    ties = sessions.ties(turns(3), MODELS, saving)
    assert ties.because("a", MODELS) == "stays with a, 100 warm tokens worth 0.1 USD"
    assert ties.because("b", MODELS) == "leaves a, giving up 100 warm tokens worth 0.1 USD"
    assert sessions.ties(turns(1, session="new"), MODELS, saving).because("a", MODELS) == ""


def test_nothing_is_said_of_a_cache_that_holds_nothing(clock):
    sessions = Sessions(StickinessConfig(), clock)
    sessions.note(turns(1), "a", 100)
    clock.advance(10_000)
    cold = sessions.ties(turns(3), MODELS, saving)
    assert (cold.last, cold.warm_tokens) == ("a", (0, 0))
    assert [cold.because(name, MODELS) for name in MODELS] == ["", ""]


def test_a_cold_session_is_held_by_the_gain_that_a_switch_needs_and_by_nothing_else(sessions, clock):
    sessions.note(turns(1), "a", 100)
    clock.advance(10_000)
    cold = sessions.ties(turns(3), MODELS, saving)
    assert cold.because("a", MODELS) == "stays with a, since a switch must gain 0.05 score"
    assert cold.because("b", MODELS) == ""


def test_tokens_whose_cache_costs_the_same_are_worth_nothing_and_not_said_to_be(sessions):
    sessions.note(turns(1), "a", 100)
    ties = sessions.ties(turns(3), MODELS, lambda name, n_tokens: 0.0)
    assert ties.because("b", MODELS) == "leaves a, giving up 100 warm tokens"


class Constant:
    kind = "constant"

    def __init__(self, quality, cost):
        self.rows = [np.array([row], float) for row in (quality, cost, (1.0, 1.0))]

    def predict(self, queries):
        return Predictions(*(np.repeat(row, len(queries), axis=0) for row in self.rows))


@given(
    quality=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    cost=st.tuples(st.floats(0.01, 2), st.floats(0.01, 2)),
    exchange=st.floats(0, 5),
    warm=st.integers(0, 2000),
    min_gain=st.floats(0, 0.3),
)
def test_a_switch_happens_only_when_its_gain_beats_the_lost_cache(quality, cost, exchange, warm, min_gain):
    sessions = Sessions(StickinessConfig(min_gain=min_gain), FakeClock())
    sessions.note(turns(1), "a", warm)
    ties = sessions.ties(turns(3), MODELS, saving)
    state = Circumstances((None,), discount_usd=ties.discount_usd, bonus=ties.bonus)
    policy = Policy(MODELS, Constant(quality, cost), CostAware(exchange))
    saved = min(saving("a", warm), cost[0])
    gain = (quality[1] - exchange * cost[1]) - (quality[0] - exchange * cost[0])
    loss = exchange * saved + min_gain
    chosen = MODELS[policy.choose(Queries.of(["x"]), None, state)[0]]
    if abs(gain - loss) > 1e-9:
        assert chosen == ("b" if gain > loss else "a")
    more = Circumstances((None,), discount_usd=ties.discount_usd * 2, bonus=ties.bonus)
    if chosen == "a":
        assert policy.choose(Queries.of(["x"]), None, more)[0] == 0, "a warmer cache never drives anybody away"


def test_sticking_wins_over_conversations_when_caches_are_billed():
    """200 conversations of 8 turns whose predicted qualities wobble: with what is really billed, sticking has the higher utility."""
    rng, exchange = np.random.default_rng(4), 1.0
    wobble = rng.normal(0, 0.05, (200, 8, 2)) + np.array([0.70, 0.72])

    def total(sticky):
        utility, clock = 0.0, FakeClock()
        sessions = Sessions(StickinessConfig(), clock)
        for conversation in range(200):
            for turn in range(8):
                request, n_tokens = turns(2 * turn + 1, session=str(conversation)), 100 * (turn + 1)
                cost = tuple(0.0004 * n_tokens for _ in MODELS)
                ties = sessions.ties(request, MODELS, lambda model, n: 0.9 * 0.0004 * n)
                state = Circumstances((None,), discount_usd=ties.discount_usd if sticky else None)
                policy = Policy(MODELS, Constant(wobble[conversation, turn], cost), CostAware(exchange))
                column = int(policy.choose(Queries.of(["x"]), None, state)[0])
                billed = cost[column] - ties.discount_usd[0, column]
                utility += wobble[conversation, turn, column] - exchange * billed
                sessions.note(request, MODELS[column], n_tokens)
        return utility

    assert total(True) > total(False) + 10
