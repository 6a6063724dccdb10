from pathlib import Path

import pytest
import yaml

from workbench.core import ConfigError
from workbench.stack import StackConfig
from workbench.stack.schema import PUBLISHED, stack_schema

TEXT = """
schema_version: 1
name: quickstart
models:
  tiny: {kind: transformers, model: "reference:tiny", context_window: 512, region: local}
  base: {kind: transformers, model: "reference:base", context_window: 512, region: local}
  api: {kind: openai-compatible, model: big, base_url: "http://localhost:1/v1", region: eu}
admit:
  api_keys: {env:WORKBENCH_KEY: team-a}
  rate_limit: {requests_per_minute: 600}
  session_budget: {tokens: 20000}
inspect:
  guards: [{kind: length, max_chars: 4000}, {kind: phrases, phrases: ["ignore previous instructions"]}]
recall:
  exact: {max_entries: 10000, ttl_s: 3600}
choose:
  policy: {kind: fixed, model: base}
  fallbacks: [api, tiny]
compose:
  default: {template: "{prompt}"}
  max_answer_tokens: 64
answer:
  pattern: {kind: single}
check:
  guards: [{kind: json_schema}]
settle:
  audit: {path: audit.jsonl}
"""


def config(changes=None):
    """The configuration above with values at dotted paths replaced."""
    data = yaml.safe_load(TEXT)
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = data
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    return StackConfig.from_data(data, "stack.yaml")


def test_every_section_has_its_place(tmp_path):
    loaded = config()
    assert loaded.choose.policy.model == "base"
    assert loaded.inspect.guards[1].phrases == ("ignore previous instructions",)
    assert loaded.admit.api_keys == {"env:WORKBENCH_KEY": "team-a"}


def test_what_is_dumped_loads_as_the_same(tmp_path):
    loaded = config({"models.tiny.capabilities": ["b", "a", "c"]})
    loaded.dump(tmp_path / "stack.yaml")
    again = StackConfig.load(tmp_path / "stack.yaml")
    assert again == loaded
    assert again.sha256() == loaded.sha256()


def test_another_configuration_has_another_hash():
    assert config({"compose.max_answer_tokens": 65}).sha256() != config().sha256()


def test_only_schema_version_name_models_and_policy_are_needed():
    least = {
        "schema_version": 1,
        "name": "least",
        "models": {"m": {"kind": "recorded", "model": "outcomes"}},
        "choose": {"policy": {"kind": "fixed", "model": "m"}},
    }
    assert StackConfig.from_data(least, "stack.yaml").answer.pattern.kind == "single"


