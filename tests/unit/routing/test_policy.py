import json

import numpy as np
import pytest

from workbench.core import ConfigError, Request, StoreError
from workbench.routing import (
    Capability,
    CostAware,
    FallbackChain,
    FixedPolicy,
    Policy,
    Queries,
    load_policy,
    make_predictor,
)

MODELS = ("tiny", "base", "big")


@pytest.fixture
def policy(embedder, measured):
    return Policy(MODELS, make_predictor("ridge", embedder).fit(*measured), CostAware(0.2))


def test_a_decision_says_what_was_predicted_and_what_it_costs(measured):
    queries = measured[0]
    quality = np.tile([0.62, 0.91, 0.5], (len(queries), 1))
    cost = np.tile([0.1, 0.41, 1.0], (len(queries), 1))
    predictor = make_predictor("constant").fit(queries, quality, cost, cost)
    decision = Policy(MODELS, predictor, CostAware(0.5)).decide(queries[:1])[0]
    assert decision.model == "base"
    assert decision.because == "base: 0.91 predicted vs tiny 0.62 at λ=0.5 score per USD, 4.1× the cost of tiny"
    assert decision.predicted_quality == pytest.approx(0.91)
    assert [other.model for other in decision.alternatives] == ["tiny", "big"]
    assert json.loads(json.dumps(decision.to_json()))["predicted_cost_usd"] == pytest.approx(0.41)


def test_a_request_is_decided_the_same_alone_and_in_a_batch(policy, measured):
    queries = measured[0]
    together = policy.decide(queries)
    assert [policy.decide(queries[i : i + 1])[0] for i in range(len(queries))] == together


def test_a_masked_model_is_not_chosen_and_nothing_eligible_gives_none(policy, measured):
    queries = measured[0][:2]
    only = policy.decide(queries, np.array([[False, False, True], [False, False, False]]))
    assert only[0].model == "big"
    assert "only eligible" in only[0].because
    assert only[1].model is None
    assert "none of tiny, base, big is eligible" in only[1].because
    with pytest.raises(ConfigError, match="shape"):
        policy.decide(queries, np.ones((1, 3), bool))


def test_a_saved_policy_decides_the_same(policy, embedder, measured, tmp_path):
    policy.save(tmp_path)
    again = load_policy(tmp_path, embedder)
    assert again.decide(measured[0]) == policy.decide(measured[0])
    assert again.objective == policy.objective


def test_saving_again_replaces_the_arrays_and_leaves_no_strays(policy, embedder, measured, tmp_path):
    policy.save(tmp_path)
    Policy(MODELS, make_predictor("knn", embedder).fit(*measured), Capability(0.5)).save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert load_policy(tmp_path, embedder).predictor.kind == "knn"


def test_a_fixed_policy_is_saved_loaded_and_respects_eligibility(tmp_path):
    FixedPolicy("base", MODELS).save(tmp_path)
    again = Policy.load(tmp_path)
    assert again == FixedPolicy("base", MODELS)
    eligible = np.array([[True, True, True], [True, False, True]])
    assert [d.model for d in again.decide(Queries.of(["a", "b"]), eligible)] == ["base", None]
    with pytest.raises(ConfigError, match="not among"):
        FixedPolicy("huge", MODELS)


def test_another_embedder_is_refused(policy, embedder, tmp_path):
    policy.save(tmp_path)
    embedder.fingerprint = "hash:32"
    with pytest.raises(ConfigError, match="fitted on the embedder hash:16"):
        load_policy(tmp_path, embedder)
    with pytest.raises(ConfigError, match="not a known one"):
        load_policy(tmp_path)


def cut_arrays(folder):
    path = next(folder.glob("*.npz"))
    path.write_bytes(path.read_bytes()[:-100])


def lose_arrays(folder):
    next(folder.glob("*.npz")).unlink()


def cut_json(folder):
    path = folder / "policy.json"
    path.write_text(path.read_text()[:50])


def newer(folder):
    path = folder / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))


def no_version(folder):
    (folder / "policy.json").write_text("{}")


def no_objective(folder):
    path = folder / "policy.json"
    document = json.loads(path.read_text())
    del document["objective"]
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_arrays, "SHA-256"),
        (lose_arrays, "missing"),
        (cut_json, "not JSON"),
        (newer, "version 99"),
        (no_version, "no version"),
        (no_objective, "damaged"),
    ],
)
def test_a_damaged_or_newer_policy_says_so(policy, embedder, tmp_path, damage, message):
    policy.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(StoreError, match=message):
        load_policy(tmp_path, embedder)


def test_a_folder_without_a_policy_is_a_wrong_path(tmp_path):
    with pytest.raises(ConfigError, match="no policy at"):
        load_policy(tmp_path)


def test_queries_come_from_requests_and_slice_like_arrays():
    queries = Queries.from_requests([Request.from_prompt("a", task="t"), Request.from_prompt("b")])
    assert (queries.texts, queries.tasks) == (("a", "b"), ("t", None))
    counted = Queries.of(["a", "b", "c"], prompt_tokens=np.array([1.0, 2.0, 3.0]), groups=("x", "y", "z"))
    part = counted[np.array([True, False, True])]
    assert (part.texts, part.groups, part.prompt_tokens.tolist()) == (("a", "c"), ("x", "z"), [1.0, 3.0])
    with pytest.raises(ConfigError, match="2 texts has 1 tasks"):
        Queries(("a", "b"), ("t",))


def test_a_fallback_chain_skips_what_failed_and_what_may_not_answer():
    chain = FallbackChain(("api", "base", "tiny"))
    assert chain.next_after(["api"], eligible=["tiny"]) == "tiny"
    assert chain.next_after(["api", "base", "tiny"]) is None
    assert chain.attempts("base", eligible=["base", "tiny"]) == ("base", "tiny")
    assert chain.attempts(None) == ("api", "base", "tiny")
    with pytest.raises(ConfigError, match="api twice"):
        FallbackChain(("api", "api"))
