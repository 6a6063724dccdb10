import threading

import pytest

from workbench.core import Blocked, SystemClock
from workbench.guardrails import (
    Edit,
    GuardChain,
    GuardConfig,
    GuardContext,
    Verdict,
    View,
    combined,
    make_guards,
    raise_if_blocked,
    rewritten,
)
from workbench.guardrails.phrases import PhrasesConfig

CONTEXT = GuardContext("inspect", turn=3)


class Broken:
    name = "broken"
    holdback = 1

    def __init__(self, **settings):
        self.config = GuardConfig(**settings)

    def check(self, text, context):
        raise RuntimeError("the text was: secret")


class Slow(Broken):
    name = "slow"

    def __init__(self, **settings):
        super().__init__(deadline_s=0.01, **settings)
        self.may_end = threading.Event()

    def check(self, text, context):
        self.may_end.wait(10)


def verdict(action, **known):
    edits = (Edit(0, 1, "x"),) if action == "rewrite" else ()
    return Verdict("g", "inspect", action, "ok", "", edits=edits, **known)


@pytest.mark.parametrize(("how", "action"), [("block", "block"), ("allow", "allow")])
async def test_a_guard_that_breaks_leads_to_what_is_configured_and_shows_no_text(how, action):
    [said] = await GuardChain([Broken(on_failure=how)], SystemClock()).check(View("secret"), CONTEXT)
    assert (said.action, said.status, said.turn) == (action, "error", 3)
    assert "secret" not in str(said)


@pytest.mark.parametrize(("how", "action"), [("block", "block"), ("allow", "allow")])
async def test_a_guard_that_takes_too_long_leads_to_what_is_configured(how, action):
    guard = Slow(on_failure=how)
    [said] = await GuardChain([guard], SystemClock()).check(View("text"), CONTEXT)
    guard.may_end.set()
    assert (said.action, said.status) == (action, "timeout")


async def test_the_first_block_ends_the_chain():
    guards = make_guards([PhrasesConfig(kind="phrases", phrases=(text,)) for text in ("x", "bad", "y")])
    said = await GuardChain(guards, SystemClock()).check(View("bad"), CONTEXT)
    assert [v.action for v in said] == ["allow", "block"]


async def test_a_shadow_blocks_nothing():
    guards = make_guards([PhrasesConfig(kind="phrases", phrases=("bad",), mode="shadow")])
    said = await GuardChain(guards, SystemClock()).check(View("bad"), CONTEXT)
    assert combined(said) == "allow"
    raise_if_blocked(said)


def test_the_strictest_action_counts():
    assert combined([]) == "allow"
    assert combined([verdict("allow"), verdict("rewrite")]) == "rewrite"
    assert combined([verdict("rewrite"), verdict("review")]) == "review"
    assert combined([verdict("review"), verdict("block"), verdict("allow")]) == "block"


def test_a_block_says_which_guard_and_where():
    with pytest.raises(Blocked, match="the prompt was blocked: g: block in turn 2") as caught:
        raise_if_blocked([verdict("block", turn=2)])
    assert caught.value.guard == "g"
    assert caught.value.verdict.turn == 2


def test_edits_belong_to_rewriting_alone():
    with pytest.raises(ValueError, match="1 edits with action 'block'"):
        Verdict("g", "check", "block", "ok", "", edits=(Edit(0, 1, ""),))
    with pytest.raises(ValueError, match="0 edits with action 'rewrite'"):
        Verdict("g", "check", "rewrite", "ok", "")


def test_edits_of_several_guards_are_applied_to_the_text_as_sent():
    first = Verdict("a", "check", "rewrite", "ok", "", edits=(Edit(4, 6, "[a]"), Edit(0, 1, "A")))
    shadow = Verdict("b", "check", "rewrite", "ok", "", edits=(Edit(2, 3, "never"),), is_shadow=True)
    assert rewritten("0123456789", [first, shadow]) == "A123[a]6789"