MISTAKES = {
    "an unknown key": ({"recall.exac": None}, r"recall: unknown key 'exac'; did you mean 'exact'"),
    "a key of a guard": (
        {"inspect.guards": [{"kind": "length", "max_char": 3}]},
        r"inspect.guards\[0\]: unknown key 'max_char'; did you mean 'max_chars'",
    ),
    "a kind of guard": (
        {"check.guards": [{"kind": "json"}]},
        r"check.guards\[0\].kind: unknown kind 'json'; did you mean 'json_schema'",
    ),
    "an output guard on input": ({"inspect.guards": [{"kind": "json_schema"}]}, "unknown kind 'json_schema'"),
    "the policy's model": (
        {"choose.policy": {"kind": "fixed", "model": "bass"}},
        r"choose.policy.model: unknown model 'bass'; did you mean 'base'\? known: api, base, tiny",
    ),
    "a fallback": (
        {"choose.fallbacks": ["base", "tinny"]},
        r"choose.fallbacks\[1\]: unknown model 'tinny'; did you mean 'tiny'",
    ),
    "a step's model": (
        {"answer.pattern": {"kind": "pipeline", "steps": [{"model": "bas", "template": "{prompt}"}]}},
        r"answer.pattern.steps\[0\].model: unknown model 'bas'; did you mean 'base'",
    ),
    "a fan-out's model": (
        {"answer.pattern": {"kind": "fan_out", "models": ["chosen", "aip"]}},
        r"answer.pattern.models\[1\]: unknown model 'aip'; did you mean 'api'",
    ),
    "a model outside the regions": (
        {"admit.allowed_regions": ["local"]},
        r"choose.fallbacks\[0\]: model 'api' is in region 'eu', admit.allowed_regions has local",
    ),
    "a model of unknown region": (
        {"admit.allowed_regions": ["local", "eu"], "models.base.region": None},
        r"choose.policy.model: model 'base' does not say its region",
    ),
    "a chain that needs the network": (
        {"choose.fallbacks": ["tiny", "api"]},
        r"choose.fallbacks\[1\]: the chain ends with 'api', which is not local .* \(base, tiny\)",
    ),
    "no place for the prompt": (
        {"compose.default.template": "x"},
        r"compose.default.template: a template needs \{prompt\}",
    ),
    "no place in a task's template": (
        {"compose.by_task": {"add": {"template": "x"}}},
        r"compose.by_task.add.template: a template needs \{prompt\}",
    ),
    "an answer as long as the window": (
        {"compose.max_answer_tokens": 512},
        r"model 'base' has a context window of 512 tokens, which compose.max_answer_tokens \(512\) fills",
    ),
    "a quorum nobody reaches": (
        {"answer.pattern": {"kind": "fan_out", "models": ["base", "tiny"], "quorum": 3}},
        r"answer.pattern.quorum: 3 answers can never come from 2 models",
    ),
    "a comparison of what is not reported": (
        {"answer.pattern": {"kind": "fan_out", "models": ["base", "tiny"], "join": "best_logprob"}},
        r"models.base.logprobs is false",
    ),
    "a whole-answer guard on a flowing stream": (
        {"check.stream": "pass_through"},
        r"check.stream: pass_through promises .* check.guards\[0\] \(json_schema\) judges whole answers",
    ),
    "a rewriting guard on a flowing stream": (
        {"check": {"stream": "pass_through", "guards": [{"kind": "phrases", "phrases": ["x"], "action": "rewrite"}]}},
        r"check.guards\[0\] \(phrases\) rewrites",
    ),
    "two guards of one name": (
        {
            "inspect.guards": [
                {"kind": "length", "max_chars": 1, "name": "g"},
                {"kind": "length", "max_chars": 2, "name": "g"},
            ]
        },
        "inspect.guards: two guards are called 'g'",
    ),
    "a reserved name": (
        {"models.chosen": {"kind": "recorded", "model": "x"}},
        "'chosen' means the model that the policy chose",
    ),
    "a newer layout": (
        {"schema_version": 2},
        "schema_version 2 was written by a newer version, this one reads 1; upgrade",
    ),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(changes, message):
    with pytest.raises(ConfigError, match=f"^stack.yaml: .*{message}"):
        config(changes)


def test_a_secret_by_value_is_refused_and_not_shown():
    with pytest.raises(ConfigError) as caught:
        config({"admit.api_keys": {"sk-very-secret": "team-a"}})
    assert "sk-very-secret" not in str(caught.value)


def test_a_shadow_guard_does_not_hold_a_stream():
    loaded = config({"check": {"stream": "pass_through", "guards": [{"kind": "json_schema", "mode": "shadow"}]}})
    assert loaded.check.stream == "pass_through"


def test_a_promise_is_also_checked_without_a_file():
    loaded = config()
    with pytest.raises(ConfigError, match=r"choose.policy.model: unknown model 'base'"):
        StackConfig(schema_version=1, name="x", models={"other": loaded.models["tiny"]}, choose=loaded.choose)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no stack configuration at .*nothing.yaml"):
        StackConfig.load(tmp_path / "nothing.yaml")


def test_the_published_schema_is_current():
    published = Path(__file__).parents[3] / PUBLISHED
    assert published.read_text() == stack_schema(), "run: python -m workbench.stack.schema"


def test_the_published_schema_accepts_the_example():
    import json

    import jsonschema_rs

    jsonschema_rs.validator_for(json.loads(stack_schema())).validate(yaml.safe_load(TEXT))
