"""Measure the shipped family and write it up: `python -m workbench.evaluation.reference.report`."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.core.environment import hardware
from workbench.core.files import write_json, write_text
from workbench.evaluation.reference.cards import complete_card, write_family
from workbench.evaluation.reference.evaluating import Exam, ExamResult, draw_exam, take_exam
from workbench.evaluation.reference.pages import family_page
from workbench.evaluation.reference.recipes import FAMILY
from workbench.evaluation.reference.scores import accuracy_by_task, expected_oracle, lucky_oracle, mean
from workbench.evaluation.reference.targets import judge_targets


def measure(exam: Exam, results: dict[str, ExamResult]) -> dict[str, Any]:
    """Tables, oracles and targets as one JSON-ready value; shares are 0..1."""
    seen = {name: result.seen for name, result in results.items()}
    held_out = {name: result.held_out for name, result in results.items()}
    return {
        "n": {"seen": len(exam.seen), "held_out": len(exam.held_out)},
        "accuracy": {
            name: {
                "seen": {task: asdict(a) for task, a in accuracy_by_task(exam.seen, result.seen).items()},
                "held_out": {task: asdict(a) for task, a in accuracy_by_task(exam.held_out, result.held_out).items()},
                "forms": {form: mean(map(float, hits)) for form, hits in result.forms.items()},
                "mean": mean(map(float, result.seen)),
                "mean_held_out": mean(map(float, result.held_out)),
            }
            for name, result in results.items()
        },
        "oracle": {
            "expected": expected_oracle(exam.seen, seen),
            "expected_held_out": expected_oracle(exam.held_out, held_out),
            "lucky": lucky_oracle(seen),
        },
        "targets": [asdict(target) for target in judge_targets(exam, results)],
    }


def circumstances() -> dict[str, str]:
    """Where and when the numbers were taken."""
    import torch
    import transformers

    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "cpu": hardware()["cpu"],
        "logical_cpus": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
    }


def main(arguments: list[str] | None = None) -> None:
    """Ask every checkpoint the exam; complete the cards and write the report."""
    parser = argparse.ArgumentParser(description="Measure the reference family on the test split.")
    parser.add_argument("--family", type=Path, default=Path("data/reference"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--n", type=int, default=100, help="prompts a kind, for seen and for held-out wordings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    exam = draw_exam(options.n, options.n, min(60, options.n), options.seed)
    names = [name for name in FAMILY if (options.family / name / "card.json").exists()]
    results = {name: take_exam(options.family / name, exam, options.device) for name in names}
    measured = measure(exam, results) | {"circumstances": circumstances(), "seed": options.seed}
    cards = [complete_card(options.family / name, measured, name, results[name].seconds) for name in names]
    write_family(options.family, cards)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "reference_family.json", measured)
    write_text(options.out / "reference_family.md", family_page(measured, cards))


if __name__ == "__main__":
    main()
