from dataclasses import replace

import pytest

from workbench.caching import exact_key
from workbench.core import Message, Request, Sampling

REQUEST = Request((Message("system", "s"), Message("user", "u")), Sampling(json_schema={"b": 1, "a": 2}), task="add")
SCOPE = "scope"


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "another"},
        {"messages": (Message("user", "u"),)},
        {"messages": (Message("user", "s"), Message("user", "u"))},
        {"messages": (Message("system", "su"), Message("user", ""))},
        {"sampling": Sampling(max_tokens=7)},
        {"sampling": Sampling(stop=("x",))},
        {"sampling": Sampling(json_schema={"a": 2})},
        {"task": None},
        {"region": "eu"},
        {"cost_limit_usd": 1.0},
    ],
)
def test_whatever_may_shape_the_answer_changes_the_key(change):
    assert exact_key(replace(REQUEST, **change), SCOPE) != exact_key(REQUEST, SCOPE)


@pytest.mark.parametrize("change", [{"request_id": "x"}, {"session": "s"}, {"deadline_s": 1.0}])
def test_whatever_does_not_shape_the_answer_leaves_the_key(change):
    assert exact_key(replace(REQUEST, **change), SCOPE) == exact_key(REQUEST, SCOPE)


def test_another_scope_is_another_key():
    assert exact_key(REQUEST, "other") != exact_key(REQUEST, SCOPE)


def test_the_order_of_a_schemas_keys_does_not_matter():
    turned = replace(REQUEST, sampling=Sampling(json_schema={"a": 2, "b": 1}))
    assert exact_key(turned, SCOPE) == exact_key(REQUEST, SCOPE)
