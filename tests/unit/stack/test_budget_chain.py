"""Dear models while the session's budget allows, cheaper ones as it goes."""

import asyncio

import pytest

from workbench.core import BudgetExceeded, ConfigError, Request, Unavailable

CHEAP = {"input_usd_per_1m": 100_000.0, "output_usd_per_1m": 200_000.0}  # a tenth of the usual
CHOOSE = {"policy": {"kind": "fixed", "model": "base"}, "fallbacks": ["tiny"]}


def ask(session="s", **known):
    return Request.from_prompt("one two three", session=session, **known)  # base: 9 USD, tiny: 0.7 USD


@pytest.fixture
def budgeted(lab):
    lab.cards["tiny"]["price"] = CHEAP

    def build(usd=100.0, choose=CHOOSE, **sections):
        admit = {"session_budget": {"usd": usd}}
        return lab.stack(admit=admit, choose=choose, compose={"max_answer_tokens": 10}, settle={}, **sections)

    return build


async def answered_by(stack, n, **known):
    return [(await stack.run(ask(**known))).completion.model for _ in range(n)]


async def test_dear_while_the_budget_allows_then_cheap(budgeted):
    stack = budgeted(usd=100, choose={**CHOOSE, "while_left": {"base": 0.6}})
    assert await answered_by(stack, 8) == ["base"] * 5 + ["tiny"] * 3, "after 45 of 100 USD less than 60 % are left"
    assert await answered_by(stack, 1, session="another") == ["base"]
    decision = (await stack.run(ask())).decision
    assert "model 'base' is asked while 60% of the session's budget are left, 53% are" in decision.because


async def test_a_model_that_may_cost_more_than_is_left_is_not_asked(budgeted):
    stack = budgeted(usd=30)
    assert await answered_by(stack, 3) == ["base", "tiny", "tiny"], "base may take 23 USD, after one answer 21 are left"


async def test_when_even_the_cheapest_costs_too_much_the_request_is_refused(budgeted):
    stack = budgeted(usd=2.5)
    assert await answered_by(stack, 1) == ["tiny"]
    with pytest.raises(BudgetExceeded, match=r"up to 2.3 USD, the session has 1.\d+ USD left|up to 23 USD") as caught:
        await stack.run(ask())
    assert caught.value.scope == "session"


async def test_concurrent_requests_of_a_session_do_not_overspend(budgeted):
    stack = budgeted(usd=50)
    responses = await asyncio.gather(*(stack.run(ask()) for _ in range(6)), return_exceptions=True)
    spent = sum(stack.metrics.cost_usd.values())
    assert spent <= 50
    assert [r.completion.model for r in responses if not isinstance(r, Exception)].count("base") == 2


async def test_a_fallback_that_the_session_cannot_afford_is_not_asked(lab, budgeted):
    lab.replies["tiny"] = [Unavailable("down", model="tiny")]
    stack = budgeted(usd=20, choose={"policy": {"kind": "fixed", "model": "tiny"}, "fallbacks": ["base"]})
    with pytest.raises(Unavailable):
        await stack.run(ask())
    assert lab.asked == {"tiny": 1}


async def test_a_fallback_dearer_than_the_requests_limit_is_not_asked(lab):
    lab.cards["tiny"]["price"] = CHEAP
    lab.replies["tiny"] = [Unavailable("down", model="tiny")]
    choose = {"policy": {"kind": "fixed", "model": "tiny"}, "fallbacks": ["base"]}
    stack = lab.stack(choose=choose, compose={"max_answer_tokens": 10}, settle={})
    with pytest.raises(Unavailable):
        await stack.run(ask(cost_limit_usd=3.0))
    assert lab.asked == {"tiny": 1}


async def test_a_call_of_unknown_cost_is_charged_what_was_held(lab, budgeted):
    lab.latency_s["base"] = 100.0
    stack = budgeted(usd=50, answer={"deadline_s": 5, "chain": {"breaker": None}})
    await stack.run(ask())
    assert await answered_by(stack, 1) == ["base" if lab.latency_s["base"] < 5 else "tiny"]
    assert stack._admit.budget._accounts["public", "s"].spent_usd >= 2 * 23


async def test_a_stored_answer_costs_the_session_nothing(budgeted):
    stack = budgeted(usd=30, recall={"exact": {"max_entries": 10, "ttl_s": 60}})
    await answered_by(stack, 5)
    account = stack._admit.budget._accounts["public", "s"]
    assert (account.spent_usd, account.held_usd) == (9.0, 0.0)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"choose": {**CHOOSE, "while_left": {"base": 0.5}}}, "choose.while_left: shares of a session's budget, but"),
        ({"choose": {**CHOOSE, "while_left": {"bse": 0.5}}}, "choose.while_left.bse: unknown model 'bse'"),
        ({"admit": {"session_budget": {}}}, "a session budget limits tokens, usd or both"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(lab, sections, message):
    with pytest.raises(ConfigError, match=message):
        lab.stack(**sections)


def test_money_is_not_counted_on_models_without_a_price(lab):
    lab.cards["far"]["price"] = None
    with pytest.raises(ConfigError, match=r"models.far.price is null"):
        lab.stack(admit={"session_budget": {"usd": 1.0}})
