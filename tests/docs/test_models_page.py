"""Every card of docs/models.md loads, and answers where a server can stand in for its own."""

import asyncio
import re
from pathlib import Path

import pytest
import yaml

from workbench.core import Request, Sampling
from workbench.models import Lab, ModelCard, load_model
from workbench.testing import StubBehaviour, StubServer, fake_vllm_environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
CARDS = {
    name: card
    for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name, card in yaml.safe_load(block)["models"].items()
}
ASK = Request.from_prompt("What is 2 + 3?", sampling=Sampling(max_tokens=8))


def answered(name: str, card: ModelCard):
    async def ask():
        model = load_model(name, card)
        try:
            return await model.complete(ASK)
        finally:
            await model.close()

    return asyncio.run(ask())


def test_the_page_has_a_card_for_each_kind_of_server():
    assert set(CARDS) == {"tiny", "served", "running", "ollama", "gguf", "openai", "claude", "replay"}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_of_the_page_is_a_card(name):
    assert Lab.model_validate({"models": {name: CARDS[name]}}).card(name).kind == CARDS[name]["kind"]


def test_the_card_of_a_checkpoint_answers():
    assert answered("tiny", ModelCard(**CARDS["tiny"])).text


def test_the_card_of_a_managed_server_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_VLLM", str(fake_vllm_environment(tmp_path / "env")))
    assert answered("served", ModelCard(**CARDS["served"])).text == "WHAT IS 2 + 3?"


@pytest.mark.parametrize("name", ["running", "ollama", "gguf", "openai"])
def test_the_card_of_a_server_answers(name, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    card = ModelCard(**CARDS[name])
    key = "k" if card.api_key else None
    with StubServer(StubBehaviour(reply="five", models=(card.model,), key=key)) as server:
        answer = answered(name, card.model_copy(update={"base_url": server.url}))
        (body,) = server.requests
    assert answer.text == "five"
    if name == "openai":
        assert (body["max_completion_tokens"], "temperature" in body, "max_tokens" in body) == (8, False, False)
