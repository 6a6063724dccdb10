from datetime import UTC, datetime

import pytest

from workbench.models.server_errors import context_overflow, retry_after_s

SAID = [
    (
        "This model's maximum context length is 4097 tokens. However, you requested 5000 tokens "
        "(4000 in the messages, 1000 in the completion).",
        (4000, 4097),
    ),
    ("This model's maximum context length is 512 tokens. However, your messages resulted in 600 tokens.", (600, 512)),
    ("maximum context length is 2,048 tokens and your request has 3,000 input tokens", (3000, 2048)),
]


@pytest.mark.parametrize(("message", "counts"), SAID)
def test_an_overflow_is_recognised_by_its_words_and_counts(message, counts):
    error = context_overflow(message, "m")
    assert error is not None
    assert (error.prompt_tokens, error.context_window) == counts


def test_other_refusals_are_not_taken_for_an_overflow():
    assert context_overflow("Unrecognized request argument supplied: stream_options", "m") is None
    assert context_overflow("the context length is wrong", "m") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers, seconds):
    assert retry_after_s(headers, datetime(2026, 1, 1, tzinfo=UTC)) == seconds
