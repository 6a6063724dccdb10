"""Measuring a checkpoint: every kind on seen and held-out wordings, and every conversation form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from workbench.evaluation.reference.answering import Messages, answer_all, load
from workbench.evaluation.reference.conversations import FORMS, Conversation, as_json, draw_form, mixture_for
from workbench.evaluation.reference.items import ReferenceItem
from workbench.evaluation.reference.suite import build_suite
from workbench.evaluation.reference.wordings import JSON_WORDINGS, SYSTEM_PROMPTS
from workbench.evaluation.statistics import wilson_interval


@dataclass(frozen=True, slots=True)
class Exam:
    """Everything a checkpoint is asked: items by wording choice, and conversations by form."""

    seen: tuple[ReferenceItem, ...]
    held_out: tuple[ReferenceItem, ...]
    forms: dict[str, tuple[Conversation, ...]]


@dataclass(frozen=True, slots=True)
class ExamResult:
    """Hits in the exam's order, and how long answering took (one process, wall seconds)."""

    seen: tuple[bool, ...]
    held_out: tuple[bool, ...]
    forms: dict[str, tuple[bool, ...]]
    seconds: float


def draw_exam(n_seen: int = 100, n_held_out: int = 100, n_forms: int = 60, seed: int = 1) -> Exam:
    """The exam of a seed, test split only."""
    return Exam(
        seen=tuple(build_suite("test", n_seen, seed, "seen")),
        held_out=tuple(build_suite("test", n_held_out, seed, "held_out")),
        forms=_draw_forms(n_forms, seed),
    )


def _draw_forms(n: int, seed: int) -> dict[str, tuple[Conversation, ...]]:
    """Conversations per form and domain, plus single questions under either sort of system prompt."""
    forms: dict[str, tuple[Conversation, ...]] = {}
    for domain in ("text", "math"):
        mixture = mixture_for((domain,))
        for form, _ in mixture.form_weights:
            if form in FORMS and form != "single":
                rng = Random(f"exam-{seed}-{domain}-{form}")
                drawn = (draw_form(form, mixture, rng, "test") for _ in range(n))
                forms[f"{domain}/{form}"] = tuple(drawn)
        items = build_suite("test", 5, seed + 1000)
        chosen = [item for item in items if item.domain == domain and item.task != "json"][:n]
        rng = Random(f"exam-{seed}-{domain}-system")
        forms[f"{domain}/system"] = tuple(
            Conversation(rng.choice(SYSTEM_PROMPTS), ((item.prompt, item.answer),)) for item in chosen
        )
        forms[f"{domain}/as_json"] = tuple(
            Conversation(rng.choice(JSON_WORDINGS), ((item.prompt, as_json(item.answer)),)) for item in chosen
        )
    return forms


def take_exam(folder: Path, exam: Exam, device: str = "cpu") -> ExamResult:
    """Ask a checkpoint everything, greedily; an answer is right when it is the reference answer exactly."""
    model, tokenizer = load(folder, device)

    def hits(asked: Sequence[Messages], answers: Sequence[str]) -> tuple[bool, ...]:
        given = answer_all(model, tokenizer, asked)
        return tuple(got == wanted for got, wanted in zip(given, answers, strict=True))

    def item_hits(items: Sequence[ReferenceItem]) -> tuple[bool, ...]:
        return hits([[{"role": "user", "content": i.prompt}] for i in items], [i.answer for i in items])

    start = time.monotonic()
    seen, held_out = item_hits(exam.seen), item_hits(exam.held_out)
    forms = {
        form: hits([c.messages(with_last_answer=False) for c in drawn], [c.turns[-1][1] for c in drawn])
        for form, drawn in exam.forms.items()
    }
    return ExamResult(seen, held_out, forms, time.monotonic() - start)


def share_with_interval(hits: Sequence[bool]) -> dict[str, float]:
    """n, accuracy and its Wilson 95 % interval, as plain numbers."""
    low, high = wilson_interval(sum(hits), len(hits))
    return {"n": len(hits), "accuracy": sum(hits) / len(hits), "low": low, "high": high}
