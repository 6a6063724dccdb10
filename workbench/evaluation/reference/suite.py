"""The reference suite: every kind, drawn, split and worded from a seed."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from workbench.evaluation.reference import fact_tasks, math_tasks, text_tasks
from workbench.evaluation.reference.items import Domain, Instance, ReferenceItem, Split, short_hash
from workbench.evaluation.reference.wordings import PREFIXES, SUFFIXES, WORDINGS, held_out_wordings, seen_wordings

WordingChoice = Literal["seen", "held_out", "both"]


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of task: how an instance is drawn, and its share of the training stream (1 is average)."""

    name: str
    domain: Domain
    draw: Callable[[Random], Instance]
    weight: float = 1.0


_ALL = (
    Task("reverse", "text", text_tasks.draw_reverse),
    Task("nth_letter", "text", text_tasks.draw_nth_letter),
    Task("count_letter", "text", text_tasks.draw_count_letter),
    Task("email", "text", text_tasks.draw_email, 0.6),
    Task("order_code", "text", text_tasks.draw_order_code, 0.6),
    Task("sentiment", "text", text_tasks.draw_sentiment, 0.5),
    Task("topic", "text", text_tasks.draw_topic, 0.5),
    Task("lookup", "text", fact_tasks.draw_lookup, 1.6),
    Task("hop2", "text", fact_tasks.draw_hop2, 1.6),
    Task("passages", "text", fact_tasks.draw_passages, 0.8),
    Task("fact_check", "text", fact_tasks.draw_fact_check),
    Task("weekday", "text", text_tasks.draw_weekday),
    Task("iso_date", "text", text_tasks.draw_iso_date, 0.6),
    Task("json", "text", text_tasks.draw_json, 0.7),
    Task("compare", "math", math_tasks.draw_compare, 0.8),
    Task("sort", "math", math_tasks.draw_sort),
    Task("add_short", "math", math_tasks.draw_add_short),
    Task("add_long", "math", math_tasks.draw_add_long, 1.5),
    Task("subtract", "math", math_tasks.draw_subtract),
    Task("multiply", "math", math_tasks.draw_multiply),
    Task("add_three", "math", math_tasks.draw_add_three),
    Task("sum_check", "math", math_tasks.draw_sum_check, 0.8),
    Task("story", "math", math_tasks.draw_story),
    Task("plan", "math", math_tasks.draw_plan, 0.6),
)
TASKS: dict[str, Task] = {task.name: task for task in _ALL}


def draw_instance(task: str, rng: Random, split: Split) -> Instance:
    """An instance of the kind that belongs to the split."""
    while True:
        instance = TASKS[task].draw(rng)
        if instance.split == split:
            return instance


def decorate(core: str, rng: Random) -> str:
    """Put an opening before and a closing after a worded prompt, each in a minority of cases."""
    prefix = f"{rng.choice(PREFIXES)} " if rng.random() < 0.2 else ""
    suffix = f" {rng.choice(SUFFIXES)}" if rng.random() < 0.15 else ""
    return f"{prefix}{core}{suffix}"


def wording_pool(task: str, wordings: WordingChoice) -> tuple[str, ...]:
    """The sentences to choose from."""
    if wordings == "both":
        return WORDINGS[task]
    return seen_wordings(task) if wordings == "seen" else held_out_wordings(task)


def word_instance(instance: Instance, wording: str, rng: Random, prompt_id: str) -> ReferenceItem:
    """The instance as one prompt."""
    task = instance.task
    index = WORDINGS[task].index(wording)
    return ReferenceItem(
        prompt_id=prompt_id,
        prompt=decorate(wording.format(**instance.slots), rng),
        answer=instance.answer,
        task=task,
        group=short_hash(instance.key),
        difficulty=instance.difficulty,
        domain=TASKS[task].domain,
        wording_id=f"{task}-{index:02d}",
        is_held_out=wording in held_out_wordings(task),
        chance=instance.chance,
        split=instance.split,
    )


def build_suite(
    split: Split = "test",
    n_per_task: int = 100,
    seed: int = 0,
    wordings: WordingChoice = "seen",
    tasks: tuple[str, ...] | None = None,
) -> list[ReferenceItem]:
    """The same items for the same arguments, on every machine.

    Args:
        split: which canonical instances; test instances are never trained in any form.
        n_per_task: items of each kind.
        seed: draws instances, wordings, openings and closings.
        wordings: trained sentences, sentences never trained, or both mixed.
        tasks: kinds to build, all by default.

    Returns:
        `n_per_task` items a kind, ordered by kind. Kinds with few instances repeat a `group`; prompts stay distinct
        unless the kind has run out of them.
    """
    items: list[ReferenceItem] = []
    for task in tasks or tuple(TASKS):
        rng = Random(f"{seed}-{split}-{wordings}-{task}")
        pool, seen = wording_pool(task, wordings), set[str]()
        for number in range(n_per_task):
            item = _fresh_item(task, split, pool, rng, f"{task}-{split}-{wordings}-{seed}-{number:04d}", seen)
            seen.add(item.prompt)
            items.append(item)
    return items


def _fresh_item(
    task: str, split: Split, pool: tuple[str, ...], rng: Random, prompt_id: str, seen: set[str]
) -> ReferenceItem:
    for _ in range(50):
        item = word_instance(draw_instance(task, rng, split), rng.choice(pool), rng, prompt_id)
        if item.prompt not in seen:
            break
    return item
