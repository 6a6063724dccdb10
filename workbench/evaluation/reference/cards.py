"""Model cards: one machine-readable file per checkpoint, one page made from it, one list of the family."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from workbench.core.files import write_json, write_text
from workbench.core.hashing import sha256_file
from workbench.evaluation.reference.checkpoints import WEIGHTS_FILE
from workbench.evaluation.reference.pages import card_page
from workbench.evaluation.reference.stream import data_sha256
from workbench.evaluation.reference.training import mixture_of

if TYPE_CHECKING:
    from workbench.evaluation.reference.training import Trainer


def forward_flops_per_token(parameters: int) -> int:
    """Two per weight. The tied embedding counts once, as the output head; attention over the context is left out."""
    return 2 * parameters


def complete_card(folder: Path, measured: dict[str, Any], name: str, exam_seconds: float) -> dict[str, Any]:
    """Add what the report measured to a training card, and make the folder's page from it.

    Raises:
        ValueError: the weights are not the ones the card was written for.
    """
    card: dict[str, Any] = json.loads((folder / "card.json").read_text())
    found = sha256_file(folder / WEIGHTS_FILE)
    if found != card["weights_sha256"]:
        raise ValueError(f"{folder / WEIGHTS_FILE} has sha256 {found}, its card says {card['weights_sha256']}: retrain")
    card |= {
        "accuracy": measured["accuracy"][name],
        "exam": {"n": measured["n"], "seed": measured["seed"], "seconds": round(exam_seconds, 1)},
        "measured": measured["circumstances"],
    }
    write_json(folder / "card.json", card)
    write_text(folder / "README.md", card_page(card))
    return card


def write_family(root: Path, cards: list[dict[str, Any]]) -> None:
    """`family.json`: who belongs to the family, how large each is, and the hash of its weights."""
    kept = ("name", "parameters", "non_embedding_parameters", "forward_flops_per_token", "domains", "weights_sha256")
    models = [{key: card[key] for key in kept} | {"folder": card["name"]} for card in cards]
    write_json(root / "family.json", {"schema_version": 1, "models": models})


def ancestors(parent: Path) -> list[dict[str, Any]]:
    """Name, weights hash and training of a parent and of its own ancestors, nearest first."""
    card = json.loads((parent / "card.json").read_text())
    return [{key: card[key] for key in ("name", "weights_sha256", "training")}, *card["ancestors"]]


def write_training_card(trainer: Trainer, folder: Path, weights_sha256: str, parent: Path | None) -> None:
    """`card.json` as far as training knows it; the report adds the accuracies.

    Args:
        trainer: a finished one.
        folder: of the checkpoint.
        weights_sha256: of the weights file in it.
        parent: folder of the checkpoint it started from, if any; what that one cost is part of the card.
    """
    recipe, done = trainer.recipe, trainer.progress
    parameters = sum(p.numel() for p in trainer.model.parameters())
    embedding = trainer.model.get_input_embeddings().weight.numel()
    card: dict[str, Any] = {
        "name": recipe.name,
        "parameters": parameters,
        "non_embedding_parameters": parameters - embedding,
        "forward_flops_per_token": forward_flops_per_token(parameters),
        "domains": list(recipe.domains),
        "ancestors": ancestors(parent) if parent else [],
        "weights_sha256": weights_sha256,
        "training": {
            "recipe": asdict(recipe),
            "steps": done.step,
            "tokens": done.n_tokens,
            "final_loss": done.loss,
            "wall_s": round(done.seconds, 1),
            "cpu_s": round(done.cpu_seconds, 1),
            "threads": torch.get_num_threads(),
            "device": trainer.device,
            "torch": torch.__version__,
            "machine": platform.processor() or platform.machine(),
            "data_sha256": data_sha256(trainer.tokenizer, mixture_of(recipe), recipe.seed),
            "curve": [asdict(point) for point in done.curve],
        },
    }
    write_json(folder / "card.json", card)
