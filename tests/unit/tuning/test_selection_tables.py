"""Tables of selection: what they show is what the documents say, and a saved policy that decides otherwise is found out."""

import numpy as np
import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.tuning import OutcomeMatrix, cascade_sweep, sweep
from workbench.tuning.selection_tables import (
    only_models,
    optimism_table,
    policies_table,
    saved_agreement,
    seeds_table,
    verdict_table,
)


@pytest.fixture(scope="module")
def result(specialists):
    return sweep(specialists, predictors=("task-mean", "constant"), n_bootstrap=200)


def test_each_split_stands_beside_the_others_and_their_difference_is_the_optimism(result):
    (row,) = optimism_table({"λ": result.document}).to_dicts()
    assert row["choose"] == pytest.approx(result.document["chosen"]["choose_score"])
    assert row["choose"] - row["report"] == pytest.approx(row["optimism"])
    assert row["tune"] is None
    assert row["settings"] == sum(line["n_thresholds"] for line in result.document["policies"].values())


def test_a_space_is_read_like_a_plain_sweep(result):
    chosen = {**result.document["chosen"], "tune_score": 0.9}
    space = {**result.document, "chosen": chosen, "looked_at": {"in_all": 831}}
    (row,) = optimism_table({"space": space}).to_dicts()
    assert row["settings"] == 831
    assert row["tune"] == 0.9


def test_a_verdict_says_yes_or_no_and_how_many_prompts_would_settle_it(result, specialists):
    weak = sweep(only_models(specialists, ["tiny", "spec"]), predictors=("prompt-length",), n_bootstrap=200)
    rows = verdict_table({"all": result.document, "two": weak.document}).to_dicts()
    assert [row["pays"] for row in rows] == ["yes", "no"]
    assert rows[0]["cost_change"] < 0.1
    assert rows[0]["n_prompts"] == 600
    assert rows[0]["prompts_needed"] == result.document["power"]["total"]
    assert rows[1]["prompts_needed"] is None, "everything goes to one model: there is nothing to settle"


def test_a_cascade_stands_in_the_same_tables(make_outcomes):
    from workbench.evaluation import Outcomes

    rng = np.random.default_rng(0)
    found = make_outcomes((rng.random((60, 2)) < 0.6).astype(float), np.tile([1e-6, 5e-6], (60, 1)))
    logprob = pl.Series("logprob", -rng.random(found.frame.height))
    frame = found.frame.with_columns(logprob, pl.lit(1).alias("completion_tokens"))
    outcomes = Outcomes.from_frames(frame, found.prompts, found.manifest)
    document = cascade_sweep(outcomes, ["tiny", "base"], n_bootstrap=200).document
    assert optimism_table({"cascade": document})["settings"][0] == len_of(document)
    (row,) = verdict_table({"cascade": document}).to_dicts()
    assert (row["pays"], row["ci_for_all"], row["prompts_needed"]) == ("no", None, None)


def len_of(document):
    return next(iter(document["policies"].values()))["n_thresholds"]


def test_the_interval_for_all_policies_is_the_wider_one(result):
    for row in policies_table(result.document).to_dicts():
        assert row["ci_for_all"][0] <= row["ci"][0] <= row["score_difference"] <= row["ci"][1] <= row["ci_for_all"][1]


def test_other_seeds_are_other_splits_of_the_same_rows(specialists):
    matrix = OutcomeMatrix.from_outcomes(specialists)
    table = seeds_table(matrix, [0, 1, 0], n_bootstrap=100)
    assert table["seed"].to_list() == [0, 1, 0]
    assert table.row(0) == table.row(2)
    assert table["score_difference"][0] != table["score_difference"][1]
    with pytest.raises(ConfigError, match="no seeds were given"):
        seeds_table(matrix, [])


def test_a_saved_policy_that_decides_otherwise_is_found_out(result, tmp_path):
    result.policy.save(tmp_path / "policy")
    assert saved_agreement(tmp_path / "policy", result.report) == 1.0
    others = result.report.with_columns(pl.lit("nobody").alias("choice"))
    assert saved_agreement(tmp_path / "policy", others) == 0.0
    with pytest.raises(ConfigError, match="has no rows"):
        saved_agreement(tmp_path / "policy", result.report.head(0))


def test_outcomes_of_some_models_keep_the_prompts_and_refuse_an_unknown_name(specialists):
    kept = only_models(specialists, ["tiny", "base"])
    assert kept.models == ["base", "tiny"]
    assert kept.prompts.equals(specialists.prompts)
    with pytest.raises(ConfigError, match="did you mean 'base'"):
        only_models(specialists, ["bas"])
