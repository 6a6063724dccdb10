"""What every Model keeps, whichever backend answers. A new backend joins by adding itself to `KINDS`."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml

from workbench.core import BadResponse, Completion, ModelError, Request, Sampling
from workbench.models import Model, ModelCard, load_model
from workbench.testing import (
    ScriptedModel,
    StubAnthropicBehaviour,
    StubAnthropicServer,
    StubBehaviour,
    StubServer,
    save_tiny_checkpoint,
)

GOOD = ("alpha", "beta is second", "gamma comes third, and last")
BAD = "word " * 2000  # too long for those who have a window, unknown to those who remember, refused by script
SAMPLING = Sampling(max_tokens=12)
KINDS = (
    "transformers",
    "openai-compatible",
    "openai-compatible, whole",
    "anthropic",
    "anthropic, whole",
    "recorded",
    "scripted",
    "stack",
)


def reply_to(prompt: str) -> str:
    return f"You said:  {prompt}!"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def server() -> Iterator[StubServer]:
    behaviour = StubBehaviour(reply=lambda body: reply_to(body["messages"][-1]["content"]), context_window=100)
    with StubServer(behaviour) as running:
        yield running


@pytest.fixture(scope="module")
def messages_server() -> Iterator[StubAnthropicServer]:
    behaviour = StubAnthropicBehaviour(reply=lambda body: reply_to(body["messages"][-1]["content"]), context_window=100)
    with StubAnthropicServer(behaviour) as running:
        yield running


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outcomes")
    rows = [
        {"prompt_id": str(i), "model": "old", "answer": reply_to(text), "prompt_tokens": 3}
        for i, text in enumerate(GOOD)
    ]
    pl.DataFrame(rows).write_parquet(folder / "outcomes.parquet")
    pl.DataFrame({"prompt_id": ["0", "1", "2"], "prompt": list(GOOD)}).write_parquet(folder / "prompts.parquet")
    return folder


@pytest.fixture(scope="module")
def stack_file(server: StubServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    inner = {"kind": "openai-compatible", "model": "stub", "base_url": server.url, "retries": 0}
    policy = {"kind": "fixed", "model": "inner"}
    config = {"schema_version": 1, "name": "whole", "models": {"inner": inner}, "choose": {"policy": policy}}
    path = tmp_path_factory.mktemp("stack") / "stack.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[[], Model]:
    kind: str = request.param
    if kind == "scripted":
        return lambda: ScriptedModel("m", script)
    if kind == "transformers":
        card = ModelCard(kind=kind, model=str(request.getfixturevalue("checkpoint")), batch_size=2)
    elif kind == "stack":
        card = ModelCard(kind=kind, model=str(request.getfixturevalue("stack_file")))
    elif kind == "recorded":
        card = ModelCard(kind=kind, model=str(request.getfixturevalue("recording")))
    elif kind.startswith("anthropic"):
        url = request.getfixturevalue("messages_server").url
        options = {"stream": not kind.endswith("whole")}
        card = ModelCard(kind="anthropic", model="stub", base_url=url, retries=0, options=options)
    else:
        url = request.getfixturevalue("server").url
        options = {"stream": not kind.endswith("whole")}
        card = ModelCard(kind="openai-compatible", model="stub", base_url=url, retries=0, options=options)
    return lambda: load_model("m", card)


def script(request: Request) -> str | ModelError:
    return BadResponse("refused", model="m") if request.prompt == BAD else reply_to(request.prompt)


def ask(prompt: str) -> Request:
    return Request.from_prompt(prompt, sampling=SAMPLING)


async def test_it_is_a_model_by_protocol(make):
    model = make()
    assert isinstance(model, Model)
    await model.close()


async def test_an_answer_carries_the_models_name_and_its_time(make):
    model = make()
    answer = await model.complete(ask(GOOD[0]))
    assert answer.model == "m"
    assert answer.finish_reason in ("stop", "length")
    assert answer.text
    assert answer.timing.latency_s >= (answer.timing.ttft_s or 0.0) >= 0.0
    await model.close()


async def test_what_is_not_known_is_null(make):
    model = make()
    answer = await model.complete(ask(GOOD[0]))
    assert answer.usage.cached_tokens is None
    assert answer.cost_usd is None
    assert answer.usage.prompt_tokens != 0
    await model.close()


async def test_the_pieces_of_a_stream_are_the_text_of_its_completion(make):
    model = make()
    for prompt in GOOD:
        deltas = [delta async for delta in model.stream(ask(prompt))]
        last = deltas[-1].completion
        assert last is not None
        assert all(delta.completion is None for delta in deltas[:-1])
        assert "".join(delta.text for delta in deltas) == last.text
    await model.close()


async def test_a_stream_says_what_complete_says(make):
    model = make()
    for prompt in GOOD:
        whole = await model.complete(ask(prompt))
        streamed = [delta async for delta in model.stream(ask(prompt))][-1].completion
        assert streamed is not None
        assert (streamed.text, streamed.finish_reason) == (whole.text, whole.finish_reason)
    await model.close()


async def test_a_batch_answers_in_the_order_asked(make):
    model = make()
    alone = [(await model.complete(ask(prompt))).text for prompt in GOOD]
    together = await model.complete_batch([ask(prompt) for prompt in GOOD])
    assert [answer.text for answer in together if isinstance(answer, Completion)] == alone
    await model.close()


async def test_a_failure_in_a_batch_stands_in_its_place_and_disturbs_nobody(make):
    model = make()
    first, second, third = await model.complete_batch([ask(GOOD[0]), ask(BAD), ask(GOOD[2])])
    assert isinstance(first, Completion)
    assert isinstance(second, ModelError)
    assert isinstance(third, Completion)
    assert third.text == (await model.complete(ask(GOOD[2]))).text
    await model.close()


async def test_an_empty_batch_is_an_empty_list(make):
    model = make()
    assert await model.complete_batch([]) == []
    await model.close()


async def test_errors_are_model_errors_that_name_the_model(make):
    model = make()
    with pytest.raises(ModelError) as whole:
        await model.complete(ask(BAD))
    with pytest.raises(ModelError) as streamed:
        _ = [delta async for delta in model.stream(ask(BAD))]
    for error in (whole.value, streamed.value):
        assert error.model == "m"
        assert str(error).startswith("model 'm': ")
    await model.close()


async def test_prompt_tokens_are_counted_as_they_are_billed_or_not_at_all(make):
    model = make()
    counted = model.count_prompt_tokens(ask(GOOD[0]))
    assert counted in (None, (await model.complete(ask(GOOD[0]))).usage.prompt_tokens)
    await model.close()


async def test_requests_at_the_same_time_do_not_mix(make):
    model = make()
    alone = [(await model.complete(ask(prompt))).text for prompt in GOOD]
    together = await asyncio.gather(*(model.complete(ask(prompt)) for prompt in GOOD))
    assert [answer.text for answer in together] == alone
    await model.close()


async def test_a_cancelled_request_leaves_the_model_able_to_answer(make):
    model = make()
    task = asyncio.create_task(model.complete(ask(GOOD[0])))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await model.complete(ask(GOOD[1]))).text
    await model.close()


async def test_a_stream_that_nobody_reads_to_its_end_leaves_the_model_able_to_answer(make):
    model = make()
    stream = model.stream(ask(GOOD[0]))
    await anext(stream)
    await stream.aclose()
    assert (await model.complete(ask(GOOD[1]))).text
    await model.close()


async def test_closing_twice_is_safe(make):
    model = make()
    await model.complete(ask(GOOD[0]))
    await model.close()
    await model.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # connections of a loop that is gone
def test_a_model_outlives_the_event_loop_it_first_ran_in(make):
    model = make()
    first = asyncio.run(model.complete(ask(GOOD[0])))
    second = asyncio.run(model.complete(ask(GOOD[0])))
    assert first.text == second.text
    asyncio.run(model.close())
    gc.collect()
