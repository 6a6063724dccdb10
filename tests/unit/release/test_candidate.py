import json

import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.core.price import TokenPrice
from workbench.evaluation import Suite
from workbench.models import ModelCard
from workbench.release.candidate import Candidate, messages_of
from workbench.release.checkable import why_score_unchecked, with_grader, with_suite
from workbench.release.claims import money_and_score_claims
from workbench.release.release import pilot_requests, stack_config
from workbench.routing import FixedPolicy

CHOSEN = {"policy": "ridge", "score": 0.9, "score_ci": [0.8, 0.95], "cost_usd_per_1k": 2.0, "cost_ci": [1.5, 2.5]}
UNGRADED = pl.Series([None] * 40, dtype=pl.String)


def document(verdict="route"):
    baselines = {"api": {"score": 0.9}, "base": {"score": 0.8}, "tiny": {"score": 0.3}}
    return {"verdict": verdict, "because": "", "chosen": CHOSEN, "data_hash": "hash", "baselines": baselines}


def rows(n=40, **columns):
    plain = {
        "prompt_id": [f"p{i}" for i in range(n)],
        "prompt": [f"question {i}" for i in range(n)],
        "messages": pl.Series([None] * n, dtype=pl.String),
        "task": ["sums"] * n,
        "group": [f"g{i // 2}" for i in range(n)],
        "answer": ["4"] * n,
        "grader": ["exact"] * n,
        "choice": ["base"] * n,
        "score": [float(i % 4 > 0) for i in range(n)],
        "cost_usd": [0.001 * (1 + i % 3) for i in range(n)],
    }
    return pl.DataFrame({**plain, **columns})


def card(kind="scripted", **known):
    return ModelCard(kind=kind, model="m", **known)


def candidate(**changed):
    cards = {"tiny": card(region="local"), "base": card(region="local"), "api": card("openai-compatible")}
    plain = {
        "document": document(),
        "policy": FixedPolicy("base", ("tiny", "base", "api")),
        "cards": cards,
        "report": rows(),
        "pilot": rows(),
        "sampling": {"max_tokens": 48, "temperature": 0.0},
    }
    return Candidate(**{**plain, **changed})


def test_a_model_without_a_card_is_named():
    with pytest.raises(ConfigError, match="no card for api"):
        candidate(cards={"tiny": card(), "base": card()})


def test_rows_without_a_column_or_without_rows_are_refused():
    with pytest.raises(ConfigError, match="report rows lack grader"):
        candidate(report=rows().drop("grader"))
    with pytest.raises(ConfigError, match="no pilot rows"):
        candidate(pilot=rows().head(0))


def test_a_policy_that_routes_claims_what_the_sweep_found():
    score, cost = money_and_score_claims(candidate(), "run")
    assert (score.estimate, score.ci, score.run_id) == (0.9, (0.8, 0.95), "run")
    assert (cost.estimate, cost.ci) == (2.0, (1.5, 2.5))


def test_a_policy_that_does_not_route_claims_what_its_own_rows_say():
    found = candidate(document=document("do_not_route"))
    score, cost = money_and_score_claims(found, None)
    assert score.estimate == pytest.approx(found.report["score"].mean())
    assert cost.estimate == pytest.approx(1000 * found.report["cost_usd"].mean())
    assert score.ci[0] < score.estimate < score.ci[1]
    assert score.ci != (0.8, 0.95)


def test_an_unknown_cost_is_not_claimed():
    report = rows(cost_usd=pl.Series([None] * 40, dtype=pl.Float64))
    assert [
        claim.name
        for claim in money_and_score_claims(candidate(document=document("do_not_route"), report=report), None)
    ] == ["score"]


def test_fallbacks_are_the_best_models_first_and_end_locally():
    assert list(stack_config(candidate(), "x").choose.fallbacks) == ["api", "base", "tiny"]
    cards = {"tiny": card("openai-compatible"), "base": card(region="local"), "api": card("openai-compatible")}
    assert list(stack_config(candidate(cards=cards), "x").choose.fallbacks) == ["api", "base"]
    remote = {name: card("openai-compatible") for name in ("tiny", "base", "api")}
    assert list(stack_config(candidate(cards=remote), "x").choose.fallbacks) == []


