import pytest

from workbench.core import Request, Sampling, Usage
from workbench.models.anthropic_protocol import Answer, request_body, usage_of


@pytest.mark.parametrize(
    ("temperature", "top_p", "sent"),
    [
        (0.0, 1.0, {"temperature": 0.0}),
        (0.0, 0.9, {"temperature": 0.0}),  # greedy: the nucleus changes nothing
        (0.7, 1.0, {"temperature": 0.7}),
        (1.0, 0.9, {"top_p": 0.9}),
        (0.7, 0.9, {"temperature": 0.7, "top_p": 0.9}),  # the server may refuse; neither is dropped in silence
    ],
)
def test_temperature_and_nucleus_are_sent_together_only_where_both_say_something(temperature, top_p, sent):
    body = request_body("m", Request.from_prompt("x", sampling=Sampling(temperature=temperature, top_p=top_p)), None)
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == sent


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({}, Usage()),
        ({"input_tokens": 21, "output_tokens": 3}, Usage(21, 3)),
        # the example of Anthropic's prompt caching documentation: a first request writes, a second reads
        (
            {
                "input_tokens": 21,
                "cache_creation_input_tokens": 188086,
                "cache_read_input_tokens": 0,
                "output_tokens": 393,
            },
            Usage(188107, 393, 0, 188086),
        ),
        (
            {
                "input_tokens": 21,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 188086,
                "output_tokens": 393,
            },
            Usage(188107, 393, 188086, 0),
        ),
        ({"input_tokens": "21", "output_tokens": -1}, Usage()),
        (
            {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
            Usage(1, 9, reasoning_tokens=4),
        ),
        (  # tokens that are kept for an hour are told apart, because they cost more
            {
                "input_tokens": 2,
                "cache_read_input_tokens": 10,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens": 1,
            },
            Usage(19, 1, 10, 7, cache_write_1h_tokens=4),
        ),
    ],
)
def test_usage_is_converted_to_all_inclusive_counts(reported, usage):
    assert usage_of(reported) == usage


def test_several_system_messages_become_one():
    from workbench.core import Message

    messages = (Message("system", "a"), Message("user", "x"), Message("system", "b"))
    body = request_body("m", Request(messages), None)
    assert body["system"] == "a\n\nb"
    assert body["messages"] == [{"role": "user", "content": "x"}]


def test_a_single_question_without_system_prompt_marks_nothing_for_the_cache():
    body = request_body("m", Request.from_prompt("x"), "5m")
    assert body["messages"] == [{"role": "user", "content": "x"}]


VLLM_STREAM = [
    # as vLLM 0.32 sends it; the cache's counts come with the last usage only
    {
        "type": "message_start",
        "message": {"content": [], "stop_reason": None, "usage": {"input_tokens": 11, "output_tokens": 0}},
    },
    {"type": "content_block_start", "content_block": {"type": "text", "text": ""}, "index": 0},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": " "}, "index": 0},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "2"}, "index": 0},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {
            "input_tokens": 3,
            "output_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 8,
        },
    },
    {"type": "message_stop"},
]


def test_a_later_usage_replaces_an_earlier_one_and_times_end_with_the_last_token():
    answer = Answer("m", start_s=10.0)
    texts = [answer.add_event(event, 10.0 + place) for place, event in enumerate(VLLM_STREAM)]
    completion = answer.completion()
    assert "".join(texts) == completion.text == " 2"
    assert completion.usage == Usage(11, 3, cached_tokens=8, cache_write_tokens=0)
    assert (completion.timing.ttft_s, completion.timing.latency_s) == (2.0, 5.0)
