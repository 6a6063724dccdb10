import gzip
import io
from pathlib import Path

import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.evaluation.importers import import_from

GOOD = """prompt_id,prompt,task,model,score,cost_usd,latency_s,sample
a,"1 + 1?
please",add,tiny,1,0.001,,0
a,,,base,0.5,,1.5,0
a,,,base,1,,1.5,1
b,2 + 2?,add,tiny,0,0.002,,0
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(text, newline="")
    return path


def test_a_table_becomes_outcomes_with_nulls_where_it_knows_nothing(tmp_path: Path):
    found = import_from("long", write(tmp_path, GOOD))
    assert found.prompts["prompt"].to_list() == ["1 + 1?\nplease", "2 + 2?"]
    assert found.frame["task"].to_list() == ["add"] * 4
    assert found.frame["cost_usd"].to_list() == [None, None, 0.001, 0.002]
    assert found.frame["ttft_s"].null_count() == 4
    assert found.matrix().values.tolist()[0] == [0.75, 1.0]


def test_parquet_and_mixed_line_ends_give_the_same(tmp_path: Path):
    found = import_from("long", write(tmp_path, GOOD))
    pl.read_csv(tmp_path / "table.csv").write_parquet(tmp_path / "t.parquet")
    assert import_from("long", tmp_path / "t.parquet").data_hash == found.data_hash
    lines = GOOD.splitlines(keepends=True)
    mixed = "".join(line.replace("\n", "\r\n") if i in (0, 3) else line for i, line in enumerate(lines))
    assert import_from("long", write(tmp_path, "\ufeff" + mixed + "\n\n")).data_hash == found.data_hash


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.001", "NaN", r"cost_usd must be finite, found 'row 1: nan'; leave unknown cells empty"),
        ("0.002", "inf", r"cost_usd must be finite, found 'row 4: inf'"),
        ("0.002", "-1", "cost_usd must be finite and not negative"),
        ("0.002", "cheap", "'cost_usd' must be a number, found 'cheap'; leave unknown cells empty"),
        ("1.5,1", "1.5,0", "two rows for the same cell .*'a base default 0'"),
        ("b,2 + 2?", "a,2 + 2?", "the same prompt_id has different values of 'prompt': 'a'"),
        ("b,2 + 2?", ",2 + 2?", "1 rows have no 'prompt_id'"),
        ("tiny,0,", "tiny,3,", "score must be between 0 and 1"),
        ("score", "points", "the column 'score' is missing"),
        (GOOD, "", "is empty: a heading and at least one row"),
        ("1,0.001", "50,0.001", "divide points or percent"),
        ("1,0.001", "1,0.001,1,1,1", "row 1 has 11 fields, the heading 8"),
        ("cost_usd", "score", "columns appear twice: 'score'"),
        ("1.5,1", "1.5,1.5", "'sample' must be a whole number, found '1.5'"),
        ("a,,,base,1,,1.5,1", "a,,,base,0.5,,1.5,0", "'a base default 0' as exact copies; remove them"),
        ("1.5,1", "1.5,0", "'a base default 0' that differ; give repeated answers their own sample number"),
        (GOOD, GOOD.replace(",", ";"), "separated by semicolons, not by commas"),
        (GOOD, "prompt_id,prompt,task,model,score\n", "is empty: at least one row"),
        ("b,2 + 2?", 'b,"2 + 2?', "cannot be read"),
        ("2 + 2?", "", "1 rows have no 'prompt'"),
    ],
)
def test_contradictions_are_refused_by_name(tmp_path: Path, old: str, new: str, message: str):
    with pytest.raises(ConfigError, match=message):
        import_from("long", write(tmp_path, GOOD.replace(old, new, 1)))


def test_a_gzipped_table_and_one_with_true_and_false_and_3_point_0_are_read_as_meant(tmp_path: Path):
    found = import_from("long", write(tmp_path, GOOD))
    packed = tmp_path / "table.csv.gz"
    packed.write_bytes(gzip.compress(GOOD.encode("utf-8-sig")))
    assert import_from("long", packed).data_hash == found.data_hash
    words = GOOD.replace("tiny,1,", "tiny,TRUE,").replace("tiny,0,", "tiny,False,").replace("1.5,1", "1.5,1.0")
    assert import_from("long", write(tmp_path, words)).data_hash == found.data_hash
    packed.write_bytes(gzip.compress(GOOD.encode())[:40])
    with pytest.raises(ConfigError, match="cannot be read \\(gzip"):
        import_from("long", packed)


def test_columns_that_were_not_used_and_models_alike_are_noted(tmp_path: Path):
    text = GOOD.replace("latency_s", "latency").replace("b,2 + 2?,add,tiny", "b,2 + 2?,add,Tiny ")
    notes = import_from("long", write(tmp_path, text)).manifest.notes
    assert "columns that are not known were left out: 'latency' (did you mean 'latency_s'?)" in notes
    assert "'Tiny ' and 'tiny' count as different models; if they are one, give it one name" in notes


@pytest.mark.parametrize(
    ("column", "as_what", "message"),
    [
        ("score", pl.Decimal(4, 2), None),
        ("score", pl.Float32, None),
        ("model", pl.Categorical, None),
        ("prompt", pl.Binary, None),
        ("prompt", pl.List(pl.String), r"'prompt' must be text, found List"),
    ],
)
def test_parquet_of_other_types_is_converted_or_refused(tmp_path: Path, column, as_what, message):
    table = pl.read_csv(io.StringIO(GOOD))
    if as_what == pl.List(pl.String):
        table = table.with_columns(pl.concat_list(column))
    else:
        table = table.with_columns(pl.col(column).cast(as_what))
    table.write_parquet(tmp_path / "t.parquet")
    if message is None:
        expected = import_from("long", write(tmp_path, GOOD)).data_hash
        assert import_from("long", tmp_path / "t.parquet").data_hash == expected
    else:
        with pytest.raises(ConfigError, match=message):
            import_from("long", tmp_path / "t.parquet")


@pytest.mark.parametrize(("encoding", "message"), [("utf-16", "byte 0"), ("latin-1", "not UTF-8")])
def test_other_encodings_are_refused_and_say_so(tmp_path: Path, encoding, message):
    path = tmp_path / "table.csv"
    path.write_bytes(GOOD.replace("please", "größer").encode(encoding))
    with pytest.raises(ConfigError, match=message):
        import_from("long", path)


def test_unknown_formats_options_and_files_say_what_there_is(tmp_path: Path):
    with pytest.raises(ConfigError, match="did you mean 'routellm'"):
        import_from("routelm", tmp_path)
    with pytest.raises(ConfigError, match="the format 'long' has no option 'subset'"):
        import_from("long", tmp_path, subset="mmlu")
    with pytest.raises(ConfigError, match="no table at"):
        import_from("long", tmp_path / "missing.csv")