def test_the_stack_answers_as_long_as_was_recorded_and_lets_every_model_take_every_task():
    cards = {name: card(region="local", capabilities={"sums"}) for name in ("tiny", "base", "api")}
    config = stack_config(candidate(cards=cards), "x")
    assert config.compose.max_answer_tokens == 48
    assert all(not card.capabilities for card in config.models.values())


def test_the_pilot_asks_in_a_fixed_order_and_never_a_cache():
    asked = pilot_requests(candidate())
    assert [r.prompt for r in asked] == [r.prompt for r in pilot_requests(candidate())]
    assert [r.prompt for r in asked] != rows()["prompt"].to_list()
    assert {(r.use_cache, r.task, r.sampling.max_tokens) for r in asked} == {(False, "sums", 48)}


def test_a_chat_is_asked_whole():
    chat = [{"role": "system", "content": "short"}, {"role": "user", "content": "2 + 2?"}]
    assert messages_of({"prompt": "2 + 2?", "messages": json.dumps(chat)}) == chat


def suite(n=40, text="question", **more):
    return Suite.from_rows(
        [(f"row {i}", {"id": f"p{i}", "prompt": f"{text} {i}", "answer": "5", **more}) for i in range(n)], "mine.jsonl"
    )


def test_prompts_without_a_grader_are_counted_in_the_claim_on_the_score():
    mixed = rows(grader=["exact"] * 30 + [None] * 10)
    score, cost = money_and_score_claims(candidate(report=mixed), None)
    assert score.unchecked_because == "no grader is known for 10 of 40 report prompts"
    assert (why_score_unchecked(rows()), score.estimate) == (None, 0.9)
    assert "no price" in cost.unchecked_because


def test_a_judge_s_score_is_not_checked_live():
    why = why_score_unchecked(rows(grader=["judge:model=base"] * 40))
    assert why == "a judge, which verify does not ask, graded 40 of 40 report prompts"


def test_only_models_that_may_be_chosen_need_a_price():
    price = TokenPrice(input_usd_per_1m=1, output_usd_per_1m=1)
    cards = {"tiny": card(region="local"), "base": card(region="local", price=price), "api": card()}
    claims = money_and_score_claims(candidate(cards=cards, document=document("do_not_route")), None)
    assert [claim.unchecked_because for claim in claims] == [None, None]


def test_a_grader_is_taken_where_none_was_known_and_kept_where_one_was():
    mixed = rows(grader=["numeric"] * 30 + [None] * 10)
    graded = with_grader(candidate(report=mixed), "exact").report
    assert graded["grader"].to_list() == ["numeric"] * 30 + ["exact"] * 10
    assert graded.schema == mixed.schema
    assert why_score_unchecked(graded) is None


def test_a_grader_that_needs_answers_names_a_prompt_without_one():
    with pytest.raises(ConfigError, match=r"'p0'.*no answer.*--suite"):
        with_grader(candidate(report=rows(grader=UNGRADED, answer=UNGRADED)), "exact")


def test_answers_and_graders_of_a_suite_are_taken_by_id():
    bare = rows(grader=UNGRADED.cast(pl.Null), answer=UNGRADED.cast(pl.Null))
    found = with_suite(candidate(report=bare), suite(grader="numeric")).report
    assert set(found["answer"]) == {"5"}
    assert set(found["grader"]) == {"numeric"}
    assert found["score"].to_list() == bare["score"].to_list()


def test_another_suite_is_refused():
    with pytest.raises(ConfigError, match=r"mine\.jsonl lacks 10 of 40 report prompts \(p30, p31, p32, …\)"):
        with_suite(candidate(), suite(30))
    with pytest.raises(ConfigError, match="other prompts under the ids p0, p1"):
        with_suite(candidate(), suite(text="riddle"))


def test_a_judge_is_refused_as_grader():
    with pytest.raises(ConfigError, match="verify asks no judge"):
        with_grader(candidate(), "judge:model=base")
    with pytest.raises(ConfigError, match="verify asks no judge"):
        with_suite(candidate(), suite(grader="judge:model=base"))
