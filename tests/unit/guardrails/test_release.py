import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core import SystemClock
from workbench.guardrails import GuardChain, GuardContext, StreamRelease, View, make_guards
from workbench.guardrails.json_schema import JsonSchemaConfig
from workbench.guardrails.length import LengthConfig
from workbench.guardrails.phrases import PhrasesConfig

PHRASES = ("bad", "a b a", "b a c", "ab", "é b")
PARTS = st.sampled_from([*PHRASES, *"ab c\u200bé\u0301\u00a0Bdﬁ\n", " bad ", " ab ", " "])
TEXTS = st.lists(PARTS, max_size=14).map("".join)
CONTEXT = GuardContext("check")


def phrases(**settings):
    return PhrasesConfig(kind="phrases", phrases=PHRASES, **settings)


def chain(*configs):
    return GuardChain(make_guards(configs), SystemClock())


def stream(guards, pieces):
    """What left before the end, what left at the end, and whether a guard blocked."""
    release = StreamRelease(guards, CONTEXT)
    early = [release.feed(piece) for piece in pieces if not release.is_blocked]
    rest, _ = asyncio.run(release.finish())
    return "".join(early), rest, release.is_blocked


def cut(text, places):
    places = sorted({place % (len(text) + 1) for place in places})
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def occurrences(text):
    verdict = make_guards([phrases()])[0].check(View(text), CONTEXT)
    return verdict.findings


@settings(max_examples=200)
@given(TEXTS, st.lists(st.integers(0, 60)))
def test_what_is_released_does_not_depend_on_how_the_stream_was_cut(text, places):
    guards = chain(phrases(), LengthConfig(kind="length", max_chars=25))
    at_once = stream(guards, [text])
    one_by_one = stream(guards, list(text))
    in_pieces = stream(guards, cut(text, places))
    assert at_once[0] + at_once[1] == one_by_one[0] + one_by_one[1] == in_pieces[0] + in_pieces[1]
    assert at_once[2] == one_by_one[2] == in_pieces[2]


@settings(max_examples=200)
@given(TEXTS, st.lists(st.integers(0, 60)))
def test_released_text_never_holds_a_blocked_span(text, places):
    early, rest, is_blocked = stream(chain(phrases()), cut(text, places))
    released = early + rest
    assert text.startswith(released)
    assert is_blocked == bool(occurrences(text))
    assert is_blocked or released == text
    assert not any(finding.raw_end <= len(released) for finding in occurrences(text))


@settings(max_examples=200)
@given(TEXTS)
def test_a_length_limit_holds_for_streams(text):
    early, rest, is_blocked = stream(chain(LengthConfig(kind="length", max_chars=10)), list(text))
    assert is_blocked == (len(text) > 10)
    assert early + rest == text[:10]


def test_text_flows_while_it_is_written():
    early, rest, _ = stream(chain(phrases()), list("a long and harmless answer"))
    assert early == "a long and harmless "
    assert rest == "answer"


def test_no_prefix_of_a_phrase_leaves():
    guards = chain(PhrasesConfig(kind="phrases", phrases=("4111 1111 1111 1111",)))
    early, rest, is_blocked = stream(guards, list("card 4111 1111 1111 1111 ok"))
    assert (early, rest, is_blocked) == ("card ", "", True)


def test_invisible_characters_and_case_do_not_help_a_phrase_through():
    guards = chain(PhrasesConfig(kind="phrases", phrases=("secret word",)))
    assert stream(guards, list("the ＳＥ\u200bCRET \u00a0 wo\u00adrd is")) == ("the ", "", True)


def test_a_part_of_a_word_is_no_phrase():
    guards = chain(PhrasesConfig(kind="phrases", phrases=("ass",)))
    assert stream(guards, list("assess a class"))[2] is False


def test_without_guards_every_piece_leaves_at_once():
    release = StreamRelease(chain(), CONTEXT)
    assert [release.feed(piece) for piece in ("a", "", "bc")] == ["a", "", "bc"]


def test_a_rewriting_guard_holds_the_whole_and_rewrites_it():
    early, rest, is_blocked = stream(chain(phrases(action="rewrite", replacement="***")), ["so b", "ad, it is"])
    assert (early, rest, is_blocked) == ("", "so ***, it is", False)


def test_a_guard_of_whole_answers_holds_the_whole():
    schema = {"type": "object"}
    guards = chain(JsonSchemaConfig(kind="json_schema", schema=schema, deadline_s=300))
    assert stream(guards, ['{"a"', ": 1}"]) == ("", '{"a": 1}', False)
    assert stream(guards, ['["a"', "]"]) == ("", "", True)


def test_a_shadow_guard_holds_nothing_and_is_recorded():
    guards = chain(phrases(mode="shadow"))
    release = StreamRelease(guards, CONTEXT)
    assert release.feed("so bad") == "so bad"
    rest, verdicts = asyncio.run(release.finish())
    assert rest == ""
    assert not release.is_blocked
    assert [(v.action, v.is_shadow) for v in verdicts] == [("block", True)]
