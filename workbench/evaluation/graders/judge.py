"""A model as grader: asks a yes/no question or for 0 to 10 points, and counts what asking costs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from workbench.core import Completion, Message, ModelError, Request, Sampling, Usage
from workbench.core.price import Strict
from workbench.economics import HardwareProfile, load_profiles, priced
from workbench.models import Model

Rubric = Literal["yes_no", "points"]

_QUESTION = {
    "yes_no": "Is the answer correct? Reply with yes or no.",
    "points": "How good is the answer, from 0 (useless) to 10 (perfect)? Reply with the number.",
}
_SHOWN = 80  # characters of an unreadable judgement that are kept as the reason


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grader says about one answer.

    Args:
        score: 0..1; None when the answer could not be graded.
        because: why there is no score; None when there is one.
        usage: tokens a judge spent; None for graders that are functions.
        cost_usd: what the judge's answer cost; None where it has no price.
    """

    score: float | None
    because: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None


class JudgeConfig(Strict):
    """How a judge asks."""

    rubric: Annotated[Rubric, Field(description="yes_no scores 0 or 1; points scores 0 to 10, divided by 10")] = (
        "yes_no"
    )
    instructions: Annotated[
        str | None, Field(description="what counts as correct or good; null: the question alone")
    ] = None
    max_tokens: Annotated[int, Field(gt=0, description="most tokens of a judgement; a verdict is short")] = 16


class JudgeGrader:
    """Grades by asking a Model. A judgement that cannot be read gives no score and a reason, never 0.

    Args:
        model: the judge.
        config: rubric and instructions.
        profiles: hardware by name for local prices; the shipped ones by default.
    """

    def __init__(
        self,
        model: Model,
        config: JudgeConfig | None = None,
        profiles: Mapping[str, HardwareProfile] | None = None,
    ) -> None:
        self.model = model
        self.config = config or JudgeConfig()
        self._profiles = load_profiles() if profiles is None else profiles

    def request(self, prompt: str, answer: str, reference: str | None) -> Request:
        """What the judge is asked."""
        parts = [self.config.instructions, f"Question: {prompt}"]
        parts += [None if reference is None else f"Reference answer: {reference}", f"Answer: {answer}"]
        text = "\n".join(part for part in [*parts, _QUESTION[self.config.rubric]] if part is not None)
        return Request((Message("user", text),), Sampling(max_tokens=self.config.max_tokens))

    async def grade(self, prompt: str, answer: str, reference: str | None) -> Grade:
        """The judge's grade; a judge that fails gives no score either."""
        return (await self.grade_many([(prompt, answer, reference)]))[0]

    async def grade_many(self, answered: Sequence[tuple[str, str, str | None]]) -> list[Grade]:
        """Grades of (prompt, answer, reference) in order, asked for together."""
        replies = await self.model.complete_batch([self.request(*one) for one in answered])
        return [self._read(reply) for reply in replies]

    def _read(self, reply: Completion | ModelError) -> Grade:
        if isinstance(reply, ModelError):
            return Grade(None, f"the judge failed: {type(reply).__name__}: {reply}")
        score = parse_judgement(reply.text, self.config.rubric)
        because = None if score is not None else f"unreadable judgement: {reply.text[:_SHOWN]!r}"
        return Grade(score, because, reply.usage, priced(reply, self.model.card.price, self._profiles).cost_usd)


def parse_judgement(text: str, rubric: Rubric) -> float | None:
    """Score of a judgement, None when it says neither or several things.

    Example:
        >>> parse_judgement("Yes, it is.", "yes_no"), parse_judgement("7/10", "points"), parse_judgement("hm", "yes_no")
        (1.0, 0.7, None)
    """
    if rubric == "yes_no":
        said = {word.lower() for word in re.findall(r"\b(yes|no)\b", text, re.IGNORECASE)}
        return {"yes": 1.0, "no": 0.0}[said.pop()] if len(said) == 1 else None
    points = re.findall(r"(?<![\w./-])(\d{1,2}(?:\.\d+)?)(?![\w%])", text)
    values = {float(value) for value in points}
    return values.pop() / 10 if len(values) == 1 and min(values) <= 10 else None
