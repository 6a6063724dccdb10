"""Published matrices: made-up files of their form everywhere, the real ones where WORKBENCH_DATA names their folder."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.evaluation.importers import import_from
from workbench.evaluation.importers.routellm import GPT4, MIXTRAL

DATA = os.environ.get("WORKBENCH_DATA")


@pytest.fixture
def routellm(tmp_path: Path) -> Path:
    evals = tmp_path / "routellm" / "evals"
    for name in ("mmlu/responses", "gsm8k", "mt_bench"):
        (evals / name).mkdir(parents=True)
    anatomy = pl.DataFrame(
        {"prompt": ["bone?", "bone?", "seen?"], MIXTRAL: [True, False, True], GPT4: [True, True, True]}
    )
    anatomy.write_csv(evals / "mmlu/responses/mmlu_anatomy.csv")
    anatomy[:1].write_csv(evals / "mmlu/responses/mmlu_high_school_mathematics.csv")
    (evals / "mmlu/contaminated_prompts.jsonl").write_text(json.dumps({"eval_prompt": "seen?"}) + "\n")
    sums = {
        "prompt": ["1 + 1?"],
        MIXTRAL: [False],
        GPT4: [True],
        f"{MIXTRAL}_response": ["3"],
        f"{GPT4}_response": ["2"],
    }
    pl.DataFrame(sums).write_csv(evals / "gsm8k/gsm8k_responses.csv")
    (evals / "gsm8k/contaminated_prompts.jsonl").write_text("")
    question = {"question_id": 81, "category": "writing", "turns": ["Write.", "Again."]}
    (evals / "mt_bench/question.jsonl").write_text(json.dumps(question))
    points = [(MIXTRAL, 1, 7), (MIXTRAL, 2, 4), (GPT4, 1, 10), (GPT4, 2, -1)]
    rows = [{"question_id": 81, "model": m, "turn": t, "score": s} for m, t, s in points]
    (evals / "mt_bench/judgements.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (evals / "mt_bench/contaminated_prompts.jsonl").write_text("")
    return tmp_path


def test_mmlu_leaves_out_what_is_damaged_or_contaminated_and_says_so(routellm: Path):
    found = import_from("routellm", routellm, subset="mmlu")
    assert found.tasks == ["anatomy"]
    assert found.prompts["prompt"].to_list() == ["bone?"]
    assert found.matrix().values.tolist() == [[1.0, 0.5]]
    assert any("8 of 270" in note for note in found.manifest.notes)
    assert any(note.startswith("1 prompts found in the training data") for note in found.manifest.notes)


def test_what_is_left_out_can_be_kept(routellm: Path):
    found = import_from("routellm", routellm, keep_broken=True, keep_contaminated=True)
    assert len(found.frame) == 8
    assert found.tasks == ["anatomy", "high_school_mathematics"]


def test_the_same_question_under_two_subjects_is_one_group(routellm: Path):
    found = import_from("routellm", routellm, keep_broken=True)
    assert (len(found.prompts), found.prompts["group"].n_unique()) == (2, 1)


def test_gsm8k_keeps_the_answers(routellm: Path):
    found = import_from("routellm", routellm, subset="gsm8k")
    assert found.frame.select("model", "score", "answer").rows() == [(GPT4, 1.0, "2"), (MIXTRAL, 0.0, "3")]


def test_mt_bench_is_the_mean_of_the_turns_that_were_judged(routellm: Path):
    found = import_from("routellm", routellm, subset="mt_bench")
    assert dict(found.frame.select("model", "score").rows()) == {GPT4: 1.0, MIXTRAL: pytest.approx(0.55)}


def test_what_is_no_checkout_is_refused(routellm: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="unknown set 'mmul' of routellm: did you mean 'mmlu'"):
        import_from("routellm", routellm, subset="mmul")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no RouteLLM evaluations"):
        import_from("routellm", tmp_path / "empty")
    with pytest.raises(ConfigError, match="holds no cached results"):
        import_from("routerarena", tmp_path / "empty")


def arena_line(model: str, score: float, index: str = "AIME_1") -> str:
    result = {"ground_truth": "4", "score": score, "inference_cost": 0.25}
    usage = {"input_tokens": 7, "output_tokens": 3}
    line = {"global_index": index, "question": "2 + 2?", "llm_selected": model, "generated_answer": "4"}
    return (
        json.dumps({**line, "token_usage": usage, "success": True, "error": None, "evaluation_result": result}) + "\n"
    )


def test_routerarena_has_tokens_and_dollars(tmp_path: Path):
    (tmp_path / "cached_results").mkdir()
    (tmp_path / "cached_results/a.jsonl").write_text(arena_line("a", 1.0))
    (tmp_path / "cached_results/b.jsonl").write_text(arena_line("b", -0.03))
    found = import_from("routerarena", tmp_path)
    assert found.frame.select("model", "task", "score", "prompt_tokens", "completion_tokens", "cost_usd").rows() == [
        ("a", "AIME", 1.0, 7, 3, 0.25),
        ("b", "AIME", 0.0, 7, 3, 0.25),
    ]
    assert "1 rows" in found.manifest.notes[0]


def test_a_line_that_is_none_of_routerarena_is_named(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text(arena_line("a", 1.0) + "{}\n")
    with pytest.raises(ConfigError, match=r"a\.jsonl, line 2: no line of RouterArena's cached results"):
        import_from("routerarena", tmp_path)


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="WORKBENCH_DATA names no folder of public data sets")
@pytest.mark.parametrize(
    ("format_name", "options", "n_prompts", "n_rows", "scores"),
    [
        ("routellm", {"subset": "mmlu"}, 13_740, 27_534, {GPT4: 0.8207, MIXTRAL: 0.6883}),
        ("routellm", {"subset": "gsm8k"}, 1307, 2614, {GPT4: 0.8577, MIXTRAL: 0.6373}),
        ("routerarena", {}, 809, 1618, {"claude-3-haiku-20240307": 0.5230, "gemini-2.0-flash-001": 0.6898}),
    ],
)
def test_the_published_numbers_come_out(format_name: str, options: dict, n_prompts: int, n_rows: int, scores: dict):
    found = import_from(format_name, Path(str(DATA)) / "routing" / format_name, **options)
    assert (len(found.prompts), len(found.frame)) == (n_prompts, n_rows)
    means = dict(found.frame.group_by("model").agg(pl.col("score").mean()).rows())
    assert means == pytest.approx(scores, abs=5e-4)
