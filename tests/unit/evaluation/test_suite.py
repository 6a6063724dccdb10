import json
from pathlib import Path

import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.evaluation import Suite

ROWS = [
    {"prompt": "1 + 1?", "answer": 2, "task": "add"},
    {"prompt": "Capital of France?", "answer": "Paris", "task": "geo"},
    {"prompt": "2 + 2?", "answer": "4", "task": "add"},
]


def jsonl(path: Path, rows: list[dict], end: str = "\n") -> Path:
    path.write_text("".join(json.dumps(row) + end for row in rows), newline="")
    return path


def test_a_file_with_prompt_answer_and_task_just_works(tmp_path: Path):
    suite = Suite.load(jsonl(tmp_path / "mine.jsonl", ROWS))
    assert [item.prompt for item in suite] == ["1 + 1?", "Capital of France?", "2 + 2?"]
    assert [item.answer for item in suite] == ["2", "Paris", "4"]
    assert [item.group for item in suite] == [item.prompt_id for item in suite]
    assert suite.tasks == ["add", "geo"]


def test_the_format_of_the_file_does_not_change_the_suite(tmp_path: Path):
    texts = [{**row, "answer": str(row["answer"])} for row in ROWS]
    pl.DataFrame(texts).write_csv(tmp_path / "s.csv")
    pl.DataFrame(texts).write_parquet(tmp_path / "s.parquet")
    jsonl(tmp_path / "s.jsonl", ROWS)
    assert len({Suite.load(tmp_path / f"s{suffix}").hash for suffix in (".csv", ".parquet", ".jsonl")}) == 1


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_mixed_line_ends_and_a_byte_order_mark_are_accepted(tmp_path: Path, suffix: str):
    plain, mixed = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    if suffix == ".csv":
        plain.write_text('prompt,answer\nx,1\n"y\nz",2\nw,3\n')
    else:
        jsonl(plain, ROWS)
    first, *lines = plain.read_text().split("\n")
    mixed.write_bytes(
        b"\xef\xbb\xbf" + (first + "\r\n" + "\n".join(lines[:-2]) + "\r" + lines[-2] + "\r\n\r\n").encode()
    )
    assert Suite.load(mixed).hash == Suite.load(plain).hash


def test_the_hash_is_about_content_and_not_about_order_or_name(tmp_path: Path):
    one = Suite.load(jsonl(tmp_path / "one.jsonl", ROWS))
    other = Suite.load(jsonl(tmp_path / "other.jsonl", ROWS[::-1]))
    changed = Suite.load(jsonl(tmp_path / "changed.jsonl", [*ROWS[:2], {**ROWS[2], "answer": "5"}]))
    assert one.hash == other.hash
    assert changed.hash != one.hash
    assert Suite.load(tmp_path / "one.jsonl", grader="exact").hash != one.hash


def test_what_is_written_is_what_was_loaded(tmp_path: Path):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    rows = [*ROWS, {"messages": chat, "answer": "Hi", "grader": {"name": "contains"}, "region": "eu"}]
    suite = Suite.load(jsonl(tmp_path / "in.jsonl", rows))
    for name in ("out.jsonl", "out.parquet"):
        suite.write(tmp_path / name)
        assert Suite.load(tmp_path / name).hash == suite.hash
    assert suite.dataset[3]["region"] == "eu"
    assert Suite.from_dataset(suite.dataset).hash == suite.hash


def test_a_conversation_is_asked_as_one(tmp_path: Path):
    rows = [{"prompt": "Hello?", "system": "Be brief.", "answer": "Hi", "id": "a"}]
    (request,) = Suite.load(jsonl(tmp_path / "s.jsonl", rows)).requests()
    assert [message.role for message in request.messages] == ["system", "user"]
    assert (request.prompt, request.request_id) == ("Hello?", "a#0")


def test_few_items_hold_every_task(tmp_path: Path):
    rows = [{"prompt": f"{task} {i}", "answer": "x", "task": task} for task in "abc" for i in range(5)]
    suite = Suite.load(jsonl(tmp_path / "s.jsonl", rows))
    assert [item.prompt for item in suite.head(4)] == ["a 0", "a 1", "b 0", "c 0"]
    assert len(suite.head(100)) == 15


