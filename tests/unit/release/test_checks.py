from dataclasses import replace

import pytest

from workbench.release.checks import LiveAnswer, judge
from workbench.release.evidence import Claim, Evidence

CLAIMS = Evidence(
    (
        Claim("score", 0.75, (0.6, 0.9), 4, "bootstrap", "score"),
        Claim("cost_usd_per_1k", 2.0, (1.5, 2.5), 4, "bootstrap", "USD per 1,000 requests"),
        Claim("latency_s", 0.1, (0.0, 0.2), 4, "pilot", "s"),
    )
)


def answer(number=0, **changed):
    plain = {
        "prompt_id": f"p{number}",
        "predicted_model": "tiny",
        "chosen_model": "tiny",
        "answered_model": "tiny",
        "score": 0.75,
        "recorded_score": 0.75,
        "cost_usd": 0.002,
        "latency_s": 0.1,
    }
    return LiveAnswer(**{**plain, **changed})


def checked(*answers):
    verification = judge(CLAIMS, answers)
    return verification, {check.name: check for check in verification.checks}


def test_live_traffic_as_promised_holds():
    verification, checks = checked(*map(answer, range(4)))
    assert verification.verdict == "holds"
    assert verification.parity == 1.0
    assert list(checks) == ["parity", "score", "cost_usd_per_1k", "latency_s"]


def test_one_other_choice_fails_and_is_named():
    verification, checks = checked(answer(0), answer(1), answer(2), answer(3, chosen_model="base"))
    assert verification.verdict == "fails"
    assert verification.parity == 0.75
    assert "p3: base, the sweep chose tiny" in checks["parity"].because


@pytest.mark.parametrize(
    ("changed", "name"),
    [({"score": 0.2}, "score"), ({"cost_usd": 0.01}, "cost_usd_per_1k"), ({"latency_s": 9.0}, "latency_s")],
)
def test_a_number_outside_its_interval_fails(changed, name):
    verification, checks = checked(*(answer(number, **changed) for number in range(4)))
    assert verification.verdict == "fails"
    assert [check.name for check in checks.values() if not check.inside] == [name]


def test_an_answer_that_comes_sooner_than_promised_is_inside():
    assert checked(*(answer(number, latency_s=0.0001) for number in range(4)))[0].verdict == "holds"


def test_a_failed_request_scores_0_and_is_counted():
    failed = answer(3, chosen_model=None, answered_model=None, score=0.0, cost_usd=None, error="503: busy")
    verification, checks = checked(answer(0), answer(1), answer(2), failed)
    assert verification.to_json()["n_errors"] == 1
    assert checks["score"].live == pytest.approx(0.75 * 3 / 4)
    assert checks["cost_usd_per_1k"].live == pytest.approx(2.0)
    assert "503: busy" in checks["parity"].because


def test_an_unknown_cost_cannot_confirm_the_claim():
    verification, checks = checked(answer(0), answer(1), answer(2), answer(3, cost_usd=None))
    assert checks["cost_usd_per_1k"].live is None
    assert verification.verdict == "fails"


def test_an_answer_of_a_fallback_keeps_parity_and_is_counted():
    verification, _ = checked(answer(0), answer(1), answer(2), answer(3, answered_model="base"))
    assert verification.parity == 1.0
    assert verification.to_json()["n_fallbacks"] == 1


def test_a_claim_that_was_said_not_to_be_checkable_is_unknown_and_the_rest_decides():
    score, *others = CLAIMS.claims
    said = replace(score, unchecked_because="no grader is known for 4 of 4 report prompts")
    evidence = replace(CLAIMS, claims=(said, *others))
    answers = [answer(number, score=None) for number in range(4)]
    verification = judge(evidence, answers)
    assert verification.verdict == "incomplete"
    assert [(check.name, check.because) for check in verification.unchecked] == [("score", said.unchecked_because)]
    assert verification.to_json()["checks"][1]["inside"] is None
    slow = judge(evidence, [replace(one, latency_s=9.0) for one in answers])
    assert slow.verdict == "fails"


def test_a_score_that_should_have_been_there_fails():
    verification, checks = checked(*(answer(number, score=None) for number in range(4)))
    assert (verification.verdict, checks["score"].inside) == ("fails", False)
