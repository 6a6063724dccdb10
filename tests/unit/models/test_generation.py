import math

import pytest
import torch

from workbench.core import Sampling, SystemClock
from workbench.models import ModelCard
from workbench.models.checkpoint import open_checkpoint
from workbench.models.generation import RowSampler, Watch, decode, generate_rows
from workbench.testing import save_tiny_checkpoint

TEXTS = ("a", "a longer prompt", "the longest of the prompts, by far")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))
    return open_checkpoint("m", ModelCard(kind="transformers", model=str(folder)))


def rows_of(checkpoint, texts, samplings):
    prompts = checkpoint.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return generate_rows(checkpoint, prompts, samplings, Watch(SystemClock()))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_is_the_same_alone_and_in_a_batch(checkpoint, temperature):
    samplings = [Sampling(max_tokens=16, temperature=temperature, seed=seed) for seed in range(3)]
    together = rows_of(checkpoint, TEXTS, samplings)
    alone = [rows_of(checkpoint, [text], [sampling])[0] for text, sampling in zip(TEXTS, samplings, strict=True)]
    assert [row.token_ids for row in together] == [row.token_ids for row in alone]


def test_the_logprob_is_that_of_reading_the_answer_back(checkpoint):
    samplings = [Sampling(max_tokens=8, logprobs=True)] * len(TEXTS)
    for text, row in zip(TEXTS, rows_of(checkpoint, TEXTS, samplings), strict=True):
        prompt = checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = checkpoint.model(torch.tensor([prompt + row.token_ids])).logits[0]
        logp = torch.log_softmax(logits, dim=-1)[len(prompt) - 1 : -1]
        expected = logp.gather(1, torch.tensor(row.token_ids)[:, None]).sum().item()
        assert row.logprob == pytest.approx(expected, abs=1e-3)


def test_a_logprob_that_nobody_asked_for_is_null(checkpoint):
    assert rows_of(checkpoint, ["a"], [Sampling(max_tokens=2)])[0].logprob is None


def test_an_end_token_ends_the_row_and_is_counted(checkpoint, monkeypatch):
    free = rows_of(checkpoint, TEXTS, [Sampling(max_tokens=10)] * 3)
    monkeypatch.setattr(type(checkpoint), "__setattr__", object.__setattr__)
    monkeypatch.setattr(checkpoint, "end_ids", (free[0].token_ids[3],))
    first = rows_of(checkpoint, TEXTS, [Sampling(max_tokens=10)] * 3)[0]
    ends = free[0].token_ids.index(free[0].token_ids[3]) + 1
    assert first.has_ended
    assert first.token_ids == free[0].token_ids[:ends]


def test_a_stop_text_ends_its_row_and_no_other(checkpoint):
    sampling = Sampling(max_tokens=12)
    free = rows_of(checkpoint, TEXTS, [sampling] * 3)
    texts = decode(checkpoint.tokenizer, [row.token_ids for row in free])
    stop = texts[0][3:5]
    stopped = rows_of(checkpoint, TEXTS, [Sampling(max_tokens=12, stop=(stop,))] * 3)
    for row, unstopped, text in zip(stopped, free, texts, strict=True):
        assert row.has_ended == (stop in text)
        assert unstopped.token_ids[: len(row.token_ids)] == row.token_ids
    assert len(stopped[0].token_ids) < 12


def test_a_stopped_watch_ends_the_batch_at_the_next_token(checkpoint):
    watch = Watch(SystemClock())
    watch.is_stopped = True
    prompts = checkpoint.tokenizer(["a"], add_special_tokens=False)["input_ids"]
    assert len(generate_rows(checkpoint, prompts, [Sampling(max_tokens=50)], watch)[0].token_ids) == 1


def draws(scores: list[float], n: int, **how: float) -> list[int]:
    sampler = RowSampler([Sampling(seed=seed, **how) for seed in range(n)], torch.device("cpu"))
    table = torch.tensor([scores] * n)
    return sampler(torch.zeros((n, 1), dtype=torch.long), table).argmax(dim=1).tolist()


def test_draws_follow_the_distribution_at_their_temperature():
    logits = [math.log(p) for p in (0.5, 0.3, 0.2)]
    drawn = draws(logits, 6000, temperature=0.5)
    sharp = [p**2 for p in (0.5, 0.3, 0.2)]
    for token, weight in enumerate(sharp):
        assert drawn.count(token) / 6000 == pytest.approx(weight / sum(sharp), abs=0.03)


def test_a_nucleus_keeps_the_smallest_set_that_holds_its_mass():
    logits = [math.log(p) for p in (0.5, 0.3, 0.2)]
    assert set(draws(logits, 500, temperature=1.0, top_p=0.6)) == {0, 1}
    assert set(draws(logits, 500, temperature=1.0, top_p=0.5)) == {0}
    assert set(draws(logits, 500, temperature=1.0, top_p=1e-6)) == {0}