def test_columns_can_be_read_under_another_name(tmp_path: Path):
    path = jsonl(tmp_path / "s.jsonl", [{"question": "1 + 1?", "gold": "2"}])
    suite = Suite.load(path, columns={"prompt": "question", "answer": "gold"})
    assert suite.items[0].answer == "2"
    with pytest.raises(ConfigError, match="no column 'questoin' for 'prompt'; did you mean 'question'"):
        Suite.load(path, columns={"prompt": "questoin"})


def test_the_reference_suite_is_the_same_every_time_and_gradeable():
    suite = Suite.reference(n_per_task=3)
    assert suite.hash == Suite.reference(n_per_task=3).hash != Suite.reference("held_out", n_per_task=3).hash
    assert {suite.grader_of(item).name for item in suite} == {"exact", "json"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty"),
        ([{"prompt": "a"}, {"prompt": "b"}], "has no answers, and the grader 'normalised' needs them"),
        ([{"prompt": "a", "answer": "x"}, {"id": "q7", "prompt": "b"}], "prompt 'q7': there is no answer"),
        ([{"id": "q7", **ROWS[0]}, {"id": "q7", **ROWS[1]}], "used more than once: 'q7'"),
        ([ROWS[0], ROWS[0]], "equal rows get equal ids"),
        ([{"promt": "a", "answer": "x"}], "line 1: there is no prompt; did you mean 'promt'"),
        (
            [{"prompt": "a", "answer": "x", "grader": "numerik"}],
            "line 1: unknown grader 'numerik': did you mean 'numeric'",
        ),
        ([{"prompt": "a", "answer": "x", "grader": "numeric"}], "the answer 'x' holds no number"),
        ([{"prompt": "a" * 101, "answer": "x"}], "the prompt has 101 characters, at most 100 are allowed"),
        ([{"messages": [{"role": "usr", "content": "a"}]}], "unknown role 'usr': did you mean 'user'"),
        ([{"prompt": "a \ud800 b", "answer": "x"}], "character 2 of the prompt is half of a surrogate pair"),
    ],
)
def test_bad_suites_are_refused_in_one_sentence(tmp_path: Path, rows: list[dict], message: str):
    with pytest.raises(ConfigError, match=message):
        Suite.load(jsonl(tmp_path / "s.jsonl", rows), max_prompt_chars=100)


def test_a_grader_that_needs_no_answer_takes_a_suite_without(tmp_path: Path):
    path = jsonl(tmp_path / "s.jsonl", [{"prompt": "a"}, {"prompt": "b"}])
    assert len(Suite.load(path, grader="judge")) == 2
    assert len(Suite.load(path, grader="regex:pattern=^[0-9]+$")) == 2


def test_an_unknown_task_names_the_nearest(tmp_path: Path):
    suite = Suite.load(jsonl(tmp_path / "s.jsonl", ROWS))
    assert len(suite.only(["add"])) == 2
    with pytest.raises(ConfigError, match="has no task 'ad': did you mean 'add'"):
        suite.only(["ad"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.jsonl", b'{"prompt": "a"}\n{"prompt": ', "line 2: not JSON"),
        ("s.jsonl", b'{"prompt": "\xff"}\n', "is not UTF-8 text"),
        ("s.csv", b"", "is empty"),
        ("s.parquet", b"PAR1 cut", "cannot be read as parquet"),
        ("s.xlsx", b"", "unknown suite format '.xlsx'"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Suite.load(tmp_path / name)


def test_a_name_that_is_nothing_says_what_a_suite_can_be(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no suite at nothing: name a .*'reference', or a Hub data set"):
        Suite.load("nothing")
    with pytest.raises(ConfigError, match="no suite at"):
        Suite.load(tmp_path / "missing.parquet")
    with pytest.raises(ConfigError, match="did you mean 'held_out'"):
        Suite.load("reference:heldout")


def test_the_hub_without_a_network_says_what_to_do():
    with pytest.raises(ConfigError, match=r"from the Hub .* export the data set to JSON lines"):
        Suite.load("someone/nothing-here")
