import json

import pytest

from workbench.core import ConfigError
from workbench.gateway.protocol import check_model, parse_body, to_request


def body(**fields):
    return parse_body(json.dumps({"messages": [{"role": "user", "content": "2 + 2?"}], **fields}).encode())


def request(headers=None, **fields):
    return to_request(body(**fields), headers or {}, tenant="public", max_tokens=99, request_id="r1")


def test_a_bare_question_is_greedy_and_takes_the_servers_limit():
    asked = request()
    assert (asked.prompt, asked.sampling.temperature, asked.sampling.max_tokens) == ("2 + 2?", 0.0, 99)
    assert asked.use_cache


def test_openai_sampling_fields_arrive():
    sampling = request(temperature=0.5, top_p=0.9, stop="\n", seed=3, logprobs=True, max_completion_tokens=5).sampling
    assert (sampling.temperature, sampling.top_p, sampling.stop, sampling.seed) == (0.5, 0.9, ("\n",), 3)
    assert (sampling.logprobs, sampling.max_tokens) == (True, 5)


def test_text_parts_are_joined_and_developer_is_system():
    parts = [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}]
    asked = request(messages=[{"role": "developer", "content": "short"}, {"role": "user", "content": parts}])
    assert [(m.role, m.content) for m in asked.messages] == [("system", "short"), ("user", "2 + 2?")]


def test_a_response_format_becomes_the_schema():
    schema = {"type": "object", "required": ["a"]}
    asked = request(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert asked.sampling.json_schema == schema
    assert request(response_format={"type": "json_object"}).sampling.json_schema == {"type": "object"}


def test_metadata_tells_task_and_session_and_a_header_wins():
    asked = request({"x-workbench-task": "dates"}, metadata={"task": "sums", "session": "s1"})
    assert (asked.task, asked.session) == ("dates", "s1")


def test_headers_tell_region_deadline_and_cache():
    asked = request({"x-workbench-region": "eu", "x-workbench-deadline-s": "2.5", "x-workbench-no-cache": "1"})
    assert (asked.region, asked.deadline_s, asked.use_cache) == ("eu", 2.5, False)


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
def test_a_deadline_that_is_no_time_is_refused(value):
    with pytest.raises(ConfigError, match="seconds above 0"):
        request({"x-workbench-deadline-s": value})


def test_unknown_fields_are_let_through():
    assert body(frobnicate={"a": 1}, user="u", presence_penalty=0.2).messages[0].content == "2 + 2?"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 9}, "temperature"),
        ({"n": 2}, "n: "),
        ({"tools": [{}]}, "tools are not supported"),
    ],
)
def test_a_known_field_that_cannot_be_honoured_is_refused_by_name(fields, told):
    with pytest.raises(ConfigError, match=told):
        body(**fields)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1', b'"text"', b"[]", b"null", b"NaN"]
)
def test_what_is_no_json_object_is_refused(data):
    with pytest.raises(ConfigError, match="send an object with 'messages'"):
        parse_body(data)


def test_a_model_that_is_not_served_names_the_nearest():
    check_model("auto", ["auto", "quickstart"])
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        check_model("quikstart", ["auto", "quickstart"])
