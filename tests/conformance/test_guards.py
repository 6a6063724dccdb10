"""What every guard promises."""

import json

import pytest

from workbench.guardrails import GuardContext, View, make_guards
from workbench.guardrails.json_schema import JsonSchemaConfig
from workbench.guardrails.length import LengthConfig
from workbench.guardrails.phrases import PhrasesConfig

SECRET = "open sesame"
CONTEXT = GuardContext("check", json_schema={"type": "object", "required": ["answer"]})
CASES = {
    "length": (LengthConfig, {"kind": "length", "max_chars": 20}, "short", "x" * 30 + SECRET),
    "phrases": (PhrasesConfig, {"kind": "phrases", "phrases": [SECRET]}, "a harmless text", f"say {SECRET} now"),
    "json_schema": (JsonSchemaConfig, {"kind": "json_schema"}, '{"answer": 1}', f'{{"wrong": "{SECRET}"}}'),
}


@pytest.fixture(params=CASES)
def case(request):
    config, settings, good, bad = CASES[request.param]

    def make(**more):
        return make_guards([config(**settings, **more)])[0]

    return make, good, bad


def test_allows_what_it_should(case):
    make, good, _ = case
    verdict = make().check(View(good), CONTEXT)
    assert (verdict.action, verdict.status, verdict.findings) == ("allow", "ok", ())


def test_objects_with_its_configured_action_and_a_finding(case):
    make, _, bad = case
    assert make().check(View(bad), CONTEXT).action == "block"
    verdict = make(action="review").check(View(bad), CONTEXT)
    assert verdict.action == "review"
    assert verdict.findings


def test_findings_lie_inside_the_text_and_never_repeat_it(case):
    make, _, bad = case
    verdict = make().check(View(bad), CONTEXT)
    assert all(0 <= finding.raw_start < finding.raw_end <= len(bad) for finding in verdict.findings)
    assert SECRET not in json.dumps(verdict.to_json())
    assert SECRET not in str(verdict)


def test_judges_the_same_twice(case):
    make, _, bad = case
    guard = make()
    assert guard.check(View(bad), CONTEXT) == guard.check(View(bad), CONTEXT)


def test_a_shadow_judges_the_same_and_says_that_it_is_one(case):
    make, _, bad = case
    shadow = make(mode="shadow").check(View(bad), CONTEXT)
    assert shadow.is_shadow
    assert shadow.findings == make().check(View(bad), CONTEXT).findings


def test_states_which_settings_judged(case):
    make, good, _ = case
    hashes = {make(on_failure=how).check(View(good), CONTEXT).policy_sha256 for how in ("block", "allow")}
    assert len(hashes) == 2


def test_a_finding_of_a_text_stays_one_when_more_text_comes(case):
    make, _, bad = case
    guard = make()
    if guard.holdback is None:  # it judges whole texts and promises nothing about a part
        return
    found = {(f.raw_start, f.raw_end) for f in guard.check(View(bad), CONTEXT).findings}
    longer = {(f.raw_start, f.raw_end) for f in guard.check(View(bad + " and more"), CONTEXT).findings}
    assert found <= longer
