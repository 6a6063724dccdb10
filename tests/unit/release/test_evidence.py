import json
import math

import pytest

from workbench.core import StoreError
from workbench.release.evidence import Claim, Evidence

SCORE = Claim("score", 0.5, (0.4, 0.6), 100, "paired bootstrap", "score", "hash", "run")


def test_evidence_reads_back_as_it_was_written(tmp_path):
    evidence = Evidence((SCORE,), {"policy": "knn"}, "route", "it pays", provenance={"version": "0.1.0"})
    evidence.save(tmp_path / "evidence.json")
    assert Evidence.load(tmp_path / "evidence.json") == evidence


def test_a_claim_is_found_by_name_and_none_when_it_is_not_made():
    assert Evidence((SCORE,)).claim("score") == SCORE
    assert Evidence((SCORE,)).claim("latency_s") is None


def test_evidence_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps({"schema_version": 2, "claims": []}))
    with pytest.raises(StoreError, match="newer version"):
        Evidence.load(path)


@pytest.mark.parametrize(
    "text", ["[]", '{"claims": []}', '{"schema_version": 1}', '{"schema_version": 1, "claims": [{}]}']
)
def test_what_is_no_evidence_is_refused_in_one_sentence(tmp_path, text):
    (tmp_path / "evidence.json").write_text(text)
    with pytest.raises(StoreError, match="is not evidence"):
        Evidence.load(tmp_path / "evidence.json")


@pytest.mark.parametrize("ci", [(0.6, 0.4), (math.nan, 1.0), (0.0, math.inf)])
def test_a_claim_without_a_finite_interval_is_refused(ci):
    with pytest.raises(StoreError, match="low <= high"):
        Claim("score", 0.5, ci, 10, "", "score")


def test_fewer_rows_make_a_wider_interval_and_more_rows_no_narrower_one():
    assert SCORE.interval_for(25) == (0.3, 0.7)
    assert SCORE.interval_for(400) == (0.4, 0.6)


def test_a_score_interval_stays_within_0_and_1():
    assert SCORE.interval_for(1) == (0.0, 1.0)
