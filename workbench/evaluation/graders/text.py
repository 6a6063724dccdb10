"""Graders that look at text: one answer against one reference, a score in 0..1, and no exception for any answer."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from workbench.core import ConfigError

OPENING = "\"'“”‘’«»`*_([{"
CLOSING = "\"'“”‘’«»`*_)]}.,;:!?"
LETTERS = tuple("ABCDEFGHIJ")


def normalise(text: str) -> str:
    """Unicode NFKC, case folded, single spaces, without quotes, brackets, emphasis and final punctuation around it.

    Signs and leading points stay, so that "-5" and ".5" keep their value.

    Example:
        >>> normalise('  "Paris"  is  the CAPITAL. ')
        'paris" is the capital'
        >>> normalise("**-5**")
        '-5'
    """
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.lstrip(OPENING + " ").rstrip(CLOSING + " ")


def grade_exact(answer: str, reference: str) -> float:
    """1 when both are equal after removing the white space around them."""
    return float(answer.strip() == reference.strip())


def grade_normalised(answer: str, reference: str) -> float:
    """1 when both are equal in their normalised form (see `normalise`)."""
    return float(normalise(answer) == normalise(reference))


def grade_contains(answer: str, reference: str, whole_words: bool = True, ignore_case: bool = True) -> float:
    """1 when the reference occurs in the answer.

    Args:
        answer: what the model said.
        reference: the text looked for; white space is equal to any other white space.
        whole_words: whether "7" must not be found in "17".
        ignore_case: whether capitals and small letters are the same.
    """
    pattern = r"\s+".join(re.escape(part) for part in reference.split())
    if whole_words:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return float(re.search(pattern, answer, re.IGNORECASE if ignore_case else 0) is not None)


def grade_regex(answer: str, reference: str | None = None, pattern: str | None = None, full: bool = False) -> float:
    """1 when the pattern is found in the answer.

    Args:
        answer: what the model said.
        reference: the pattern, unless `pattern` gives one for the whole suite.
        pattern: a Python regular expression.
        full: whether it must cover the whole answer.

    Raises:
        ConfigError: there is no pattern, or it is not valid.
    """
    compiled = _compile(pattern if pattern is not None else reference)
    found = compiled.fullmatch(answer.strip()) if full else compiled.search(answer)
    return float(found is not None)


def check_regex(reference: str | None, pattern: str | None = None, full: bool = False) -> None:
    """Raise ConfigError where the pattern is missing or not valid."""
    _compile(pattern if pattern is not None else reference)


@lru_cache(maxsize=1024)
def _compile(pattern: str | None) -> re.Pattern[str]:
    if pattern is None:
        raise ConfigError("the grader 'regex' needs a pattern: put it in the column answer or in the option pattern")
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error as exc:
        raise ConfigError(f"{pattern!r} is not a regular expression: {exc}") from exc


def grade_token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of the precision and recall of words, case folded, each counted as often as it occurs.

    Source: Rajpurkar et al., SQuAD, arXiv 1606.05250, section 6.1 (here articles are kept).
    """
    said, expected = _words(answer), _words(reference)
    if not said or not expected:
        return float(said == expected)
    shared = sum((said & expected).values())
    return 2 * shared / (sum(said.values()) + sum(expected.values()))


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def grade_choice(answer: str, reference: str, choices: Sequence[str] = LETTERS) -> float:
    """1 when the answer settles on the reference's option and no other.

    Args:
        answer: what the model said: "B", "(b) because ...", "The answer is B.", or a label among other words.
        reference: the right option.
        choices: letters or labels; A to J by default.
    """
    return float(chosen(answer, choices) == _same(reference.strip(), choices))


def chosen(answer: str, choices: Sequence[str] = LETTERS) -> str | None:
    """The option an answer settles on, None when it names none or several.

    Example:
        >>> chosen("A dog is an animal, so the answer is (B)."), chosen("A or B")
        ('B', None)
    """
    text = answer.strip()
    option = "|".join(sorted((re.escape(choice) for choice in choices), key=len, reverse=True))
    announced = re.findall(rf"(?i:answer(?:\s+is)?|choice(?:\s+is)?)\s*[:=]?\s*[(\[*\"']*({option})(?!\w)", text)
    opening = re.match(rf"[(\[*\"']*({option})(?:[)\].:,*\"']|\s*$|\s*\n)", text, re.IGNORECASE)
    if announced:
        return _same(announced[-1], choices)
    if opening:
        return _same(opening[1], choices)
    flags = 0 if all(len(choice) == 1 for choice in choices) else re.IGNORECASE
    named = {_same(name, choices) for name in re.findall(rf"(?<!\w)({option})(?!\w)", text, flags)}
    return named.pop() if len(named) == 1 else None


def _same(name: str, choices: Sequence[str]) -> str | None:
    return next((choice for choice in choices if choice.casefold() == name.casefold()), None)


def check_choice(reference: str, choices: Sequence[str] = LETTERS) -> None:
    """Raise ConfigError where the reference is none of the options."""
    if _same(reference.strip(), choices) is None:
        raise ConfigError(f"the answer {reference!r} is none of the choices {', '.join(choices)}")
