"""How the sweep of a threshold is printed for people, and the lines that every sweep ends in."""

from __future__ import annotations

from typing import Any

from workbench.cli.output import print_table


def print_sweep(document: dict[str, Any]) -> None:
    """Baselines, policies at their thresholds, the chosen one with its optimism, and the verdict."""
    split, baselines = document["split"], document["baselines"]
    size = f"report split, {split['report']} of {document['n_prompts']} prompts"
    lines: list[list[Any]] = [[name, *_score(line), line["cost_usd_per_1k"]] for name, line in baselines.items()]
    print_table(f"Baselines ({size})", ["", "score", "95 %", "USD per 1k"], lines)
    rows, columns = _policy_rows(document), ["", "score", "95 %", "USD per 1k", "% saved", "AIQ", "APGR"]
    if all(row[-1] is None for row in rows):
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    print_table(
        "Policies at their chosen thresholds (the same prompts; saved against the best single model)", columns, rows
    )
    _print_chosen(document)
    _print_notes(document)
    print_answer(document)


def _policy_rows(document: dict[str, Any]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for name, policy in document["policies"].items():
        at = policy["picked"]
        marked = f"→ {name}" if name == document["chosen"]["policy"] else name
        rows.append(
            [marked, *_score(at), at["cost_usd_per_1k"], _saving(at["cost_saving"]), policy["aiq"], policy["apgr"]]
        )
    return rows


def _saving(saving: dict[str, Any] | None) -> str | None:
    if saving is None:
        return None
    low, high = saving["ci"]
    return f"{100 * saving['share']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _print_chosen(document: dict[str, Any]) -> None:
    chosen = document["chosen"]
    mix = ", ".join(f"{name} {100 * share:.0f} %" for name, share in chosen["shares"].items())
    print(f"Chosen: {chosen['policy']} at {chosen['threshold']:.6g} ({document['threshold_unit']}); it sends {mix}.")
    print(f"Optimism: {chosen['optimism']:+.4f} score (choose split minus report split).")
    if chosen["over_singles"] is not None:
        gain, (low, high) = chosen["over_singles"], chosen["over_singles_ci"]
        print(f"Above the best mix of single models at its cost: {gain:+.4f} score [{low:+.4f}, {high:+.4f}].")
    if document["power"] is not None:
        _print_power(document["power"])


def _print_power(power: dict[str, Any]) -> None:
    if power["report"] is None:
        print(f"Power: {power['because']}.")
        return
    print(
        f"Power: {power['total']} prompts in all ({power['report']} in the report split) would settle it with 80 % probability, "
        f"if what was measured is true: {power['because']}."
    )


def _print_notes(document: dict[str, Any]) -> None:
    print_sources(document)
    for name in ("utility", "aiq", "apgr"):
        print(f"{name} = {document['formulas'][name]}")
    errors = ", ".join(f"{name} {c['ece']:.3f}" for name, c in document["reliability"].items())
    chance = max(c["ece_by_chance"] for c in document["reliability"].values())
    print(f"Calibration error of predicted scores: {errors} (perfect ones would show up to {chance:.3f} by chance).")
    print(f"Rule: {document['selection_rule']}.")


def _score(line: dict[str, Any]) -> list[Any]:
    return [line["score"], interval(line["score_ci"])]


def interval(ends: list[float]) -> str:
    """Both ends to three digits."""
    return f"{ends[0]:.3g}–{ends[1]:.3g}"


def print_sources(document: dict[str, Any]) -> None:
    """Where the costs are from, and what is to be known of rows and baselines."""
    print(f"Costs: {document['cost_source']}.")
    for note in document["notes"]:
        print(f"Note: {note}.")
    for name, line in document["baselines"].items():
        if "note" in line:
            print(f"{name}: {line['note']}.")


def print_answer(document: dict[str, Any]) -> None:
    """The verdict in a line, and the run it was logged as."""
    answer = "ROUTE" if document["verdict"] == "route" else "DO NOT ROUTE"
    print(f"\n{answer}: {document['because']}")
    if document["run_id"]:
        print(f"MLflow run {document['run_id']}")
