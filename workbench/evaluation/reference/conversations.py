"""What the models are trained on: conversations, not bare prompts.

The workbench asks its models under a system prompt, after examples, over several turns, from retrieved passages. A model
that never saw such a form is out of distribution in it, so each form is part of the training stream.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from workbench.evaluation.reference.fact_tasks import (
    VALUES,
    World,
    ask_fact_check,
    ask_hop2,
    ask_lookup,
    draw_chain_world,
    draw_flat_world,
)
from workbench.evaluation.reference.items import Instance, Split, split_of
from workbench.evaluation.reference.lexicon import CITIES, LETTERS, MONTHS, NAMES
from workbench.evaluation.reference.suite import TASKS, WordingChoice, decorate, draw_instance, wording_pool
from workbench.evaluation.reference.wordings import (
    FOLLOW_UPS,
    JSON_WORDINGS,
    SYSTEM_PROMPTS,
    held_out_wordings,
)

DIGITS = "0123456789"
Turn = tuple[str, str]
"""What the user asks and what the assistant answers."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A system prompt or None, and one or more turns whose answers are all trained."""

    system: str | None
    turns: tuple[Turn, ...]

    def messages(self, with_last_answer: bool = True) -> list[dict[str, str]]:
        """The conversation in the form chat templates take."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for question, answer in self.turns:
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return messages if with_last_answer else messages[:-1]


@dataclass(frozen=True, slots=True)
class Mixture:
    """Which kinds a stream draws from and how often each conversation form occurs.

    Args:
        tasks: kinds, drawn in proportion to `Task.weight`.
        form_weights: form name -> relative frequency; forms that need absent kinds are dropped by `for_tasks`.
        boosted: kinds whose weight is doubled.
        noise: probability that a worded prompt loses some of its words, which teaches keywords instead of sentences.
    """

    tasks: tuple[str, ...]
    form_weights: tuple[tuple[str, float], ...]
    boosted: tuple[str, ...] = ()
    noise: float = 0.15


def mixture_for(domains: tuple[str, ...]) -> Mixture:
    """The training mixture of a generalist (both domains) or a specialist (one)."""
    tasks = tuple(name for name, task in TASKS.items() if task.domain in domains)
    weights = {"single": 0.5, "examples": 0.13, "mixed": 0.1, "inline": 0.04}
    if "text" in domains:
        weights |= {"same_facts": 0.2, "recall": 0.15, "echo": 0.08}
    if "math" in domains:
        weights["plan_then_solve"] = 0.03
    return Mixture(tasks, tuple(weights.items()))


FACT_TASKS = ("lookup", "hop2", "fact_check", "passages")


def facts_mixture_for(domains: tuple[str, ...]) -> Mixture:
    """A later stage's mixture: more questions on stated facts, and the bridge from bare recall to full sentences.

    A model that recalls "Ann Rome" but not "Ann lives in Rome" is one step away; this is the step.
    """
    plain = mixture_for(domains)
    weights = dict(plain.form_weights) | {
        "single": 0.4,
        "same_facts": 0.25,
        "bridge": 0.25,
        "recall": 0.05,
        "echo": 0.0,
    }
    return Mixture(plain.tasks, tuple(weights.items()), boosted=FACT_TASKS)


def draw_conversation(
    mixture: Mixture, rng: Random, split: Split = "train", wordings: WordingChoice = "seen"
) -> Conversation:
    """One conversation; every instance in it belongs to the split."""
    names, weights = zip(*mixture.form_weights, strict=True)
    form = rng.choices(names, weights)[0]
    return draw_form(form, mixture, rng, split, wordings)


def draw_form(
    form: str, mixture: Mixture, rng: Random, split: Split = "train", wordings: WordingChoice = "seen"
) -> Conversation:
    """One conversation of the named form, under a system prompt in a minority of cases."""
    turns = FORMS[form](mixture, rng, split, wordings)
    if form != "inline" and rng.random() < 0.06:
        return Conversation(rng.choice(JSON_WORDINGS), tuple((q, as_json(a)) for q, a in turns))
    return Conversation(rng.choice(SYSTEM_PROMPTS) if rng.random() < 0.15 else None, tuple(turns))


def as_json(answer: str) -> str:
    """The answer as the object the JSON system prompts ask for; an answer that is an object stays as it is."""
    return answer if answer.startswith("{") else f'{{"answer": "{answer}"}}'


def _draw_tasks(mixture: Mixture, rng: Random, count: int) -> list[str]:
    weights = [TASKS[name].weight * (2 if name in mixture.boosted else 1) for name in mixture.tasks]
    return rng.choices(mixture.tasks, weights, k=count)


def _drop_words(wording: str, rng: Random) -> str:
    """Lose about a fifth of the plain words; placeholders stay, and never make a held-out sentence."""
    kept = [word for word in wording.split() if "{" in word or rng.random() > 0.2]
    return " ".join(kept)


def _worded(instance: Instance, mixture: Mixture, rng: Random, wordings: WordingChoice) -> str:
    wording = rng.choice(wording_pool(instance.task, wordings))
    if wordings == "seen" and rng.random() < mixture.noise:
        shorter = _drop_words(wording, rng)
        wording = wording if shorter in held_out_wordings(instance.task) else shorter
    return decorate(wording.format(**instance.slots), rng)


def _single(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    instance = draw_instance(_draw_tasks(mixture, rng, 1)[0], rng, split)
    return [(_worded(instance, mixture, rng, wordings), instance.answer)]


def _examples(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    """Two to four turns of one kind in one wording: the earlier ones are worked examples."""
    task = _draw_tasks(mixture, rng, 1)[0]
    wording = rng.choice(wording_pool(task, wordings))
    instances = [draw_instance(task, rng, split) for _ in range(rng.randint(2, 4))]
    return [(wording.format(**i.slots), i.answer) for i in instances]


def _mixed(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    instances = [draw_instance(task, rng, split) for task in _draw_tasks(mixture, rng, rng.randint(2, 3))]
    return [(_worded(i, mixture, rng, wordings), i.answer) for i in instances]


def _inline(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    """Worked examples inside one user message."""
    turns = _examples(mixture, rng, split, wordings)[:3]
    shown = " ".join(f"Input: {question} Output: {answer}" for question, answer in turns[:-1])
    return [(f"{shown} Input: {turns[-1][0]} Output:", turns[-1][1])]


def _draw_world(rng: Random, split: Split) -> World:
    while True:
        world = draw_chain_world(rng) if rng.random() < 0.4 else draw_flat_world(rng)
        if split_of(world.key) == split:
            return world


def _ask(world: World, rng: Random) -> Instance:
    choice = rng.random()
    if choice < 0.2:
        return ask_fact_check(rng, world)
    return ask_hop2(rng, world) if world.chains() and choice < 0.6 else ask_lookup(rng, world)


def _same_facts(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    """Three to six questions over facts that only the first turn states."""
    world = _draw_world(rng, split)
    first, *later = [_ask(world, rng) for _ in range(rng.randint(3, 6))]
    turns = [(_worded(first, mixture, rng, wordings), first.answer)]
    for instance in later:
        if "claim" in instance.slots:
            question = f"Is it true that {instance.slots['claim']}"
        else:
            question = rng.choice(FOLLOW_UPS).format(**instance.slots)
        turns.append((question, instance.answer))
    return turns


def _plan_then_solve(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    """A plan, then its value."""
    plan = draw_instance("plan", rng, split)
    wording = rng.choice(wording_pool("add_three", wordings))
    total = str(sum(map(int, plan.answer.split("+"))))
    return [
        (_worded(plan, mixture, rng, wordings), plan.answer),
        (wording.format(expression=plan.answer), total),
    ]


def _recall(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    """Bare key-value recall: pairs, then one key a turn. Dense practice for the circuit that look-ups need."""
    keys = rng.sample(NAMES, rng.randint(3, 8))
    kind = rng.choice(sorted(VALUES))
    values = rng.sample([value for value in VALUES[kind] if value not in keys], len(keys))
    pairs = dict(zip(keys, values, strict=True))
    asked = [rng.choice(keys) for _ in range(rng.randint(4, 8))]
    listed = " ".join(f"{key} {value}." for key, value in pairs.items())
    return [(f"{listed} {asked[0]}?", pairs[asked[0]]), *((f"{key}?", pairs[key]) for key in asked[1:])]


def _bridge(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    """Facts in full sentences, asked for by the bare subject or by the usual noun phrase, in five to eight turns."""
    world = _draw_world(rng, split)
    turns: list[Turn] = []
    for fact in (rng.choice(world.facts) for _ in range(rng.randint(5, 8))):
        bare = rng.random() < 0.5
        turns.append((f"{fact.subject}?" if bare else rng.choice(FOLLOW_UPS).format(what=fact.question), fact.value))
    return [(f"{world.text} {turns[0][0]}", turns[0][1]), *turns[1:]]


def _echo(mixture: Mixture, rng: Random, split: Split, wordings: WordingChoice) -> list[Turn]:
    """Repeat a list of words, letters and digits: dense practice for copying."""
    words = [rng.choice(rng.choice((NAMES, CITIES, LETTERS, DIGITS, MONTHS))) for _ in range(rng.randint(4, 12))]
    text = " ".join(words)
    return [(f"Repeat: {text}", text)]


FORMS: dict[str, Callable[[Mixture, Random, Split, WordingChoice], list[Turn]]] = {
    "single": _single,
    "examples": _examples,
    "mixed": _mixed,
    "inline": _inline,
    "same_facts": _same_facts,
    "plan_then_solve": _plan_then_solve,
    "recall": _recall,
    "echo": _echo,
    "bridge": _bridge,
}
"""Form name -> how its turns are drawn."""
