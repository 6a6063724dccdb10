"""Recording in shards, on the local engine: the same rows as `record`, resumed, with what workers must refuse."""

import json
import random
from pathlib import Path

import pytest

from workbench.core import BadResponse, ConfigError, Sampling, TaskFailed, Unavailable
from workbench.core.journal import read_journal
from workbench.evaluation import LocalEngine, Suite, record, record_on
from workbench.evaluation.plan import RecordConfig
from workbench.evaluation.shards import answer_shard, close_models
from workbench.models import ModelCard
from workbench.models.loading import MODEL_KINDS
from workbench.testing import ScriptedModel

TIMING = ("ttft_s", "latency_s", "tpot_s")
BATCHED = ModelCard(kind="scripted-in-batches", model="m", batch_size=4)
SERVED = ModelCard(kind="scripted-in-batches", model="m", base_url="http://127.0.0.1:1/v1")
SUITE = Suite.from_rows(
    [(f"row {i}", {"id": f"q{i:02d}", "prompt": f"question {i}" + " x" * (i % 5), "answer": "1"}) for i in range(22)],
    "questions",
)
built: list[ScriptedModel] = []


def reply(request):
    if "question 13" in request.prompt:
        return BadResponse("no sense", model="m")
    return str(random.Random(request.prompt).randint(0, 2))


def build(name, card, clock):
    built.append(ScriptedModel(name, reply, card=card))
    return built[-1]


@pytest.fixture(autouse=True)
def _kind(monkeypatch):
    """A model kind of this module; what a worker would build."""
    import sys

    monkeypatch.setitem(sys.modules, "module_of_a_plug_in", sys.modules[__name__])
    MODEL_KINDS.add("scripted-in-batches", "module_of_a_plug_in:build")
    built.clear()
    yield
    close_models()


class Dying:
    """An engine that is gone after some results."""

    name = "dying"

    def __init__(self, after: int) -> None:
        self.after = after

    def run(self, work, shared, tasks):
        order = list(range(len(tasks)))
        random.Random(3).shuffle(order)
        for n, index in enumerate(order):
            if n == self.after:
                raise KeyboardInterrupt
            yield index, work(shared, tasks[index])

    def close(self) -> None:
        pass


@pytest.mark.parametrize("card", [BATCHED, SERVED], ids=["batch", "server"])
@pytest.mark.parametrize("shard_size", [None, 1, 7, 1000])
def test_the_rows_are_those_of_a_recording_without_shards(tmp_path: Path, card, shard_size):
    config = RecordConfig(Sampling(temperature=0.5), samples=2, concurrency=3)
    on = record_on(LocalEngine(), SUITE, {"a": card, "b": card}, tmp_path / "on", config, shard_size=shard_size)
    models = {name: ScriptedModel(name, reply, card=card) for name in "ab"}
    plain = record(SUITE, models, tmp_path / "plain", sampling=Sampling(temperature=0.5), samples=2, concurrency=3)
    assert on.frame.drop(TIMING).equals(plain.frame.drop(TIMING))
    assert on.prompts.equals(plain.prompts)
    assert on.frame["error"].is_not_null().sum() == 4
    assert len(built) == 2, "one model a process and name"


@pytest.mark.parametrize("card", [BATCHED, SERVED], ids=["batch", "server"])
def test_what_was_journalled_before_the_end_is_not_asked_again(tmp_path: Path, card):
    with pytest.raises(KeyboardInterrupt):
        record_on(Dying(2), SUITE, {"a": card}, tmp_path, shard_size=4)
    asked_before = len(built[0].history)
    assert asked_before == 8
    close_models()
    found = record_on(LocalEngine(), SUITE, {"a": card}, tmp_path, shard_size=5)
    assert len(built[1].history) == len(SUITE) - asked_before
    assert found.frame["prompt_id"].to_list() == sorted(item.prompt_id for item in SUITE)
    rows = [r["prompt_id"] for r in read_journal(tmp_path / "journal.jsonl") if r["kind"] == "row"]
    assert len(rows) == len(set(rows)) == len(SUITE)


def test_a_recording_begun_here_goes_on_on_an_engine_and_says_where_rows_came_from(tmp_path: Path):
    record(SUITE, {"a": ScriptedModel("a", reply, card=BATCHED)}, tmp_path, limit=10)
    found = record_on(LocalEngine(), SUITE, {"a": BATCHED}, tmp_path)
    engine = found.manifest.load["engine"]
    assert (engine["name"], engine["n_nodes"], engine["n_answers_here"]) == ("local", 1, 10)
    (node,) = engine["nodes"].values()
    assert node["n_answers"] == 12
    assert {"cpu", "cores", "memory_gib", "gpus"} <= set(node["hardware"])


