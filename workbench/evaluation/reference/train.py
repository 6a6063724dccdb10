"""Train the reference family: `python -m workbench.evaluation.reference.train`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; see `--help`."""
    from workbench.evaluation.reference.recipes import FAMILY

    parser = argparse.ArgumentParser(description="Train the reference family from scratch.")
    parser.add_argument("--models", default=",".join(FAMILY), help="comma-separated names (default: all)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, default=Path("data/reference"), help="where checkpoints are written")
    parser.add_argument("--work", type=Path, default=Path("runs/reference-training"), help="resumable states")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="multiplies every recipe's steps")
    parser.add_argument("--threads", type=int, default=1, help="1 is bit-reproducible")
    return parser.parse_args(arguments)


def folder_of(name: str, options: argparse.Namespace) -> Path:
    """Where a checkpoint is written: drafts stay in the working folder."""
    from workbench.evaluation.reference.recipes import FAMILY

    folder: Path = (options.out if name in FAMILY else options.work) / name
    return folder


def main(arguments: list[str] | None = None) -> None:
    """Train, save and describe each model in turn; a run that was stopped goes on where its last state was saved."""
    options = parse_arguments(arguments)
    import torch

    from workbench.evaluation.reference.answering import load
    from workbench.evaluation.reference.cards import write_training_card
    from workbench.evaluation.reference.checkpoints import save_checkpoint
    from workbench.evaluation.reference.recipes import in_training_order
    from workbench.evaluation.reference.tokenizer import train_tokenizer
    from workbench.evaluation.reference.training import Trainer

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    tokenizer = train_tokenizer()
    for recipe in in_training_order(options.models.split(",")):
        parent = folder_of(recipe.parent, options) if recipe.parent else None
        weights = load(parent)[0] if parent else None
        trainer = Trainer(recipe, tokenizer, options.device, options.steps_scale, weights)
        state = options.work / f"{recipe.name}.pt"
        trainer.load_state(state)
        trainer.run(state)
        trainer.save_state(state)
        folder = folder_of(recipe.name, options)
        write_training_card(trainer, folder, save_checkpoint(trainer.model, tokenizer, folder), parent)


if __name__ == "__main__":
    main()
