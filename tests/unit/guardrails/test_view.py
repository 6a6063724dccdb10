import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from workbench.guardrails import View
from workbench.guardrails.view import _continues, is_invisible

TRICKY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("aé ﬁ\u0301\u0308\u200b\u00ad\t\n\r\u2003가\u1100\u1161\u11a8ｶﾞ\u3099①\ufe0f\x00ß\u034f"),
    ),
    max_size=30,
)


def visible(raw: str) -> str:
    """The plain definition: invisible characters out, each run of white space one space."""
    kept = "".join(char for char in raw if not is_invisible(char))
    text = ""
    for char in kept:
        if not char.isspace():
            text += char
        elif not text.endswith(" "):
            text += " "
    return text


@given(TRICKY)
def test_the_view_is_the_normal_form_of_what_is_visible(raw):
    assert View(raw).text == unicodedata.normalize("NFKC", visible(raw))


@given(TRICKY)
def test_the_canonical_form_can_be_asked_for(raw):
    assert View(raw, "NFC").text == unicodedata.normalize("NFC", visible(raw))


@given(TRICKY)
def test_every_character_knows_where_it_came_from(raw):
    view = View(raw)
    assert len(view.starts) == len(view.ends) == len(view.text)
    assert list(view.starts) == sorted(view.starts)
    for start, end in zip(view.starts, view.ends, strict=True):
        assert 0 <= start < end <= len(raw)
        assert View(raw[start:end]).text in view.text


@given(TRICKY, TRICKY)
def test_what_is_settled_does_not_change_when_more_text_comes(raw, more):
    view, longer = View(raw), View(raw + more)
    settled = sum(1 for start in view.starts if start != view.starts[-1])
    assert longer.text[:settled] == view.text[:settled]
    assert list(longer.starts[:settled]) == list(view.starts[:settled])


def test_every_character_that_composes_backwards_continues_a_cluster():
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            assert _continues(chr(int(parts[1], 16))) or unicodedata.normalize("NFC", chr(code)) != chr(code)


def test_a_window_counts_from_the_beginning_of_the_whole_text():
    view = View("b\u200bc", offset=10)
    assert view.text == "bc"
    assert view.raw_span(0, 1) == (10, 12)
    assert view.raw_span(1, 2) == (12, 13)


def test_plain_text_is_not_copied_into_lists():
    assert isinstance(View("plain text\n").starts, range)
