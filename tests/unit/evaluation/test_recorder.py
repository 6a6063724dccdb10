import asyncio
import threading
from pathlib import Path

import pytest

from workbench.core import BadResponse, ConfigError, Sampling, StoreError, Unavailable
from workbench.core.journal import Journal, read_journal
from workbench.core.price import TokenPrice
from workbench.evaluation import Outcomes, Suite, record
from workbench.evaluation.plan import Load, load_of
from workbench.evaluation.recorder import describe_error
from workbench.models import ModelCard
from workbench.testing import FakeClock, ScriptedModel

SUM = {f"{a} + {a}?": str(a + a) for a in range(10)}
SUITE = Suite.from_rows(
    [
        (q, {"id": f"q{i}", "prompt": q, "answer": a, "task": "even" if i % 2 else "odd"})
        for i, (q, a) in enumerate(SUM.items())
    ],
    "sums",
)
SERVER = ModelCard(kind="openai-compatible", model="m", base_url="http://127.0.0.1/v1")


def right(request):
    return SUM[request.prompt]


def wrong(request):
    return "17" if request.prompt != "3 + 3?" else Unavailable("cut stream", model="b")


def scripted(name: str, replies, card: ModelCard | None = None, **known) -> ScriptedModel:
    return ScriptedModel(name, replies, card=card, clock=FakeClock(), **known)


def asked(model: ScriptedModel) -> list[str]:
    return [request.request_id for request in model.history]


def test_every_model_is_asked_every_question_once_and_graded(tmp_path: Path):
    models = {"a": scripted("a", right), "b": scripted("b", wrong)}
    found = record(SUITE, models, tmp_path)
    assert len(found.frame) == 20
    assert found.matrix().values.mean(axis=0).tolist() == [1.0, 0.0]
    assert sorted(asked(models["a"])) == sorted(f"q{i}#0" for i in range(10))
    assert Outcomes.read(tmp_path).data_hash == found.data_hash


def test_a_failing_model_marks_its_rows_and_the_run_goes_on(tmp_path: Path):
    found = record(SUITE, {"b": scripted("b", wrong), "a": scripted("a", right)}, tmp_path)
    failed = found.frame.filter(found.frame["error"].is_not_null())
    assert failed["prompt_id"].to_list() == ["q3"]
    assert failed["error"][0].startswith("Unavailable: model 'b': cut stream")
    assert failed["score"].to_list() == [None]
    assert found.frame.filter(model="a")["score"].sum() == 10


@pytest.mark.parametrize("card", [None, SERVER])
def test_a_backend_that_raises_anything_at_all_fails_only_its_rows(tmp_path: Path, card):
    def broken(request):
        raise ZeroDivisionError("a bug in the backend")

    found = record(SUITE, {"x": scripted("x", broken, card), "a": scripted("a", right)}, tmp_path)
    errors = found.frame.filter(model="x")["error"].to_list()
    assert len(errors) == 10
    assert all("a bug in the backend" in error or "ExceptionGroup" in error for error in errors)


@pytest.mark.parametrize("card", [None, SERVER])
def test_a_second_run_asks_nothing_and_changes_nothing(tmp_path: Path, card):
    first = record(SUITE, {"a": scripted("a", right, card)}, tmp_path)
    again = scripted("a", right, card)
    second = record(SUITE, {"a": again}, tmp_path)
    assert again.history == []
    assert (second.data_hash, second.manifest) == (first.data_hash, first.manifest)


@pytest.mark.parametrize("card", [None, SERVER])
def test_what_is_in_the_journal_is_not_asked_again(tmp_path: Path, card):
    card = card or ModelCard(kind="scripted", model="a", batch_size=3)
    whole = record(SUITE, {"a": scripted("a", right, card)}, tmp_path / "whole")
    lines = (tmp_path / "whole/journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/journal.jsonl").write_bytes(
        b"".join(lines[:7]) + lines[7][:20]
    )  # header, model, five rows, a torn one
    rest = scripted("a", right, card)
    resumed = record(SUITE, {"a": rest}, tmp_path / "cut")
    assert resumed.frame.equals(whole.frame)
    assert len(rest.history) == (7 if card.kind == "scripted" else 5)  # a batch that was cut is asked whole
    rows = [r for r in read_journal(tmp_path / "cut/journal.jsonl") if r["kind"] == "row"]
    assert len({r["prompt_id"] for r in rows}) == len(rows) == 10


def test_a_server_has_as_many_requests_in_flight_as_asked_for_and_never_more(tmp_path: Path):
    running, most = 0, 0

    class Counting(ScriptedModel):
        async def complete(self, request):
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(0)
                return await super().complete(request)
            finally:
                running -= 1

    found = record(SUITE, {"s": Counting("s", right, card=SERVER)}, tmp_path, concurrency=4)
    assert most == 4
    assert found.frame["concurrency"].unique().to_list() == [4]


