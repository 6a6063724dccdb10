"""Which part of an unfinished answer may be shown: nothing that a stop text, a half character or leading space may still take back."""

from __future__ import annotations

from collections.abc import Sequence

HALF_CHARACTER = "\ufffd"


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """The text before the stop text that was complete first, without leading white space (chat templates leave some).

    The one that begins first would not do: a longer stop text may still turn out to have begun earlier, and what was shown stays.

    Example:
        >>> cut_at_stop(" 42\\nQ: next", ["\\nQ:"])
        '42'
    """
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(found)[1]].lstrip() if found else text.lstrip()


def visible_part(text: str, stops: Sequence[str]) -> str:
    """The part of an unfinished answer that stays, whatever comes next: a prefix of `cut_at_stop` of every continuation.

    Example:
        >>> visible_part("42\\nQ", ["\\nQ:"])
        '42'
    """
    if any(stop in text for stop in stops):
        return cut_at_stop(text, stops)
    whole = text.rstrip(HALF_CHARACTER)
    held = max((_overlap(whole, stop) for stop in stops), default=0)
    return whole[: len(whole) - held].lstrip()


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
