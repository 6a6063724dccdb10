"""vLLM's own Messages endpoint, asked through the Anthropic SDK, beside its chat endpoint."""

import asyncio

import pytest

from workbench.core import BadResponse, ContextOverflow, Message, Request, Sampling
from workbench.evaluation import Suite
from workbench.models import Model, ModelCard, load_model

pytestmark = pytest.mark.slow
GREEDY = Sampling(max_tokens=24)
REQUESTS = [Request(item.messages, GREEDY) for item in Suite.reference(n_per_task=1)]


def messages_model(server, **options) -> Model:
    card = ModelCard(kind="anthropic", model="base", base_url=server.url, retries=0, options=options)
    return load_model("messages", card)


def answers(model: Model, requests=REQUESTS) -> list:
    """One after the other: batches of another make-up may round another way."""

    async def ask() -> list:
        found = [await model.complete(request) for request in requests]
        await model.close()
        return found

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def by_messages(vllm_base):
    return answers(messages_model(vllm_base))


def test_the_messages_endpoint_says_what_the_chat_endpoint_says(vllm_base, by_messages):
    card = ModelCard(kind="openai-compatible", model="base", base_url=vllm_base.url, retries=0)
    by_chat = answers(load_model("chat", card))
    assert [answer.text for answer in by_messages] == [answer.text for answer in by_chat]
    assert [answer.finish_reason for answer in by_messages] == [answer.finish_reason for answer in by_chat]
    for answer, other in zip(by_messages, by_chat, strict=True):
        assert answer.usage.prompt_tokens == other.usage.prompt_tokens
        assert answer.usage.completion_tokens == other.usage.completion_tokens


def test_a_stream_says_what_a_whole_answer_says(vllm_base, by_messages):
    whole = answers(messages_model(vllm_base, stream=False))
    assert [answer.text for answer in whole] == [answer.text for answer in by_messages]
    counted = [(answer.usage.prompt_tokens, answer.usage.completion_tokens) for answer in by_messages]
    assert [(answer.usage.prompt_tokens, answer.usage.completion_tokens) for answer in whole] == counted
    assert all(answer.timing.ttft_s is None for answer in whole)
    assert all(0 < answer.timing.ttft_s <= answer.timing.latency_s for answer in by_messages if answer.text)


def test_an_answer_that_is_cut_says_so(vllm_base):
    (answer,) = answers(messages_model(vllm_base), [Request(REQUESTS[0].messages, Sampling(max_tokens=1))])
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 1)


def test_a_system_prompt_counts_as_prompt(vllm_base):
    (alone,) = answers(messages_model(vllm_base), [Request.from_prompt("What is 2 + 3?", sampling=GREEDY)])
    messages = (Message("system", "Answer in one word."), Message("user", "What is 2 + 3?"))
    (led,) = answers(messages_model(vllm_base), [Request(messages, GREEDY)])
    assert led.usage.prompt_tokens > alone.usage.prompt_tokens


@pytest.mark.parametrize("stream", [True, False])
def test_refusals_say_what_was_wrong(vllm_base, stream):
    too_long = Request.from_prompt("word " * 700, sampling=GREEDY)
    with pytest.raises(ContextOverflow, match="the context window holds 512"):
        answers(messages_model(vllm_base, stream=stream), [too_long])
    card = ModelCard(kind="anthropic", model="nobody", base_url=vllm_base.url, retries=0, options={"stream": stream})
    with pytest.raises(BadResponse, match="The model `nobody` does not exist"):
        answers(load_model("messages", card), REQUESTS[:1])
