import asyncio
import threading

import pytest

from workbench.core import BadResponse, Completion, ContextOverflow, Message, Request, Sampling, Unavailable
from workbench.models import ModelCard, load_model
from workbench.testing import FakeClock, save_tiny_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def load(folder, clock=None, **card):
    return load_model("m", ModelCard(kind="transformers", model=str(folder), **card), clock)


def ask(prompt="hello", **sampling):
    return Request.from_prompt(prompt, sampling=Sampling(**{"max_tokens": 8, **sampling}))


async def test_tokens_compute_and_memory_are_counted(folder):
    answer = await load(folder, flop_per_token=10.0).complete(ask())
    assert answer.usage.prompt_tokens == len("<bos>[user]hello\n[answer]") - len("bos>")
    assert answer.usage.completion_tokens == 8
    assert answer.finish_reason == "length"
    assert answer.compute_flop == 10.0 * answer.usage.total_tokens
    assert 0.05 < answer.memory_gib < 64


async def test_prompt_and_answer_must_fit_the_window_together(folder):
    model = load(folder, context_window=40)
    assert (await model.complete(ask(max_tokens=40 - model.count_prompt_tokens(ask())))).text
    with pytest.raises(
        ContextOverflow, match=r"the prompt has 21 tokens and its answer may have 20, .* holds 40"
    ) as caught:
        await model.complete(ask(max_tokens=20))
    assert (caught.value.prompt_tokens, caught.value.answer_tokens, caught.value.context_window) == (21, 20, 40)


async def test_a_giant_prompt_is_refused_before_it_is_tokenised(folder, monkeypatch):
    model = load(folder)
    monkeypatch.setattr(model, "_encode", lambda texts: [[0]] * len(texts) if not texts else pytest.fail("tokenised"))
    with pytest.raises(ContextOverflow):
        await model.complete(ask("x" * 20_000_000))


async def test_the_cards_wish_for_logprobs_holds_for_every_request(folder):
    answer = await load(folder, logprobs=True).complete(ask())
    assert answer.logprob is not None
    assert answer.logprob < 0


async def test_requests_drawn_differently_share_a_call(folder):
    model = load(folder, batch_size=4)
    requests = [ask(), ask(max_tokens=3), ask(temperature=1.0, seed=1), ask(stop=("zz",)), ask(logprobs=True)]
    together = await model.complete_batch(requests)
    alone = [await model.complete(request) for request in requests]
    assert [a.text for a in together if isinstance(a, Completion)] == [a.text for a in alone]
    assert [a.logprob is None for a in together if isinstance(a, Completion)] == [True] * 4 + [False]


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.2, "seed": 5, "max_tokens": 60}])
async def test_a_stream_of_half_characters_is_exactly_the_answer(folder, sampling):
    model = load(folder)
    deltas = [delta async for delta in model.stream(ask(**sampling))]
    whole = await model.complete(ask(**sampling))
    assert "".join(delta.text for delta in deltas) == deltas[-1].completion.text == whole.text
    assert deltas[-1].completion.usage == whole.usage


async def test_a_stream_with_a_stop_text_is_exactly_the_answer(folder):
    model = load(folder)
    free = (await model.complete(ask(max_tokens=30))).text
    stop = free[6:9]
    request = ask(max_tokens=30, stop=(stop,))
    whole = await model.complete(request)
    deltas = [delta async for delta in model.stream(request)]
    assert whole.text == free[: free.index(stop)]
    assert whole.finish_reason == "stop"
    assert "".join(delta.text for delta in deltas) == whole.text


async def test_a_deadline_that_passes_ends_the_answer(folder):
    class Hurrying(FakeClock):
        def monotonic_s(self) -> float:
            self.advance(0.5)
            return super().monotonic_s()

    request = Request.from_prompt("hello", sampling=Sampling(max_tokens=200), deadline_s=3.0)
    with pytest.raises(Unavailable, match=r"the deadline passed after \d tokens"):
        await load(folder, Hurrying()).complete(request)


async def test_a_cancelled_answer_stops_generating(folder, soon):
    """Generation is held at its third token until the caller is gone, and goes on for no more than one."""
    n_asked, caller_is_gone = 0, threading.Event()

    class Holding(FakeClock):
        def monotonic_s(self) -> float:
            nonlocal n_asked
            if threading.current_thread() is not threading.main_thread():
                n_asked += 1
                if n_asked == 3:
                    assert caller_is_gone.wait(300)
            return super().monotonic_s()

    model = load(folder, Holding())
    task = asyncio.create_task(model.complete(ask(max_tokens=400)))
    await soon(lambda: n_asked == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    caller_is_gone.set()
    assert (await model.complete(ask(max_tokens=1))).text
    assert n_asked < 10, "looks at the clock, one a token, of both requests"


async def test_messages_that_the_template_refuses_are_a_bad_response(folder):
    model = load(folder, options={"chat_template": "{{ raise_exception('roles must alternate') }}"})
    with pytest.raises(BadResponse, match="its chat template refuses the messages: roles must alternate"):
        await model.complete(ask())


async def test_earlier_turns_are_part_of_the_prompt(folder):
    model = load(folder)
    turns = (Message("system", "be brief"), Message("user", "hello"))
    assert model.count_prompt_tokens(Request(messages=turns)) > model.count_prompt_tokens(ask())


async def test_a_closed_model_says_so(folder):
    model = load(folder)
    await model.close()
    with pytest.raises(Unavailable, match="model 'm': it was closed"):
        await model.complete(ask())
