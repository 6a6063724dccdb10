import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import Completion, ConfigError, Request, Timing, Unavailable, Usage
from workbench.evaluation import Manifest, Outcomes
from workbench.orchestration import CascadeConfig, Deadline, answer_by
from workbench.orchestration.pattern_config import JudgeAcceptConfig
from workbench.testing import FakeClock, ScriptedModel
from workbench.tuning.cascade import cascade_of, cascade_sweep, cascade_switches
from workbench.tuning.cascade_judging import judgements_of
from workbench.tuning.frontier import Frontier

ORDER = ("tiny", "base", "large")
COST = {"tiny": 1.0, "base": 3.0, "large": 10.0}
LATENCY = {"tiny": 0.25, "base": 0.5, "large": 1.0}


def recorded(n=400, seed=0, order=ORDER, sure=True, samples=1, fails=0.0):
    """Outcomes where an answer's log-probability tells, more or less, whether it is right; and the completions themselves."""
    rng = np.random.default_rng(seed)
    rows, completions = [], {}
    for i in range(n):
        hard = rng.random()
        for j, name in enumerate(order):
            for sample in range(samples):
                right = rng.random() < (0.95 - 0.7 * hard * (1 - j / len(order)))
                failed = rng.random() < fails and name != order[-1]
                tokens = int(rng.integers(1, 6))
                logprob = -float(rng.gamma(1.0 if right else 6.0, 0.2)) * tokens if sure else None
                text = "right" if right else f"wrong {rng.integers(3)}"
                rows.append(
                    {
                        "prompt_id": f"p{i:04d}",
                        "model": name,
                        "sample": sample,
                        "score": None if failed else float(right),
                        "cost_usd": None if failed else COST[name],
                        "latency_s": LATENCY[name],
                        "completion_tokens": None if failed else tokens,
                        "logprob": None if failed else logprob,
                        "answer": None if failed else text,
                        "error": "Unavailable: down" if failed else None,
                    }
                )
                usage, timing = Usage(1, tokens), Timing(LATENCY[name])
                answer = Completion(text, name, "stop", usage, timing, cost_usd=COST[name], logprob=logprob)
                completions[f"p{i:04d}", name] = Unavailable("down", model=name) if failed else answer
    schema = {"cost_usd": pl.Float64, "logprob": pl.Float64, "score": pl.Float64, "error": pl.String}
    prompts = pl.DataFrame(
        {"prompt_id": [f"p{i:04d}" for i in range(n)], "prompt": [f"question {i}" for i in range(n)]}
    )
    frame = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)
    return Outcomes.from_frames(frame, prompts, Manifest("t")), completions


@given(
    st.lists(
        st.lists(st.sampled_from([-3.0, -1.0, -0.5, 0.0, -np.inf]), min_size=2, max_size=2), min_size=1, max_size=12
    )
)
def test_the_exact_frontier_is_that_of_brute_force(rows):
    confidence = np.array(rows)
    rng = np.random.default_rng(len(rows))
    score, cost = rng.random((len(rows), 3)), np.cumsum(rng.random((len(rows), 3)), axis=1)
    frontier = Frontier.of(cascade_switches(confidence), score, cost)
    assert (np.diff(frontier.thresholds) >= 0).all()
    for threshold in [*frontier.thresholds, *(frontier.middle(k) for k in range(len(frontier))), -1.0, 0.0]:
        if threshold < frontier.thresholds[0]:
            continue
        accepted = confidence >= threshold
        stop = np.where(accepted.any(axis=1), accepted.argmax(axis=1), 2)
        entry = frontier.index_at(float(threshold))
        at = np.arange(len(rows))
        assert frontier.score[entry] == pytest.approx(score[at, stop].mean())
        assert frontier.cost_usd[entry] == pytest.approx(cost[at, stop].mean())


