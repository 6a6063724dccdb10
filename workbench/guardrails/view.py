"""A text as guards read it: Unicode-normalised, without invisible characters, with the way back to the text as it was sent.

Full-width letters, zero-width spaces and runs of white space hide a phrase from a search but not from a reader. Guards therefore
search the normalised text and report both places. The model receives the text as it was sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Literal

NormalForm = Literal["NFKC", "NFC"]

# Invisible although not of category Cf or Cc: grapheme joiner, fillers, variation selectors (Unicode: default ignorable).
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
)
_SELECTORS = range(0xE0100, 0xE01F0)
_NOT_PLAIN = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]|\s\s")
_TO_SPACE = dict.fromkeys(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x1f"), " ")


class View:
    """The raw text and, when first asked for, its normalised form.

    `text[i]` comes from `raw` between `starts[i]` and `ends[i]`, counted from the beginning of the whole text. Characters that
    normalise together (a letter and its accents, a run of white space) form a cluster and share their places.

    Args:
        raw: the text as it was sent, or a window of it that begins at a cluster.
        form: Unicode normal form.
        offset: place of the window in the whole text, in code points.

    Example:
        >>> view = View("ｉgnore\\u200b   all")
        >>> view.text, view.raw_span(0, 6)
        ('ignore all', (0, 7))
    """

    def __init__(self, raw: str, form: NormalForm = "NFKC", offset: int = 0) -> None:
        self.raw = raw
        self.form: NormalForm = form
        self.offset = offset

    @property
    def text(self) -> str:
        """The normalised text."""
        return self._normalised[0]

    @property
    def starts(self) -> Sequence[int]:
        """First raw code point of each normalised one's cluster."""
        return self._normalised[1]

    @property
    def ends(self) -> Sequence[int]:
        """Raw code point behind each normalised one's cluster."""
        return self._normalised[2]

    def raw_span(self, start: int, end: int) -> tuple[int, int]:
        """The raw place of `text[start:end]`, which must not be empty."""
        return self.starts[start], self.ends[end - 1]

    @cached_property
    def _normalised(self) -> tuple[str, Sequence[int], Sequence[int]]:
        raw, offset = self.raw, self.offset
        if raw.isascii() and not _NOT_PLAIN.search(raw):
            return raw.translate(_TO_SPACE), range(offset, offset + len(raw)), range(offset + 1, offset + len(raw) + 1)
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for kept, start, end in _clusters(raw):
            part = unicodedata.normalize(self.form, kept)
            parts.append(part)
            starts += [offset + start] * len(part)
            ends += [offset + end] * len(part)
        return "".join(parts), starts, ends


def _clusters(raw: str) -> Iterator[tuple[str, int, int]]:
    """Visible characters that normalise together, with their raw place; invisible ones belong to the cluster before them."""
    kept, start = "", 0
    for index, char in enumerate(raw):
        if char.isspace():
            char = " "
        elif is_invisible(char):
            continue
        if char == " " and kept.endswith(" "):
            continue
        if kept and not _continues(char):
            yield kept, start, index
            kept, start = "", index
        kept += char
    if kept:
        yield kept, start, len(raw)


@lru_cache(maxsize=65536)
def is_invisible(char: str) -> bool:
    """Whether a reader does not see the character and it is not white space: controls, zero-width, bidi, tags, fillers."""
    if char in _INVISIBLE or ord(char) in _SELECTORS:
        return True
    return not char.isspace() and unicodedata.category(char) in ("Cf", "Cc")


@lru_cache(maxsize=65536)
def _continues(char: str) -> bool:
    """Whether the character may normalise together with the one before it; true too often does no harm.

    That are marks and the vowels and finals of Hangul, also where they only appear after decomposition (half-width forms).
    """
    first = unicodedata.normalize("NFKD", char)[0]
    return unicodedata.category(first).startswith("M") or 0x1160 <= ord(first) <= 0x11FF
