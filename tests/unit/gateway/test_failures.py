import pytest

from workbench.core import (
    BadResponse,
    Blocked,
    BudgetExceeded,
    ConfigError,
    ContextOverflow,
    RateLimited,
    StoreError,
    Unavailable,
)
from workbench.gateway.failures import failure_of, too_large


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ConfigError("bad field"), 400, "invalid_request"),
        (ContextOverflow(model="tiny", prompt_tokens=900, context_window=512), 400, "context_length_exceeded"),
        (Blocked("no API key", guard="identity"), 401, "invalid_api_key"),
        (Blocked("a phrase", guard="phrases"), 403, "blocked"),
        (too_large(10), 413, "request_too_large"),
        (BudgetExceeded("slow down", scope="rate", retry_after_s=0.2), 429, "rate_limit_exceeded"),
        (BudgetExceeded("spent", scope="session"), 429, "insufficient_quota"),
        (RateLimited("busy", model="tiny"), 429, "model_rate_limited"),
        (BadResponse("nonsense", model="tiny"), 502, "bad_model_response"),
        (Unavailable("down", model="tiny"), 503, "model_unavailable"),
        (Unavailable("slow", model="tiny", status=504), 504, "deadline_exceeded"),
        (StoreError("the disk is full"), 503, "unavailable"),
        (RuntimeError("secret path /etc/x"), 500, "internal_error"),
    ],
)
def test_every_error_has_its_status_and_code(error, status, code):
    failure = failure_of(error)
    assert (failure.status, failure.code) == (status, code)
    assert set(failure.to_json()["error"]) == {"message", "type", "param", "code"}


def test_waiting_is_told_in_whole_seconds_and_never_as_zero():
    assert failure_of(BudgetExceeded("x", scope="rate", retry_after_s=0.2)).headers() == {"retry-after": "1"}
    assert failure_of(BudgetExceeded("x", scope="rate", retry_after_s=2.1)).headers() == {"retry-after": "3"}


def test_a_spent_budget_asks_clients_not_to_try_again():
    assert failure_of(BudgetExceeded("x", scope="session")).headers() == {"x-should-retry": "false"}


@pytest.mark.parametrize("error", [RuntimeError("secret path /etc/x"), StoreError("/srv/audit.jsonl is full")])
def test_internals_are_not_told(error):
    assert "/" not in failure_of(error).message