async def live(completions, pattern, prompt_ids):
    """What the live cascade answers, costs and takes, one request after another."""
    clock, found = FakeClock(), []
    for prompt in prompt_ids:
        models = {
            name: ScriptedModel(name, [reply], clock=clock, latency_s=LATENCY[name])
            for (of, name), reply in completions.items()
            if of == prompt
        }

        async def ask(name, request, *, is_step=False, is_final=True, models=models):
            return await models[name].complete(request)

        config = CascadeConfig.model_validate({"kind": "cascade", "models": ORDER, **pattern})
        answered = await answer_by(config, Request.from_prompt("q"), "", ask, Deadline.after(None, clock))
        completion = answered.completion
        found.append(
            (completion.text, completion.cost_usd, completion.timing.latency_s, [c.model for c in answered.calls])
        )
    return found


@pytest.mark.parametrize("threshold", [-9.0, -0.5, -0.25, -0.1, 0.0])
async def test_a_threshold_decides_live_as_it_does_offline(threshold):
    outcomes, completions = recorded(60)
    cascade = cascade_of(outcomes, ORDER)
    score, cost, seconds = cascade.realised(threshold)
    stop, _ = cascade.levels(threshold)
    accept = {"accept": {"kind": "logprob", "threshold": threshold}}
    answers = await live(completions, accept, cascade.matrix.prompt_ids)
    assert [calls for *_, calls in answers] == [list(ORDER[: k + 1]) for k in stop]
    assert [float(text == "right") for text, *_ in answers] == score.tolist()
    assert [usd for _, usd, *_ in answers] == pytest.approx(cost.tolist())
    assert [s for _, _, s, _ in answers] == pytest.approx(seconds.tolist())


async def test_agreement_decides_live_as_it_does_offline():
    outcomes, completions = recorded(80)
    cascade = cascade_of(outcomes, ORDER, "agreement")
    score, cost, seconds = cascade.realised(0.0)
    answers = await live(completions, {"accept": {"kind": "agreement"}}, cascade.matrix.prompt_ids)
    assert [float(text == "right") for text, *_ in answers] == score.tolist()
    assert [usd for _, usd, *_ in answers] == pytest.approx(cost.tolist())
    assert [s for _, _, s, _ in answers] == pytest.approx(seconds.tolist())
    assert set(cost.tolist()) == {4.0, 14.0}


async def test_a_model_that_failed_is_passed_over_live_and_offline():
    outcomes, completions = recorded(80, fails=0.3)
    cascade = cascade_of(outcomes, ORDER)
    stop, _ = cascade.levels(-0.3)
    answers = await live(completions, {"accept": {"kind": "logprob", "threshold": -0.3}}, cascade.matrix.prompt_ids)
    assert [calls[-1] for *_, calls in answers] == [ORDER[k] for k in stop]


async def test_a_judge_decides_live_as_it_does_offline_and_is_paid_for():
    outcomes, completions = recorded(60)
    accept = JudgeAcceptConfig(kind="judge", model="j", template="{answer}", threshold=0.5)

    def verdict(request):
        mark = "yes" if request.prompt == "right" else "no"
        return Completion(mark, "", "stop", Usage(1, 1), Timing(2.0), cost_usd=0.5)

    judge = ScriptedModel("j", verdict)
    marks = await judgements_of(outcomes, judge, accept, ORDER[:-1])
    assert marks.height == 120
    cascade = cascade_of(outcomes, ORDER, "judge", judgements=marks.with_columns(judge_usd=0.5, judge_s=2.0))
    score, cost, seconds = cascade.realised(0.5)
    models = {"accept": accept.model_dump()}
    clock, rows = FakeClock(), []
    for prompt in cascade.matrix.prompt_ids:
        band = {
            name: ScriptedModel(name, [completions[prompt, name]], clock=clock, latency_s=LATENCY[name])
            for name in ORDER
        }
        band["j"] = ScriptedModel("j", verdict, clock=clock, latency_s=2.0)

        async def ask(name, request, *, is_step=False, is_final=True, band=band):
            return await band[name].complete(request)

        config = CascadeConfig.model_validate({"kind": "cascade", "models": ORDER, **models})
        answered = await answer_by(config, Request.from_prompt("q"), "", ask, Deadline.after(None, clock))
        rows.append((answered.completion.cost_usd, answered.completion.timing.latency_s, answered.completion.text))
    assert [usd for usd, *_ in rows] == pytest.approx(cost.tolist())
    assert [s for _, s, _ in rows] == pytest.approx(seconds.tolist())
    assert [float(text == "right") for *_, text in rows] == score.tolist()


