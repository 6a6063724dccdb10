from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.core.journal import read_journal
from workbench.models import ModelCard
from workbench.stack import Stack, StackConfig
from workbench.testing import FakeClock, ScriptedModel

PRICE = {"input_usd_per_1m": 1_000_000.0, "output_usd_per_1m": 2_000_000.0}  # one USD a word asked, two a word answered


class Lab:
    """A stack over scripted models `base`, `tiny` and `far`, under a fake clock, with its audit log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.replies = {"base": "the base answer", "tiny": "tiny answer", "far": "far answer"}
        self.latency_s = {"base": 1.0, "tiny": 0.5, "far": 3.0}
        self.cards = {
            name: {"kind": "scripted", "model": name, "region": region, "price": PRICE, "context_window": 200}
            for name, region in (("base", "local"), ("tiny", "local"), ("far", "eu"))
        }
        self.models: dict[str, ScriptedModel] = {}
        self.stacks: list[Stack] = []

    def stack(self, **sections: object) -> Stack:
        """A stack; sections replace those of the default configuration."""
        data = {
            "schema_version": 1,
            "name": "test",
            "models": self.cards,
            "choose": {"policy": {"kind": "fixed", "model": "base"}},
            "settle": {"audit": {"path": "audit.jsonl"}},
            **sections,
        }
        config = StackConfig.from_data(data, "stack.yaml")
        self.models = {name: self._model(name, card) for name, card in config.models.items()}
        stack = Stack.from_config(config, base_dir=self.folder, models=self.models, clock=self.clock)
        self.stacks.append(stack)
        return stack

    def _model(self, name: str, card: ModelCard) -> ScriptedModel:
        reply = self.replies[name]
        replies = reply if isinstance(reply, (Callable, list)) else lambda _: reply
        return ScriptedModel(name, replies, card=card, clock=self.clock, latency_s=self.latency_s[name], ttft_s=0.1)

    @property
    def asked(self) -> dict[str, int]:
        """Model → how often it was asked."""
        return {name: len(model.history) for name, model in self.models.items() if model.history}

    def records(self) -> list[dict]:
        """The audit log."""
        return list(read_journal(self.folder / "audit.jsonl"))

    def audit_text(self) -> str:
        return (self.folder / "audit.jsonl").read_text()


@pytest.fixture
async def lab(tmp_path):
    made = Lab(tmp_path)
    yield made
    for stack in made.stacks:
        await stack.close()
