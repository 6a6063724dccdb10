import numpy as np
import pytest

from workbench.core import ConfigError, NotCertifiable
from workbench.tuning.off_policy import choice_probabilities, off_policy

M = 3


def world(n, rng):
    """Requests of two kinds; each model's chance of a right answer depends on the kind."""
    kind = rng.integers(0, 2, n)
    return kind, np.array([[0.3, 0.6, 0.8], [0.7, 0.65, 0.5]])[kind]


def logged(n, seed, share=0.3):
    """A log of an ε-greedy policy that prefers model 1, and the target policy that knows the kinds."""
    rng = np.random.default_rng(seed)
    kind, chance = world(n, rng)
    propensity = np.full((n, M), share / M)
    propensity[:, 1] += 1 - share
    chosen = (rng.random((n, 1)) > propensity.cumsum(axis=1)).sum(axis=1)
    rows = np.arange(n)
    score = (rng.random(n) < chance[rows, chosen]).astype(float)
    target = choice_probabilities(np.where(kind == 0, 2, 0), M)
    return chosen, score, propensity[rows, chosen], target, chance


TRUTH = (0.8 + 0.7) / 2


@pytest.fixture(scope="module")
def repeated():
    """The estimates of 300 logs of the same world."""
    logs = [logged(1200, seed) for seed in range(300)]
    return [off_policy(*log, predicted=chance * 0.8 + 0.1).estimates for *log, chance in logs]


@pytest.mark.parametrize("method", ["IPS", "SNIPS", "DR"])
def test_the_95_percent_interval_covers_the_truth_about_as_often(repeated, method):
    found = [estimates[method] for estimates in repeated]
    hits = sum(one.ci[0] <= TRUTH <= one.ci[1] for one in found)
    assert 0.91 <= hits / 300 <= 0.985
    assert np.mean([one.score for one in found]) == pytest.approx(TRUTH, abs=0.01)


def test_doubly_robust_is_the_calmest_and_right_even_with_wrong_predictions():
    spread = {"IPS": [], "SNIPS": [], "DR": [], "wrong": []}
    for seed in range(150):
        chosen, score, propensity, target, chance = logged(800, seed)
        good = off_policy(chosen, score, propensity, target, predicted=chance).estimates
        for name in ("IPS", "SNIPS", "DR"):
            spread[name].append(good[name].score)
        wrong = off_policy(chosen, score, propensity, target, predicted=1 - chance).estimates["DR"]
        spread["wrong"].append(wrong.score)
    assert np.std(spread["DR"]) < np.std(spread["SNIPS"]) < np.std(spread["IPS"])
    assert np.mean(spread["wrong"]) == pytest.approx(TRUTH, abs=0.02)


def test_the_logging_policy_itself_is_estimated_by_its_plain_mean():
    rng = np.random.default_rng(0)
    chosen, score = rng.integers(0, M, 500), rng.random(500)
    report = off_policy(chosen, score, np.full(500, 1 / M), np.full((500, M), 1 / M))
    for estimate in report.estimates.values():
        assert estimate.score == pytest.approx(score.mean())
    assert report.n_effective == pytest.approx(500)
    assert report.mean_weight == pytest.approx(1.0)


def test_effective_rows_fall_as_policies_part():
    chosen, score, propensity, target, _ = logged(2000, 1, share=0.3)
    near = off_policy(chosen, score, propensity, choice_probabilities(np.ones(2000, int), M))
    far = off_policy(chosen, score, propensity, target)
    assert near.n_effective > 1000 > far.n_effective
    assert far.overlaps


def test_models_that_were_never_logged_show_as_missing_overlap():
    chosen, score, propensity, _, _ = logged(2000, 2)
    seen = chosen != 2
    half = np.tile([0.5, 0.0, 0.5], (int(seen.sum()), 1))
    report = off_policy(chosen[seen], score[seen], propensity[seen], half)
    assert not report.overlaps


def test_correlated_requests_widen_the_interval():
    chosen, score, propensity, target, _ = logged(600, 3)
    twice = [np.repeat(part, 4, axis=0) for part in (chosen, score, propensity, target)]
    alone = off_policy(*twice).estimates["SNIPS"].ci
    together = off_policy(*twice, groups=np.repeat(np.arange(600), 4).tolist()).estimates["SNIPS"].ci
    assert together[1] - together[0] > 1.8 * (alone[1] - alone[0])


def test_a_log_that_never_did_it_says_nothing():
    chosen = np.array([0] * 1000 + [2])
    target = choice_probabilities(np.full(1001, 2), M)
    with pytest.raises(NotCertifiable, match=r"1001 logged requests are worth 1.0"):
        off_policy(chosen, np.ones(1001), np.where(chosen == 2, 0.001, 0.999), target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propensity": np.zeros(100)}, "a propensity is 0.0"),
        ({"propensity": np.full(100, 1.5)}, "a propensity is 1.5"),
        ({"target": np.full((100, M), 0.5)}, "sum to 1"),
        ({"score": np.full(100, np.nan)}, "not a number"),
        ({"score": np.ones(7)}, "7 scores"),
        ({"chosen": np.full(100, 9)}, r"outside 0\.\.2"),
        ({"predicted": np.ones((100, 2))}, r"shape \(100, 2\)"),
        ({"predicted": np.full((100, M), np.nan)}, "a prediction is not finite"),
        ({"propensity": np.full(100, np.nan)}, "a propensity is nan"),
        ({"target": np.full((100, M), np.nan)}, "sum to 1"),
        ({"chosen": np.zeros(100)}, "choices are float64"),
        ({"groups": [1, 2]}, "100 choices and 2 groups"),
    ],
)
def test_impossible_logs_are_refused(change, message):
    log = {
        "chosen": np.zeros(100, int),
        "score": np.ones(100),
        "propensity": np.ones(100),
        "target": choice_probabilities(np.zeros(100, int), M),
    }
    with pytest.raises(ConfigError, match=message):
        off_policy(**{**log, **change})


def test_an_empty_log_is_refused():
    empty = np.zeros(0)
    with pytest.raises(ConfigError, match="no logged requests"):
        off_policy(empty.astype(int), empty, empty, np.zeros((0, M)))


def test_several_answers_a_request_are_one_group_and_do_not_count_as_more_requests():
    chosen, score, propensity, target, _ = logged(400, 5)
    tripled = [np.repeat(part, 3, axis=0) for part in (chosen, score, propensity, target)]
    once = off_policy(chosen, score, propensity, target).estimates["IPS"]
    again = off_policy(*tripled, groups=np.repeat(np.arange(400), 3).tolist()).estimates["IPS"]
    assert again.score == pytest.approx(once.score)
    assert again.ci == pytest.approx(once.ci, rel=1e-6)


def test_with_few_sessions_the_interval_still_covers():
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        session = np.repeat(np.arange(10), 40)
        chance = np.clip(0.5 + rng.normal(0, 0.2, 10)[session], 0, 1)
        chosen = rng.integers(0, 2, 400)
        score = (rng.random(400) < chance).astype(float)
        found = off_policy(
            chosen, score, np.full(400, 0.5), choice_probabilities(np.zeros(400, int), 2), groups=session.tolist()
        )
        hits += found.estimates["SNIPS"].ci[0] <= 0.5 <= found.estimates["SNIPS"].ci[1]
    assert hits / 200 >= 0.9