def test_an_api_whose_card_has_no_address_is_a_server_all_the_same():
    assert load_of(ModelCard(kind="anthropic", model="x", api_key="env:KEY"), None) == Load("concurrent", 8)


def test_the_next_request_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch):
    append, was_asked_again = Journal.append, threading.Event()

    def slow(self, records):
        if any(record["kind"] == "row" for record in records):
            assert was_asked_again.wait(timeout=300)
        append(self, records)

    def answer(request):
        if len(model.history) > 1:
            was_asked_again.set()
        return right(request)

    monkeypatch.setattr(Journal, "append", slow)
    model = scripted("a", answer, SERVER)
    assert len(record(SUITE, {"a": model}, tmp_path, concurrency=1).frame) == 10


def test_a_full_disk_stops_the_requests_that_are_under_way(tmp_path: Path, monkeypatch):
    append = Journal.append

    def full(self, records):
        if any(record["kind"] == "row" for record in records):
            raise StoreError("cannot append: No space left on device; what was there is kept")
        append(self, records)

    monkeypatch.setattr(Journal, "append", full)
    model = scripted("a", right, SERVER)
    with pytest.raises(StoreError, match="No space left"):
        record(SUITE, {"a": model}, tmp_path, concurrency=2)


def test_local_models_are_asked_in_batches_of_their_card(tmp_path: Path):
    sizes = []

    class Batching(ScriptedModel):
        async def complete_batch(self, requests):
            sizes.append(len(requests))
            return await super().complete_batch(requests)

    local = ModelCard(kind="scripted", model="l", batch_size=4)
    record(SUITE, {"l": Batching("l", right, card=local)}, tmp_path / "card")
    record(SUITE, {"l": Batching("l", right, card=local)}, tmp_path / "one", concurrency=1)
    assert sizes == [4, 4, 2] + [1] * 10


def test_further_models_samples_and_prompts_join_the_same_folder(tmp_path: Path):
    warm = Sampling(temperature=1.0)
    record(SUITE, {"a": scripted("a", right, SERVER)}, tmp_path, limit=4, sampling=warm)
    model = scripted("a", right, SERVER)
    found = record(SUITE, {"a": model, "b": scripted("b", right)}, tmp_path, samples=2, sampling=warm)
    assert len(model.history) == 16
    assert len(found.frame) == 40
    assert found.manifest.sampling["samples"] == 2


def test_drawn_answers_have_a_seed_of_their_own_that_repeats(tmp_path: Path):
    first, second = scripted("a", right), scripted("a", right)
    for model, folder in ((first, "1"), (second, "2")):
        record(SUITE, {"a": model}, tmp_path / folder, samples=2, sampling=Sampling(temperature=0.7), seed=5)
    seeds = {request.request_id: request.sampling.seed for request in first.history}
    assert len(set(seeds.values())) == 20
    assert seeds == {request.request_id: request.sampling.seed for request in second.history}


def test_several_greedy_samples_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="3 samples at temperature 0 would be the same answer"):
        record(SUITE, {"a": scripted("a", right)}, tmp_path, samples=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"sampling": Sampling(max_tokens=5)}, "max_tokens was 128, is 5"),
        ({"suite": Suite(SUITE.items[:5])}, "another suite or grader"),
    ],
)
def test_a_journal_made_with_other_settings_is_refused(tmp_path: Path, change: dict, message: str):
    record(SUITE, {"a": scripted("a", right)}, tmp_path)
    suite = change.pop("suite", SUITE)
    with pytest.raises(ConfigError, match=f"{message}.*--fresh"):
        record(suite, {"a": scripted("a", right)}, tmp_path, **change)
    assert len(record(suite, {"a": scripted("a", right)}, tmp_path, fresh=True, **change).frame) == len(suite)


def test_a_model_whose_card_changed_is_refused_but_may_be_asked_more_patiently(tmp_path: Path):
    record(SUITE, {"a": scripted("a", right, SERVER)}, tmp_path, limit=3)
    record(SUITE, {"a": scripted("a", right, SERVER.model_copy(update={"timeout_s": 600.0}))}, tmp_path)
    other = SERVER.model_copy(update={"model": "m2"})
    with pytest.raises(ConfigError, match=r"answers of model 'a' with another card \(model differ"):
        record(SUITE, {"a": scripted("a", right, other)}, tmp_path)


def test_failures_are_asked_again_only_on_demand(tmp_path: Path):
    record(SUITE, {"b": scripted("b", wrong)}, tmp_path)
    kept = record(SUITE, {"b": scripted("b", right)}, tmp_path)
    assert kept.frame["error"].is_not_null().sum() == 1
    healed = record(
        SUITE, {"b": scripted("b", right, ModelCard(kind="scripted", model="b"))}, tmp_path, retry_failures=True
    )
    assert healed.frame["error"].is_not_null().sum() == 0
    assert healed.frame["score"].sum() == 1


