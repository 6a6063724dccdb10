"""How the sweep of a space is printed for people."""

from __future__ import annotations

from typing import Any

from workbench.cli.output import print_table
from workbench.cli.sweep_table import interval, print_answer, print_sources

MOST_LINES = 12


def print_space(document: dict[str, Any]) -> None:
    """Baselines, the front, the chosen configuration with its optimism, and the verdict."""
    split = document["split"]
    lines = [
        [name, line["score"], interval(line["score_ci"]), line["cost_usd_per_1k"]]
        for name, line in document["baselines"].items()
    ]
    chosen = document["chosen"]
    lines.append([f"→ {chosen['policy']}", chosen["score"], interval(chosen["score_ci"]), chosen["cost_usd_per_1k"]])
    print_table(
        f"Report split, {split['report']} of {document['n_prompts']} prompts",
        ["", "score", "95 %", "USD per 1k"],
        lines,
    )
    _print_front(document)
    _print_chosen(document)
    print_sources(document)
    kind = "capability" if document["objective"] == "capability" else "utility"
    print(f"{kind} = {document['formulas'][kind]}")
    print(f"Rule: {document['selection_rule']}.")
    print_answer(document)


def _print_front(document: dict[str, Any]) -> None:
    front = document["front"]
    step = max(1, -(-len(front) // MOST_LINES))
    shown = [line for k, line in enumerate(front) if k % step == 0 or k == len(front) - 1 or line["is_chosen"]]
    has_latency = any(line["choose"]["latency_s"] is not None for line in shown)
    columns = ["", "objective", "tune score", "choose score", "USD per 1k", *(["seconds"] if has_latency else [])]
    rows = []
    for line in shown:
        found = line["choose"]
        seconds = [found["latency_s"]] if has_latency else []
        name = "→ " if line["is_chosen"] else ""
        parts = [line["predictor"], *([] if line["calibration"] == "none" else [line["calibration"]])]
        rows.append(
            [
                name + ", ".join(parts),
                _objective(line["objective"]),
                line["tune"]["score"],
                found["score"],
                found["cost_usd_per_1k"],
                *seconds,
            ]
        )
    title = f"Finalists on the choose split, {len(shown)} of {len(front)} by cost"
    print_table(title, columns, rows)


def _objective(objective: dict[str, Any]) -> str:
    names = {"exchange": "λ", "per_second": "μ", "cost_limit_usd": "USD ≤", "slo_s": "s ≤"}
    values = {**objective, **{f"{task} ≥": floor for task, floor in objective.get("floors", {}).items()}}
    shown = [f"{names.get(name, name)} {value:.4g}" for name, value in values.items() if isinstance(value, int | float)]
    return " ".join([objective["kind"], *shown])


def _samplers(search: dict[str, Any] | None) -> str:
    if search is None:
        return ""
    return f" by {' and '.join(f'{name} ({n})' for name, n in search['trials_by'].items())}"


def _print_chosen(document: dict[str, Any]) -> None:
    chosen, looked, plain = document["chosen"], document["looked_at"], document["over_plain"]
    mix = ", ".join(f"{name} {100 * share:.0f} %" for name, share in chosen["shares"].items())
    print(f"Chosen: {chosen['policy']}; it sends {mix}.")
    print(
        f"Looked at: {looked['in_all']} configurations ({looked['swept']} of an exact sweep, {looked['listed']} listed, "
        f"{looked['searched']} in {looked['trials']} trials of the search{_samplers(document['search'])}); {looked['finalists']} finalists."
    )
    print(
        f"Optimism: {chosen['optimism_tune']:+.4f} score from tune to choose, {chosen['optimism']:+.4f} from choose to report split."
    )
    low, high = plain["score_difference_ci"]
    least, most = plain["cost_difference_ci"]
    print(
        f"Against the plain sweep of λ: score {plain['score_difference']:+.4f} [{low:+.4f}, {high:+.4f}], "
        f"{plain['cost_difference_usd_per_1k']:+.4g} USD per 1k [{least:+.4g}, {most:+.4g}]."
    )
