from collections import Counter

import pytest

from workbench.routing import Decision
from workbench.routing.decision import Alternative
from workbench.routing.exploration import ExplorationConfig, explored

MODELS = ("tiny", "base", "large")
CHOICE = Decision("base", "base: 0.91 predicted", 0.91, 0.004, (Alternative("tiny", 0.4, 0.001),))


def test_shares_are_as_stated_and_propensities_are_their_shares():
    n, share = 6000, 0.3
    found = [explored(CHOICE, MODELS, share, f"request {i}") for i in range(n)]
    counts = Counter(decision.model for decision in found)
    for name in MODELS:
        propensity = {decision.propensity for decision in found if decision.model == name}
        assert len(propensity) == 1
        assert counts[name] / n == pytest.approx(propensity.pop(), abs=0.02)
    assert sum(decision.is_explored for decision in found) / n == pytest.approx(share * 2 / 3, abs=0.02)


def test_propensities_sum_to_one_over_the_models():
    own = explored(CHOICE, MODELS, 0.3, "any").propensity or 0
    other = 0.3 / 3
    assert 1 - 0.3 + 0.1 + 2 * other == pytest.approx(1.0)
    assert own in (pytest.approx(0.8), pytest.approx(0.1))


def test_the_lot_hangs_on_the_request_alone():
    assert explored(CHOICE, MODELS, 0.5, "x") == explored(CHOICE, MODELS, 0.5, "x")


def test_a_drawn_model_says_so_and_brings_its_own_predictions():
    drawn = next(
        d for d in (explored(CHOICE, MODELS, 1.0, str(i)) for i in range(100)) if d.model == "tiny" and d.is_explored
    )
    assert (drawn.predicted_quality, drawn.predicted_cost_usd) == (0.4, 0.001)
    assert drawn.because.startswith("tiny: drawn by lot, as 1 of requests are; the policy's choice was base")


def test_only_eligible_models_are_drawn_and_a_lone_one_is_certain():
    assert {explored(CHOICE, ("base", "tiny"), 1.0, str(i)).model for i in range(50)} == {"base", "tiny"}
    assert explored(CHOICE, ("base",), 0.3, "x").propensity == pytest.approx(1.0)
    nobody = Decision(None, "none is eligible")
    assert explored(nobody, (), 0.3, "x") == nobody


def test_a_share_of_nothing_or_more_than_all_is_refused():
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match="share"):
            ExplorationConfig(share=share)