def test_a_folder_that_is_being_recorded_is_refused(tmp_path: Path):
    with Journal(tmp_path / "journal.jsonl"), pytest.raises(StoreError, match="being written by another process"):
        record(SUITE, {"a": scripted("a", right)}, tmp_path)


def test_a_full_disk_stops_the_recording_and_keeps_what_was_there(tmp_path: Path, monkeypatch):
    card = ModelCard(kind="scripted", model="a", batch_size=2)
    append, calls = Journal.append, []

    def full(self, records):
        calls.append(1)
        if len(calls) > 5:
            raise StoreError("cannot append: No space left on device; what was there is kept")
        append(self, records)

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(StoreError, match="No space left"):
        record(SUITE, {"a": scripted("a", right, card)}, tmp_path)
    monkeypatch.setattr(Journal, "append", append)
    rest = scripted("a", right, card)
    assert len(record(SUITE, {"a": rest}, tmp_path).frame) == 10
    assert len(rest.history) == 4


def test_answers_are_priced_by_their_card(tmp_path: Path):
    card = SERVER.model_copy(update={"price": TokenPrice(input_usd_per_1m=1e6, output_usd_per_1m=1e6)})
    found = record(SUITE, {"a": scripted("a", right, card)}, tmp_path)
    assert found.frame["cost_usd"].unique().to_list() == [4.0]  # three words asked, one answered


def test_a_judge_grades_and_its_tokens_and_cost_are_counted(tmp_path: Path):
    card = SERVER.model_copy(update={"price": TokenPrice(input_usd_per_1m=0, output_usd_per_1m=1e6)})
    judge = scripted("judge", lambda r: "unsure" if "3 + 3" in r.prompt else "Yes.", card)
    suite = Suite(tuple(SUITE), Suite.from_rows([("x", {"prompt": "x"})], "x", grader="judge:model=judge").grader)
    found = record(suite, {"a": scripted("a", right)}, tmp_path, judges={"judge": judge})
    unreadable = found.frame.filter(prompt_id="q3").row(0, named=True)
    assert found.frame["score"].sum() == 9
    assert (unreadable["score"], unreadable["error"]) == (None, None)
    assert unreadable["ungraded"] == "unreadable judgement: 'unsure'"
    assert found.frame["grading_cost_usd"].to_list() == [1.0] * 10
    assert found.frame["grading_tokens"].min() > 5


def test_an_unknown_judge_names_the_nearest(tmp_path: Path):
    suite = Suite(tuple(SUITE), Suite.from_rows([("x", {"prompt": "x"})], "x", grader="judge:model=bsae").grader)
    with pytest.raises(ConfigError, match="unknown judge 'bsae': did you mean 'base'"):
        record(suite, {"base": scripted("base", right)}, tmp_path)


def test_errors_hold_no_key_and_no_novel(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "hunter2-hunter2")
    card = SERVER.model_copy(update={"api_key": "env:SOME_KEY"})
    text = describe_error(BadResponse("key hunter2-hunter2 refused " + "x" * 900, model="a"), card)
    assert "hunter2" not in text
    assert len(text) == 500


def test_halves_of_surrogate_pairs_in_answers_do_not_stop_anything(tmp_path: Path):
    found = record(SUITE, {"a": scripted("a", lambda request: "\ud83d oh")}, tmp_path)
    assert found.frame["answer"].unique().to_list() == ["? oh"]


def test_models_may_be_recorded_side_by_side(tmp_path: Path):
    models = {name: scripted(name, right, SERVER) for name in "abc"}
    found = record(SUITE, models, tmp_path, parallel_models=True)
    assert len(found.frame) == 30


def test_the_manifest_says_who_when_where(tmp_path: Path):
    manifest = record(SUITE, {"a": scripted("a", right)}, tmp_path, clock=FakeClock()).manifest
    assert manifest.suite_hash == SUITE.hash
    assert manifest.started_at == manifest.ended_at == "2026-01-01T00:00:00+00:00"
    assert manifest.models["a"]["card"]["kind"] == "scripted"
    assert manifest.hardware["cores"] >= 1
    assert manifest.load["models"] == {"a": {"mode": "batch", "size": 32}}


async def test_recording_works_where_an_event_loop_runs_already(tmp_path: Path):
    assert len(record(SUITE, {"a": scripted("a", right)}, tmp_path).frame) == 10


def test_prompts_keep_their_chat_and_their_grader(tmp_path: Path):
    rows = [
        {"id": "plain", "prompt": "1 + 1?", "answer": "2", "grader": "numeric"},
        {"id": "chat", "system": "Be brief.", "prompt": "2 + 2?", "answer": "4"},
    ]
    suite = Suite.from_rows([("row", row) for row in rows], "two", grader="exact")
    prompts = record(suite, {"a": scripted("a", right)}, tmp_path).prompts
    assert dict(prompts.select("prompt_id", "grader").rows()) == {"plain": "numeric", "chat": "exact"}
    assert [(chat is None, "Be brief." in (chat or "")) for chat in prompts["messages"]] == [
        (False, True),
        (True, False),
    ]
