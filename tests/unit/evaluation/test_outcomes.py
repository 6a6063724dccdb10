import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError, StoreError
from workbench.evaluation import PROMPT_SCHEMA, SCHEMA, Manifest, Outcomes

PROMPTS = pl.DataFrame({"prompt_id": ["p1", "p2"], "prompt": ["1 + 1?", "2 + 2?"], "task": ["add", "add"]})
ROWS = pl.DataFrame(
    {
        "prompt_id": ["p1", "p2", "p1", "p2"],
        "model": ["a", "a", "b", "b"],
        "score": [1.0, 0.0, 1.0, None],
        "cost_usd": [0.1, 0.1, None, None],
        "error": [None, None, None, "Unavailable: cut"],
    }
)


def outcomes(rows: pl.DataFrame = ROWS, prompts: pl.DataFrame = PROMPTS) -> Outcomes:
    return Outcomes.from_frames(rows, prompts, Manifest("test"))


def test_columns_and_types_are_those_of_the_schema():
    made = outcomes()
    assert dict(made.frame.schema) == dict(SCHEMA)
    assert dict(made.prompts.schema) == dict(PROMPT_SCHEMA)
    assert made.frame["task"].unique().to_list() == ["add"]
    assert made.frame["group"].to_list() == made.frame["prompt_id"].to_list()


def test_what_is_written_is_what_is_read(tmp_path: Path):
    made = outcomes()
    made.write(tmp_path)
    read = Outcomes.read(tmp_path)
    assert read.frame.equals(made.frame)
    assert read.prompts.equals(made.prompts)
    assert read.manifest.data_hash == made.data_hash == read.data_hash


@given(st.permutations(range(4)))
def test_the_hash_does_not_depend_on_the_order_rows_came_in(order):
    assert outcomes(ROWS[order]).data_hash == outcomes().data_hash


@pytest.mark.parametrize(
    "change",
    [
        pl.col("score").fill_null(0.0),
        pl.col("error").fill_null(""),
        pl.lit(7).alias("completion_tokens"),
        pl.when(pl.col("model") == "a").then(pl.lit("ab")).otherwise(pl.col("model")).alias("model"),
    ],
)
def test_the_hash_sees_every_value(change: pl.Expr):
    assert outcomes(ROWS.with_columns(change)).data_hash != outcomes().data_hash


def test_failures_score_zero_only_when_asked_and_ungraded_rows_never():
    rows = ROWS.with_columns(pl.lit(None, pl.String).alias("error"), pl.lit("unreadable judgement").alias("ungraded"))
    assert outcomes().with_failures_scored()["score"].null_count() == 0
    assert outcomes(rows).with_failures_scored()["score"].null_count() == 1
    assert outcomes().matrix().values.tolist() == [[1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pl.concat([ROWS, ROWS[:1]]), "two rows for the same cell.*'p1 a default 0'"),
        (ROWS.with_columns(score=pl.lit(1.5)), "score must be between 0 and 1.*p1 a = 1.5"),
        (ROWS.with_columns(cost_usd=pl.lit(float("nan"))), "cost_usd must be finite.*p1 a = nan.* and 1 more"),
        (ROWS.with_columns(latency_s=pl.lit(-1.0)), "latency_s must be finite and not negative"),
        (ROWS.with_columns(prompt_id=pl.lit("zz") + pl.col("prompt_id")), "rows without a prompt: 'zzp1', 'zzp2'"),
        (ROWS.rename({"model": "modell"}), "'model' is missing; did you mean 'modell'"),
        (ROWS.with_columns(score=pl.lit("good")), "'score' must be a number, found 'good'"),
    ],
)
def test_bad_rows_are_refused_by_name(rows: pl.DataFrame, message: str):
    with pytest.raises(ConfigError, match=message):
        outcomes(rows)


def test_one_id_for_two_prompts_is_refused():
    twice = PROMPTS.with_columns(prompt_id=pl.lit("p1"))
    with pytest.raises(ConfigError, match="same prompt_id stands for different prompts: 'p1'"):
        outcomes(prompts=twice)


def test_a_missing_folder_an_empty_one_and_an_unfinished_one_say_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no Outcomes at .*workbench record"):
        Outcomes.read(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no Outcomes"):
        Outcomes.read(tmp_path)
    (tmp_path / "journal.jsonl").touch()
    with pytest.raises(ConfigError, match="not finished"):
        Outcomes.read(tmp_path)


def test_a_cut_parquet_is_named(tmp_path: Path):
    outcomes().write(tmp_path)
    path = tmp_path / "outcomes.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match=r"outcomes\.parquet is damaged"):
        Outcomes.read(tmp_path)


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path):
    outcomes().write(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(StoreError, match="newer version of the workbench"):
        Outcomes.read(tmp_path)


def test_rows_that_do_not_belong_to_the_manifest_are_refused(tmp_path: Path):
    outcomes().write(tmp_path)
    outcomes(ROWS[:2]).frame.write_parquet(tmp_path / "outcomes.parquet")
    with pytest.raises(StoreError, match=r"do not belong to manifest\.json"):
        Outcomes.read(tmp_path)


def test_a_table_with_missing_columns_is_refused(tmp_path: Path):
    outcomes().write(tmp_path)
    ROWS.write_parquet(tmp_path / "outcomes.parquet")
    with pytest.raises(StoreError, match="lacks the columns task, difficulty"):
        Outcomes.read(tmp_path)


def test_a_full_disk_is_one_sentence_and_keeps_the_old_file(tmp_path: Path, monkeypatch):
    outcomes().write(tmp_path)
    before = (tmp_path / "outcomes.parquet").read_bytes()

    def full(self, path, **_):
        Path(path).write_bytes(b"PAR1")
        raise pl.exceptions.ComputeError("No space left on device (os error 28)")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(StoreError, match=r"No space left on device.*previous file is untouched"):
        outcomes(ROWS[:2]).write(tmp_path)
    assert (tmp_path / "outcomes.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "outcomes.parquet", "prompts.parquet"]


def test_folders_from_before_a_column_was_added_still_read_and_keep_their_hash(tmp_path: Path):
    made = outcomes()
    made.write(tmp_path)
    path = tmp_path / "outcomes.parquet"
    pl.read_parquet(path).drop("cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens").write_parquet(path)
    read = Outcomes.read(tmp_path)
    assert read.frame.equals(made.frame)
    assert read.data_hash == made.data_hash


def test_a_column_that_was_added_later_counts_in_the_hash_where_it_holds_something():
    assert outcomes(ROWS.with_columns(pl.lit(5).alias("reasoning_tokens"))).data_hash != outcomes().data_hash
