"""The page of `route_or_not.py`: a table for each part, from the JSON beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.evaluation.statistics import wilson_interval

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "route_or_not.json"
TABLE = ROOT / "docs" / "results" / "route_or_not.md"
TITLES = {
    "structures": "What chances may depend on",
    "worlds": "Worlds made to mislead",
    "few-prompts": "Few prompts",
    "settings": "Other settings of the sweep",
    "cascade": "The verdict of a cascade",
    "coverage": "Coverage of the intervals, by independent groups",
}


def as_markdown(document: dict[str, Any]) -> str:
    """The page."""
    parts = {name: document["parts"][name] for name in TITLES if name in document["parts"]}
    verdicts = [cell for name, part in parts.items() if name != "coverage" for cell in part["cells"]]
    lines = [
        "# How often routing is recommended where it does not pay",
        "",
        "Written by `python benchmarks/route_or_not.py --part …`; do not edit. Simulated matrices with known chances and costs; a",
        "recommendation is judged by the truth on 10,000 fresh requests and is wrong when its claim is false: not cheaper or worse by",
        f"the margin of {document['margin']:g}, not better, dearer, not above the mixes of single models, above the spending limit. The",
        "lower end of a deciding interval is a 97.5 % one, so that at most 2.5 % of all sweeps may be wrong. *Equalled*: a single model",
        "truly scores no less for no more money: right against the best single model it was compared with, and yet in vain.",
        "",
        *_summary(verdicts),
    ]
    for name, part in parts.items():
        lines += ["", f"## {TITLES[name]}", "", *(_coverage(part) if name == "coverage" else _verdicts(part)), ""]
        hardware = part["hardware"]
        lines.append(f"{part['date']}, commit {part['git_commit']}, {hardware['cpu']}, {hardware['cores']} cores.")
    return "\n".join([*lines, ""])


def _summary(cells: list[dict[str, Any]]) -> list[str]:
    sweeps, routed, wrong = (sum(cell[name] for cell in cells) for name in ("sweeps", "route", "wrong"))
    low, high = (100 * end for end in wilson_interval(wrong, sweeps))
    equalled = sum(cell["equalled"] for cell in cells)
    return [
        f"**{sweeps:,} sweeps, {routed:,} recommendations, {wrong} wrong: {100 * wrong / sweeps:.2f} % of sweeps (95 %: {low:.2f} to "
        f"{high:.2f}), {100 * wrong / max(routed, 1):.1f} % of recommendations; {equalled} equalled.**"
    ]


def _verdicts(part: dict[str, Any]) -> list[str]:
    lines = [
        "| world, setting | prompts | models | sweeps | says route | wrong | wrong, % of sweeps (95 %) | equalled | "
        "mean true gain | mean true saving |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for c in part["cells"]:
        low, high = (100 * end for end in c["ci"])
        gain = "" if c["mean_true_gain"] is None else f"{c['mean_true_gain']:+.4f}"
        saving = "" if c["mean_true_saving_share"] is None else f"{100 * c['mean_true_saving_share']:.1f} %"
        share = f"{100 * c['wrong'] / c['sweeps']:.1f} ({low:.1f} to {high:.1f})"
        sizes = [", ".join(map(str, c[name])) for name in ("prompts", "models")]
        counts = " | ".join(str(c[name]) for name in ("sweeps", "route", "wrong"))
        lines.append(
            f"| {c['world']}, {c['setting']} | {sizes[0]} | {sizes[1]} | {counts} | {share} | {c['equalled']} | {gain} | {saving} |"
        )
    return lines


def _coverage(part: dict[str, Any]) -> list[str]:
    lines = [
        "Share of samples whose 95 % interval lies wholly below the truth, and wholly above it (2.5 % each is what they claim).",
        "*Below* is the dangerous side for a cost: it claims a saving that is not there.",
        "",
        "| what | groups | samples | below, % | above, % |",
        "|---|---|---|---|---|",
    ]
    for c in part["cells"]:
        lines.append(
            f"| {c['world']} | {c['groups']} | {c['samples']} | {100 * c['below']:.1f} | {100 * c['above']:.1f} |"
        )
    return lines
