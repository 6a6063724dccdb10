"""Markdown made from cards and measurements; no number in it is typed by hand."""

from __future__ import annotations

from typing import Any

from workbench.evaluation.reference.suite import TASKS

WHAT_IT_IS_NOT = (
    "This is a synthetic-task model. It was trained from scratch on a generated suite and knows nothing else: it is no "
    "chat model, and its accuracies say nothing about the quality of real language models. It exists so that routing, "
    "cascades, ensembles and planning have something real to decide without a network, a key or a GPU."
)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join([_row(*header), _row(*("---" for _ in header)), *(_row(*row) for row in rows)])


def _with_interval(cell: dict[str, float]) -> str:
    return f"{_percent(cell['accuracy'])} ({_percent(cell['low'])}-{_percent(cell['high'])})"


def card_page(card: dict[str, Any]) -> str:
    """The README of one checkpoint."""
    training, accuracy = card["training"], card["accuracy"]
    rows = [
        [task, TASKS[task].domain, str(cell["n"]), _percent(cell["chance"])]
        + [_with_interval(accuracy[part][task]) for part in ("seen", "held_out")]
        for task, cell in accuracy["seen"].items()
    ]
    recipe = training["recipe"]
    return f"""# Reference model `{card["name"]}`

{WHAT_IT_IS_NOT}

| fact | value |
| --- | --- |
| architecture | LlamaForCausalLM, {recipe["layers"]} layers of width {recipe["width"]}, head width 32, tied embeddings |
| parameters | {card["parameters"]:,} ({card["non_embedding_parameters"]:,} without embeddings) |
| forward FLOPs per token | {card["forward_flops_per_token"]:,} (two per weight, attention over the context left out) |
| trained on | {", ".join(card["domains"])} tasks |
| training | {training["steps"]:,} steps, {training["tokens"]:,} tokens, {training["threads"]} thread on {training["device"]} |
| started from | {", ".join(a["name"] for a in card["ancestors"]) or "fresh weights"} |
| tokens with ancestors | {_total(card, "tokens"):,.0f} |
| training time | {training["wall_s"]:,.0f} s wall, {training["cpu_s"]:,.0f} s CPU |
| final loss | {training["final_loss"]:.4f} nats per answer token |
| weights sha256 | `{card["weights_sha256"]}` |
| data sha256 (first chunk) | `{training["data_sha256"]}` |

Weights are stored in bf16; load them in fp32 (`dtype=torch.float32`), or answers depend on the batch. Answers begin
with a space: strip them.

## Exact match on the test split, percent, with Wilson 95 % intervals

Measured {card["measured"]["date"]} on {card["measured"]["cpu"]}, greedy, one try a prompt. Held-out wordings are
sentences that were never trained. Chance is what a guess in the right form reaches.

{_table(["kind", "domain", "n", "chance", "seen wordings", "held-out wordings"], rows)}

Retrain: `python -m workbench.evaluation.reference.train --models {card["name"]}`. The curve is in `card.json`.
"""


def _accuracy_table(measured: dict[str, Any], part: str) -> str:
    models = list(measured["accuracy"])
    tasks = measured["accuracy"][models[0]][part]
    rows = [
        [task, TASKS[task].domain, _percent(tasks[task]["chance"])]
        + [_percent(measured["accuracy"][m][part][task]["accuracy"]) for m in models]
        for task in tasks
    ]
    mean_key = "mean" if part == "seen" else "mean_held_out"
    means = [f"{100 * measured['accuracy'][m][mean_key]:.1f}" for m in models]
    return _table(["kind", "domain", "chance", *models], [*rows, ["**mean**", "", "", *means]])


def _forms_table(measured: dict[str, Any]) -> str:
    models = list(measured["accuracy"])
    forms = measured["accuracy"][models[0]]["forms"]
    rows = [[form, *(_percent(measured["accuracy"][m]["forms"][form]) for m in models)] for form in forms]
    return _table(["domain/form", *models], rows)


def _total(card: dict[str, Any], key: str) -> float:
    """A training figure of a model and of all it descends from."""
    total: float = card["training"][key] + sum(ancestor["training"][key] for ancestor in card["ancestors"])
    return total


def _training_table(cards: list[dict[str, Any]]) -> str:
    rows = []
    for card in cards:
        training, recipe = card["training"], card["training"]["recipe"]
        shape = f"{recipe['layers']} x {recipe['width']}"
        rows.append(
            [
                *(card["name"], shape, f"{card['parameters']:,}", f"{card['forward_flops_per_token'] / 1e6:.2f}"),
                *(", ".join(a["name"] for a in card["ancestors"]) or "-", f"{training['steps']:,}"),
                *(f"{training['tokens'] / 1e6:.1f}", f"{_total(card, 'tokens') / 1e6:.1f}"),
                *(f"{training['wall_s']:,.0f}", f"{training['cpu_s']:,.0f}", f"{training['final_loss']:.3f}"),
            ]
        )
    header = ["model", "layers x width", "parameters", "forward MFLOP/token", "started from", "steps"]
    return _table([*header, "M tokens", "with ancestors", "wall s", "CPU s", "final loss"], rows)


def family_page(measured: dict[str, Any], cards: list[dict[str, Any]]) -> str:
    """The report on the whole family."""
    where, oracle = measured["circumstances"], measured["oracle"]
    best = max(measured["accuracy"], key=lambda name: measured["accuracy"][name]["mean"])
    targets = [
        [t["claim"], t["measured"], "reached" if t["is_reached"] else "**not reached**"] for t in measured["targets"]
    ]
    return f"""# The reference family, measured

{WHAT_IT_IS_NOT}

Measured {where["date"]} with torch {where["torch"]} and transformers {where["transformers"]} on {where["cpu"]}
({where["logical_cpus"]} logical CPUs, {where["threads"]} thread), fp32, greedy, test split, exact match, exam seed {measured["seed"]},
{measured["n"]["seen"]:,} prompts on seen wordings and {measured["n"]["held_out"]:,} on held-out ones. One training seed a model.
Made by `python -m workbench.evaluation.reference.report`.

## Targets

{_table(["target", "measured (percent)", "verdict"], targets)}

## Training

{_training_table(cards)}

## Seen wordings, percent

{_accuracy_table(measured, "seen")}

## Held-out wordings, percent

{_accuracy_table(measured, "held_out")}

## Conversation forms, percent (last answer)

`system`: a system prompt that changes nothing; `as_json`: one that asks for JSON; `examples`: worked examples as earlier
turns; `inline`: inside one message; `same_facts`: several questions over facts stated once; `mixed`: turns of different kinds.

{_forms_table(measured)}

## Oracles

| policy | exact match, percent |
| --- | --- |
| best single model ({best}) | {100 * measured["accuracy"][best]["mean"]:.1f} |
| oracle on expected scores, seen wordings | {100 * oracle["expected"]:.1f} |
| oracle on expected scores, held-out wordings | {100 * oracle["expected_held_out"]:.1f} |
| oracle per prompt, luck included | {100 * oracle["lucky"]:.1f} |

The oracle on expected scores is cross-fitted. Prompts are put into cells of one kind and one difficulty, each cell is
halved by canonical instance, and the model that is best on one half answers the other half, both ways round:

    oracle = 1/N * sum over cells c, halves h of  hits(argmax_m hits(m, c, other half), c, h)

No prompt helps to choose its own model, so a lucky guess on a yes/no question cannot raise it, as it does raise the
last row.
"""