def test_an_informative_cascade_pays_and_says_what_to_write_into_the_stack():
    result = cascade_sweep(recorded(1500)[0], ORDER, n_bootstrap=400)
    document = result.document
    assert document["verdict"] == "cascade"
    chosen = document["chosen"]
    assert chosen["cost_difference_ci"][1] < 0
    assert abs(sum(chosen["stops_at"].values()) - 1) < 1e-9
    pattern = CascadeConfig.model_validate(document["pattern"])
    assert pattern.accept.threshold == chosen["threshold"]
    assert chosen["latency_s"] > LATENCY["tiny"]


def test_a_log_probability_that_says_nothing_does_not_pay():
    outcomes, _ = recorded(1500)
    rng = np.random.default_rng(5)
    noise = outcomes.frame.with_columns(
        logprob=pl.Series(-rng.random(outcomes.frame.height)), completion_tokens=pl.lit(1)
    )
    blind = Outcomes.from_frames(noise, outcomes.prompts, outcomes.manifest)
    assert cascade_sweep(blind, ("base", "large"), n_bootstrap=400).document["verdict"] == "do_not_cascade"


def test_each_sample_is_a_request_of_its_own_and_its_group_stays_together():
    outcomes, _ = recorded(60, samples=3)
    cascade = cascade_of(outcomes, ORDER)
    assert len(cascade.matrix) == 180
    assert len(set(cascade.matrix.groups)) == 60
    result = cascade_sweep(outcomes, ORDER, n_bootstrap=200)
    assert result.document["chosen"]["n_groups"] <= 30


def test_agreement_has_one_point_and_no_threshold():
    document = cascade_sweep(recorded(300)[0], ORDER, "agreement", n_bootstrap=200).document
    assert document["policies"]["tiny → base → large"]["n_thresholds"] == 1
    assert document["chosen"]["threshold"] is None
    CascadeConfig.model_validate(document["pattern"])


@pytest.mark.parametrize(
    ("order", "accept", "message"),
    [
        (("tiny",), "logprob", "at least 2 models"),
        (("tiny", "base"), "agreement", "at least 3 models"),
        (("tiny", "bse"), "logprob", "did you mean 'base'"),
        (("tiny", "base", "tiny"), "logprob", "twice"),
        (("tiny", "base"), "judge", "needs judgements"),
    ],
)
def test_what_is_no_cascade_is_refused(order, accept, message):
    with pytest.raises(ConfigError, match=message):
        cascade_of(recorded(20)[0], order, accept)


def test_rows_without_log_probabilities_say_how_to_get_them():
    with pytest.raises(ConfigError, match="logprobs: true in its card"):
        cascade_of(recorded(20, sure=False)[0], ORDER)


def test_a_judge_whose_price_is_unknown_is_refused():
    marks = pl.DataFrame({"prompt_id": ["p0000"], "model": ["tiny"], "judge_score": [1.0]})
    with pytest.raises(ConfigError, match="looks cheaper than it is"):
        cascade_of(recorded(20)[0], ORDER, "judge", judgements=marks)


def test_the_same_seed_gives_the_same_document():
    outcomes, _ = recorded(200)
    one, two = (cascade_sweep(outcomes, ORDER, n_bootstrap=200, seed=3).document for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("judge_score", "good", "judge_score must be a finite number, or null where unknown; found 'good'"),
        ("judge_score", float("nan"), "judge_score must be a finite number"),
        ("judge_usd", -1.0, "judge_usd must be a finite number, 0 or more"),
        ("judge_usd", float("inf"), "judge_usd must be a finite number"),
        ("judge_s", float("nan"), "judge_s must be a finite number"),
    ],
)
def test_impossible_judgements_are_refused(column, value, message):
    marks = pl.DataFrame(
        {"prompt_id": ["p0000"], "model": ["tiny"], "judge_score": [1.0], "judge_usd": [0.1], "judge_s": [1.0]}
    )
    with pytest.raises(ConfigError, match=message):
        cascade_of(recorded(20)[0], ORDER, "judge", judgements=marks.with_columns(pl.lit(value).alias(column)))
