"""RouteLLM's tables: on made-up rows with known truth everywhere, on the published rows where they are."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from workbench.core import ConfigError
from workbench.embedding import load_embedder
from workbench.evaluation.importers.routellm import BROKEN_SUBJECT, GPT4, MIXTRAL
from workbench.tuning import OutcomeMatrix, apgr, call_curve
from workbench.tuning.recovery_figures import recovery_table
from workbench.tuning.routellm import (
    broken_subject,
    find_rows,
    published_rows,
    reproduce,
    routellm_outcomes,
    sampled,
    ten_bin_apgr,
    verdict_on_length,
)
from workbench.tuning.routellm_stand_in import MADE_UP, NOTE, outcomes_at_hand, stand_in

DATA = os.environ.get("WORKBENCH_DATA")


@pytest.fixture(scope="module")
def document() -> dict:
    matrix = OutcomeMatrix.from_outcomes(stand_in("mmlu", 900))
    kinds, unseen = ("prompt-length", "task-mean"), ("ridge",)
    return reproduce("mmlu", matrix, load_embedder("static"), draws=60, kinds=kinds, unseen=unseen).document


def test_a_table_holds_ours_the_oracle_and_the_published(document: dict):
    json.dumps(document)
    assert list(document["five_fold"]) == ["prompt-length", "task-mean", "oracle on these answers"]
    assert document["strong"]["model"] == GPT4
    assert document["weak"]["model"] == MIXTRAL
    assert document["published"]["random"] == {"apgr": 0.5, "cpt50": 0.501, "cpt80": 0.799}
    table = recovery_table(document)
    assert table["judged"].unique(maintain_order=True).to_list()[1:] == ["five-fold", "unseen subjects", "published"]
    assert table.filter(table["judged"] == "published")["low"].null_count() == len(published_rows("mmlu"))


def test_the_subject_that_was_made_to_matter_does(document: dict):
    assert document["five_fold"]["task-mean"]["apgr_ci"][0] > document["five_fold"]["prompt-length"]["apgr"]


def test_unseen_subjects_are_compared_with_length_even_when_length_is_not_asked_for(document: dict):
    unseen = document["unseen_subjects"]
    assert list(unseen) == ["prompt-length", "ridge"]
    assert unseen["prompt-length"]["over_length"] == {"difference": 0.0, "ci": [0.0, 0.0]}


@pytest.mark.parametrize(
    ("interval", "answer"),
    [
        ([0.01, 0.05], "beats prompt length: APGR +0.030 [+0.010, +0.050], paired"),
        ([-0.05, -0.01], "loses to prompt length"),
        ([-0.01, 0.05], "cannot be told from prompt length"),
        (None, "too few rows for an interval"),
    ],
)
def test_the_verdict_follows_the_interval(interval: list[float] | None, answer: str):
    assert answer in verdict_on_length({"over_length": {"difference": 0.03, "ci": interval}})


def test_a_damaged_subject_turns_its_neighbours_around():
    matrix = OutcomeMatrix.from_outcomes(stand_in("mmlu", 900, keep_broken=True))
    found = broken_subject(matrix, load_embedder("static"), kind="ridge", draws=60)
    assert found.strong_right == 0 < found.weak_right < found.n
    assert found.near_with < found.near_without
    assert found.difference < 0


def test_no_damage_to_measure_is_refused():
    matrix = OutcomeMatrix.from_outcomes(stand_in("mmlu", 60))
    with pytest.raises(ConfigError, match="no row of high_school_mathematics: import MMLU with --keep-broken"):
        broken_subject(matrix, load_embedder("static"))


def test_ten_bins_are_the_exact_curve_read_at_eleven_points():
    signal = np.arange(10.0)
    weak, strong = np.zeros(10), np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1.0])
    # Quantiles fall between the rows, so each bin is one row and nothing is lost: both are the exact area.
    assert ten_bin_apgr(signal, weak, strong) == pytest.approx(apgr(call_curve(signal, weak, strong)))
    assert ten_bin_apgr(signal, weak, strong, bins=1) == pytest.approx(0.5)


def test_made_up_rows_say_that_they_are_and_come_out_the_same_again():
    first, again = stand_in("mmlu", 50), outcomes_at_hand(MADE_UP, "mmlu", most=50)
    assert first.data_hash == again.data_hash
    assert first.manifest.notes == (NOTE,)
    assert BROKEN_SUBJECT not in first.tasks
    assert outcomes_at_hand(MADE_UP, "gsm8k", most=20).tasks == ["gsm8k"]
    with pytest.raises(ConfigError, match="no made-up rows for 'mt_bench'"):
        stand_in("mt_bench")


def test_without_rows_made_up_ones_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    assert find_rows() is None
    assert outcomes_at_hand("", "mmlu", most=30).manifest.source == "made-up:mmlu"
    (tmp_path / "data/routing/routellm").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_rows() is None, "a folder that nobody named is not looked for"
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    assert find_rows() == tmp_path / "data/routing/routellm"


def test_a_folder_that_is_named_must_be_there(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no folder at .*nowhere: name a checkout of RouteLLM's repository"):
        find_rows(tmp_path / "nowhere")


def test_a_sample_says_that_it_is_one():
    outcomes = stand_in("gsm8k", 40)
    assert sampled(outcomes, 0) is outcomes is sampled(outcomes, 40)
    found = sampled(outcomes, 15, seed=2)
    assert (len(found.prompts), len(found.frame)) == (15, 30)
    assert found.manifest.notes[-1] == "a sample: 15 of 40 prompts, drawn by lot (seed 2)"


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="WORKBENCH_DATA names no folder of public data sets")
@pytest.mark.parametrize(("name", "n", "length"), [("gsm8k", 1307, 0.597), ("mmlu", 13_740, 0.565)])
def test_length_on_the_published_rows_is_what_it_was_before(name: str, n: int, length: float):
    outcomes = routellm_outcomes(Path(str(DATA)) / "routing/routellm", name)
    matrix = OutcomeMatrix.from_outcomes(outcomes)
    signal = np.array([len(text) for text in matrix.queries.texts], float)
    strong = matrix.models.index(GPT4)
    assert len(matrix) == n
    area = ten_bin_apgr(signal, matrix.score[:, 1 - strong], matrix.score[:, strong])
    assert area == pytest.approx(length, abs=0.003)