def test_a_finished_recording_asks_nothing_and_builds_no_model(tmp_path: Path):
    first = record_on(LocalEngine(), SUITE, {"a": BATCHED}, tmp_path)
    close_models()
    again = record_on(LocalEngine(), SUITE, {"a": BATCHED}, tmp_path)
    assert again.data_hash == first.data_hash
    assert len(built) == 1


def test_energy_is_unknown_with_a_reason(tmp_path: Path):
    found = record_on(LocalEngine(), SUITE, {"a": BATCHED}, tmp_path)
    assert found.frame["energy_wh"].null_count() == len(SUITE)
    assert found.manifest.models["a"]["measuring"]["reasons"]["energy_wh"]


def test_models_recorded_together_take_turns(tmp_path: Path):
    class Noting(LocalEngine):
        def run(self, work, shared, tasks):
            self.order = [task.model for task in tasks]
            return super().run(work, shared, tasks)

    engine = Noting()
    record_on(engine, SUITE, {"a": BATCHED, "b": BATCHED}, tmp_path, RecordConfig(parallel_models=True), shard_size=8)
    assert engine.order == ["a", "b", "a", "b", "a", "b"]
    assert len(built) == 2


def test_a_key_stays_on_the_worker_and_out_of_failures(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KEY_OF_A_TEST", "sk-very-secret")
    card = ModelCard(kind="scripted-in-batches", model="m", api_key="env:KEY_OF_A_TEST")
    sent = []

    class Spying(LocalEngine):
        def run(self, work, shared, tasks):
            import pickle

            sent.append(pickle.dumps((shared, tasks)))
            for index, found in super().run(work, shared, tasks):
                sent.append(pickle.dumps(found))
                yield index, found

    MODEL_KINDS.add("scripted-in-batches", "module_of_a_plug_in:build_telling")
    found = record_on(Spying(), SUITE, {"a": card}, tmp_path, RecordConfig(limit=2))
    assert set(found.frame["error"]) == {"Unavailable: model 'a': the key [key] was refused"}
    assert all(b"sk-very-secret" not in data for data in sent)
    assert "sk-very-secret" not in (tmp_path / "journal.jsonl").read_text()


def build_telling(name, card, clock):
    return ScriptedModel(name, lambda _: Unavailable("the key sk-very-secret was refused", model=name), card=card)


def test_a_model_that_cannot_be_built_stops_the_recording_and_says_why(tmp_path: Path):
    card = ModelCard(kind="transformers", model=str(tmp_path / "nowhere"))
    with pytest.raises(TaskFailed, match=r"answers of a from prompt 'q.*nowhere") as caught:
        record_on(LocalEngine(), SUITE, {"a": card}, tmp_path / "out")
    assert caught.value.exit_code == 2


def test_other_weights_on_a_worker_are_refused(tmp_path: Path):
    from workbench.evaluation.shards import Plan, Shard
    from workbench.models.family import family_cards

    name, card = next(iter(family_cards().items()))
    plan = Plan(RecordConfig(), {name: card}, {name: "0" * 64})
    with pytest.raises(ConfigError, match="holds other weights"):
        answer_shard(plan, Shard(name, ()))


def test_relative_folders_become_absolute_because_workers_run_elsewhere(tmp_path: Path, monkeypatch):
    from workbench.evaluation.shards import Plan

    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path)
    cards = {"a": ModelCard(kind="recorded", model="source#tiny"), "b": ModelCard(kind="recorded", model="elsewhere")}
    located = Plan.of(RecordConfig(), cards).cards
    assert located["a"].model == f"{tmp_path}/source#tiny"
    assert located["b"].model == "elsewhere"


@pytest.mark.parametrize(
    ("cards", "shard_size", "says"), [({}, None, "no models"), ({"a": BATCHED}, 0, "at least 1 answer")]
)
def test_what_cannot_be_recorded_is_refused_before_anything_is_written(tmp_path: Path, cards, shard_size, says):
    with pytest.raises(ConfigError, match=says):
        record_on(LocalEngine(), SUITE, cards, tmp_path / "out", shard_size=shard_size)
    assert not (tmp_path / "out").exists()


async def test_it_runs_where_an_event_loop_is_running(tmp_path: Path):
    found = record_on(LocalEngine(), SUITE, {"a": BATCHED}, tmp_path)
    assert len(found.frame) == len(SUITE)
    assert json.loads((tmp_path / "manifest.json").read_text())["load"]["engine"]["name"] == "local"
