import asyncio
from pathlib import Path

import pytest

from workbench.core import BadResponse, ConfigError, Request, Sampling, Unavailable
from workbench.models import ModelCard, load_model
from workbench.models.vllm_model import VLLMModel
from workbench.testing import StubBehaviour, StubServer, fake_vllm_environment, save_tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> str:
    return str(fake_vllm_environment(tmp_path_factory.mktemp("vllm") / "env"))


@pytest.fixture
async def model(checkpoint, environment):
    options = {"environment": environment}
    card = ModelCard(kind="vllm", model=str(checkpoint), options=options, retries=0, flop_per_token=2.0)
    model = load_model("mine", card)
    yield model
    await model.close()


def ask(prompt: str) -> Request:
    return Request.from_prompt(prompt, sampling=Sampling(max_tokens=8))


async def test_a_server_is_started_with_the_model_and_stopped_with_it(model):
    assert isinstance(model, VLLMModel)
    answer = await model.complete(ask("hello"))
    assert (answer.text, answer.model, answer.usage.total_tokens, answer.compute_flop) == ("HELLO", "mine", 5, 10.0)
    assert len(model.server.pids()) == 2
    await model.close()
    assert model.server.pids() == []
    await model.close()


async def test_white_space_before_an_answer_is_dropped_from_streams_too(model):
    deltas = [delta async for delta in model.stream(ask("hello"))]
    last = deltas[-1].completion
    assert "".join(delta.text for delta in deltas) == last.text == "HELLO"
    assert deltas[0].text == "HELLO"
    assert 0 < last.timing.ttft_s <= last.timing.latency_s


async def test_a_batch_is_answered_in_its_order(model):
    answers = await model.complete_batch([ask(word) for word in ("a", "b", "c")])
    assert [answer.text for answer in answers] == ["A", "B", "C"]


async def test_a_server_that_dies_is_told_with_what_its_log_says(model):
    for attempt in (model.complete(ask("die")), model.complete(ask("hello")), drained(model.stream(ask("hello")))):
        with pytest.raises(Unavailable, match="its vLLM server has died") as said:
            await attempt
        assert "OutOfMemoryError: it grew too big" in str(said.value)
        assert str(model.server.log_path) in str(said.value)
    assert said.value.model == "mine"


async def drained(stream):
    return [delta async for delta in stream]


async def test_after_closing_it_is_closed_and_not_dead(model):
    await model.close()
    with pytest.raises(Unavailable, match="closed"):
        await model.complete(ask("hello"))


async def test_a_server_that_cannot_start_is_an_error_of_loading(checkpoint, tmp_path):
    environment = str(fake_vllm_environment(tmp_path / "env", "dies"))
    with pytest.raises(Unavailable, match="No available memory for the cache blocks"):
        load_model("mine", ModelCard(kind="vllm", model=str(checkpoint), options={"environment": environment}))


async def test_a_server_that_runs_already_is_used_and_left_running():
    with StubServer(StubBehaviour(models=("org/model",), reply=" hi")) as server:
        model = load_model("mine", ModelCard(kind="vllm", model="org/model", base_url=server.url))
        assert (await model.complete(ask("x"))).text == "hi"
        assert model.server is None
        await model.close()


async def test_a_reference_model_of_a_running_server_is_asked_by_its_name_here():
    with StubServer(StubBehaviour(models=("base",))) as server:
        model = load_model("base", ModelCard(kind="vllm", model="reference:base", base_url=server.url))
        answer = await model.complete(ask("x"))
        assert server.requests[-1]["model"] == "base"
        assert answer.compute_flop > 0
        await model.close()


async def test_a_wrong_model_name_is_the_servers_refusal():
    with StubServer(StubBehaviour(models=("a",))) as server:
        model = load_model("mine", ModelCard(kind="vllm", model="org/b", base_url=server.url))
        with pytest.raises(BadResponse, match="The model `org/b` does not exist"):
            await model.complete(ask("x"))
        await model.close()


def test_the_wrong_kind_of_option_is_an_error_of_loading(checkpoint, environment):
    options = {"environment": environment, "port": "many"}
    with pytest.raises(ConfigError, match="options of model 'mine': port"):
        load_model("mine", ModelCard(kind="vllm", model=str(checkpoint), options=options))


def test_extra_fields_of_the_card_go_into_every_request():
    async def asked(server):
        options = {"extra_body": {"top_k": 5}, "stream": False}
        model = load_model("m", ModelCard(kind="vllm", model="a", base_url=server.url, options=options))
        await model.complete(ask("x"))
        await model.close()

    with StubServer(StubBehaviour(models=("a",))) as server:
        asyncio.run(asked(server))
    assert server.requests[-1]["top_k"] == 5
    assert not server.requests[-1].get("stream")
