"""What the family must show for routing to be worth studying on it, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.evaluation.reference.evaluating import Exam, ExamResult
from workbench.evaluation.reference.items import Domain
from workbench.evaluation.reference.recipes import FAMILY
from workbench.evaluation.reference.scores import Accuracy, above_chance, accuracy_by_task, expected_oracle, mean
from workbench.evaluation.reference.suite import TASKS

EASY_TASKS = ("email", "order_code", "sentiment", "topic", "plan")
"""The kinds whose every instance has difficulty 1: the smallest model is meant to do as well as the largest."""

ABLE_ABOVE_CHANCE = 0.3
"""A model can do a kind when its accuracy, guesses taken out, is at least this."""


@dataclass(frozen=True, slots=True)
class Target:
    """One claim about the family: what was asked, what was measured, and whether it holds."""

    claim: str
    measured: str
    is_reached: bool


ByTask = Mapping[str, Accuracy]


def judge_targets(exam: Exam, results: Mapping[str, ExamResult]) -> list[Target]:
    """Every target for a complete family; an empty list while models are missing."""
    if set(results) != set(FAMILY):
        return []
    seen = {name: accuracy_by_task(exam.seen, result.seen) for name, result in results.items()}
    held_out = {name: accuracy_by_task(exam.held_out, result.held_out) for name, result in results.items()}
    return [
        _wordings_target(seen, held_out),
        _lookup_target(seen),
        _easy_target(seen),
        _specialist_target("math", seen),
        _specialist_target("text", seen),
        _oracle_target(exam, results),
    ]


def wording_gaps(seen: Mapping[str, ByTask], held_out: Mapping[str, ByTask]) -> list[tuple[float, str, str]]:
    """(seen minus held-out, model, kind) for every kind a model can do, widest gap first."""
    gaps = [
        (row.accuracy - held_out[name][task].accuracy, name, task)
        for name, rows in seen.items()
        for task, row in rows.items()
        if above_chance(row.accuracy, row.chance) >= ABLE_ABOVE_CHANCE
    ]
    return sorted(gaps, reverse=True)


def _wordings_target(seen: Mapping[str, ByTask], held_out: Mapping[str, ByTask]) -> Target:
    gaps = wording_gaps(seen, held_out)
    wide = [f"{name}/{task} {100 * gap:.0f}" for gap, name, task in gaps if gap > 0.10]
    shown = f"{len(gaps) - len(wide)} of {len(gaps)} cells within 10 points; wider: {', '.join(wide) or 'none'}"
    return Target("held-out wordings within 10 points on every kind a model can do", shown, not wide)


def _lookup_target(seen: Mapping[str, ByTask]) -> Target:
    rows = {name: seen[name]["lookup"] for name in ("small", "base", "text")}
    shown = ", ".join(f"{name} {100 * r.accuracy:.0f} (chance {100 * r.chance:.0f})" for name, r in rows.items())
    is_reached = max(rows["base"].low, rows["small"].low) > rows["base"].chance + 0.1
    return Target("look-up well above chance in the larger models", shown, is_reached)


def _easy_target(seen: Mapping[str, ByTask]) -> Target:
    gaps = {task: seen["base"][task].accuracy - seen["tiny"][task].accuracy for task in EASY_TASKS}
    shown = ", ".join(f"{task} {100 * gap:+.0f}" for task, gap in gaps.items())
    return Target("tiny within 3 points of the largest on easy kinds (base - tiny)", shown, max(gaps.values()) <= 0.03)


def domain_mean(rows: ByTask, domain: Domain) -> float:
    """Mean accuracy over the kinds of a domain."""
    return mean(row.accuracy for task, row in rows.items() if TASKS[task].domain == domain)


def _specialist_target(domain: Domain, seen: Mapping[str, ByTask]) -> Target:
    means = {name: domain_mean(rows, domain) for name, rows in seen.items()}
    shown = ", ".join(f"{name} {100 * value:.1f}" for name, value in means.items())
    is_reached = all(means[domain] > value for name, value in means.items() if name != domain)
    return Target(f"the {domain} specialist above every generalist in its domain", shown, is_reached)


def _oracle_target(exam: Exam, results: Mapping[str, ExamResult]) -> Target:
    hits: dict[str, Sequence[bool]] = {name: result.seen for name, result in results.items()}
    best = max(mean(map(float, column)) for column in hits.values())
    oracle = expected_oracle(exam.seen, hits)
    shown = f"{100 * oracle:.1f} against {100 * best:.1f}: {100 * (oracle - best):+.1f}"
    return Target(
        "oracle on expected scores at least 8 points above the best single model", shown, oracle >= best + 0.08
    )
