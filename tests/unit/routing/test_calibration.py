import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.routing import Capability, Policy, Queries, load_policy, make_predictor
from workbench.routing.calibration import Calibration, isotonic, reliability


def overconfident(n=4000, seed=0):
    """Predictions twice as far from a half as the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 0.7, n)
    return 0.5 + 2 * (truth - 0.5), (rng.random(n) < truth).astype(float), truth


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_an_overconfident_predictor_comes_true_after_calibration(method):
    predicted, realised, _ = overconfident()
    line = Calibration.fit(method, predicted[:2000, None], realised[:2000, None])
    rng = np.random.default_rng(1)
    groups = [str(i) for i in range(2000)]
    before = reliability(predicted[2000:], realised[2000:], groups, rng)
    after = reliability(line.applied(predicted[2000:, None])[:, 0], realised[2000:], groups, rng)
    assert before.ece_ci[0] > before.ece_by_chance
    assert after.ece < 0.5 * before.ece
    assert after.ece < 3 * after.ece_by_chance


@given(st.lists(st.tuples(st.floats(-1, 2), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_an_isotonic_line_rises_and_keeps_the_mean(rows):
    predicted, realised = (np.array(column) for column in zip(*rows, strict=True))
    x, y = isotonic(predicted, realised)
    assert (np.diff(y) > 0).all()
    assert (np.diff(x) >= 0).all()
    assert realised.min() <= y.min() <= y.max() <= realised.max()


def test_isotonic_is_the_closed_form_on_a_small_case():
    _, y = isotonic(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert y.tolist() == [0.0, 0.5, 1.0]


def test_calibration_never_changes_which_prediction_is_larger():
    predicted, realised, _ = overconfident(500)
    for method in ("isotonic", "platt"):
        found = Calibration.fit(method, predicted[:, None], realised[:, None]).applied(np.linspace(-1, 2, 50)[:, None])
        assert (np.diff(found[:, 0]) >= 0).all()
        assert np.isfinite(found).all()


def test_a_calibration_survives_saving():
    predicted, realised, _ = overconfident(300)
    line = Calibration.fit(
        "isotonic", np.column_stack([predicted, 1 - predicted]), np.column_stack([realised, realised])
    )
    again = Calibration.from_arrays("isotonic", line.to_arrays())
    probe = np.random.default_rng(0).random((40, 2))
    assert np.array_equal(again.applied(probe), line.applied(probe))


def test_what_cannot_be_calibrated_is_refused():
    few = np.ones((5, 1))
    with pytest.raises(ConfigError, match="5 held-out rows"):
        Calibration.fit("isotonic", few, few)
    with pytest.raises(ConfigError, match="did you mean 'platt'"):
        Calibration.fit("plat", few, few)
    bad = np.full((30, 1), np.nan)
    with pytest.raises(ConfigError, match="NaN"):
        Calibration.fit("platt", bad, bad)
    with pytest.raises(ConfigError, match="must both be"):
        Calibration.fit("platt", np.ones((30, 1)), np.ones((30, 2)))


def test_perfect_predictions_have_the_error_that_chance_gives():
    """Mean over 30 worlds; one world's error varies by about 0.005."""
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        truth = rng.random(1000)
        found.append(reliability(truth, (rng.random(1000) < truth) * 1.0, [str(i) for i in range(1000)], rng, draws=10))
    assert np.mean([f.ece - f.ece_by_chance for f in found]) == pytest.approx(0.0, abs=0.005)
    assert found[0].count.sum() == 1000


def test_a_calibrated_policy_is_saved_and_decides_the_same(tmp_path):
    rng = np.random.default_rng(0)
    queries = Queries.of([f"prompt {'x' * i}" for i in range(200)])
    quality, cost = (rng.random((200, 2)) < [0.5, 0.8]).astype(float), np.tile([1.0, 2.0], (200, 1))
    predictor = make_predictor("prompt-length").fit(queries[:100], quality[:100], cost[:100], cost[:100])
    raw = predictor.predict(queries).quality
    predictor.calibrate("isotonic", queries[100:], quality[100:])
    assert not np.array_equal(predictor.predict(queries).quality, raw)
    policy = Policy(("a", "b"), predictor, Capability(0.6))
    policy.save(tmp_path)
    again = load_policy(tmp_path)
    assert again.decide(queries) == policy.decide(queries)
    alone = [again.decide(queries[i : i + 1])[0] for i in range(20)]
    assert alone == policy.decide(queries)[:20]
