import json

import pytest

from workbench.core import ModelError, RateLimited, Unavailable
from workbench.gateway import GatewayConfig

ASK = {"messages": [{"role": "user", "content": "2 + 2?"}]}


async def ask(client, body=ASK, **options):
    return await client.post("/v1/chat/completions", json=body, **options)


async def test_an_answer_has_openais_shape_and_says_what_the_stack_did(client):
    async with client() as gateway:
        response = await ask(gateway)
    body = response.json()
    assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "the answer is four")
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert (body["workbench"]["chosen"], body["workbench"]["model"], body["workbench"]["cached"]) == (
        "tiny",
        "tiny",
        False,
    )
    assert response.headers["x-workbench-model"] == "tiny"
    assert response.headers["x-workbench-request-id"] == body["workbench"]["request_id"]


async def test_the_trace_comes_when_it_is_asked_for(client):
    async with client() as gateway:
        plain = (await ask(gateway)).json()["workbench"]
        told = (await ask(gateway, headers={"x-workbench-trace": "1"})).json()["workbench"]
    assert "trace" not in plain
    assert [step["name"] for step in told["trace"]["steps"]][-1] == "settle"


async def test_a_stream_is_the_same_answer_in_pieces_with_usage_where_asked(client):
    async with client() as gateway:
        response = await ask(gateway, {**ASK, "stream": True, "stream_options": {"include_usage": True}})
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    *chunks, last, usage = map(json.loads, events[:-1])
    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == "the answer is four"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert (last["choices"][0]["finish_reason"], last["workbench"]["chosen"]) == ("stop", "tiny")
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 7)
    assert len({c["id"] for c in (*chunks, last, usage)}) == 1


async def test_a_stored_answer_says_so_and_no_cache_asks_again(client):
    async with client(recall={"exact": {}}) as gateway:
        cached = [(await ask(gateway)).json()["workbench"]["cached"] for _ in range(2)]
        fresh = (await ask(gateway, headers={"x-workbench-no-cache": "1"})).json()["workbench"]["cached"]
    assert (cached, fresh) == ([False, True], False)


async def test_a_key_is_asked_for_where_keys_are_configured(client, monkeypatch):
    monkeypatch.setenv("TEAM_A", "key-of-team-a")
    async with client(admit={"api_keys": {"env:TEAM_A": "team-a"}}) as gateway:
        codes = [
            (await ask(gateway, headers=headers)).status_code
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer key-of-team-a"})
        ]
    assert codes == [401, 401, 200]


async def test_a_rate_limit_says_when_to_come_again(client):
    async with client(admit={"rate_limit": {"requests_per_minute": 1}}) as gateway:
        first, second = [await ask(gateway) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 429)
    assert 1 <= int(second.headers["retry-after"]) <= 60
    assert second.json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_blocked_prompt_is_forbidden_streamed_or_not(client):
    guards = {"guards": [{"kind": "phrases", "phrases": ["2 + 2"], "action": "block"}]}
    async with client(inspect=guards) as gateway:
        replies = [await ask(gateway, {**ASK, "stream": stream}) for stream in (False, True)]
    assert [reply.status_code for reply in replies] == [403, 403]
    assert replies[0].json()["error"]["code"] == "blocked"


def failing(error: ModelError):
    return lambda request: error


@pytest.mark.parametrize(
    ("error", "status"),
    [(Unavailable("down", model="tiny"), 503), (RateLimited("busy", model="tiny", retry_after_s=7), 429)],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_fails_before_any_text_is_an_http_error(client, error, status, stream):
    async with client(failing(error)) as gateway:
        response = await ask(gateway, {**ASK, "stream": stream})
    assert response.status_code == status
    assert response.headers.get("retry-after") == ("7" if status == 429 else None)


async def test_a_deadline_that_passes_is_a_gateway_timeout(client):
    from workbench.testing import ScriptedModel

    async with client(model=ScriptedModel("tiny", ["late"], latency_s=30)) as gateway:
        response = await ask(gateway, headers={"x-workbench-deadline-s": "0.05"})
    assert response.status_code == 504


async def test_a_fault_inside_tells_nothing_but_the_request_id(client, caplog):
    def broken(request):
        raise ZeroDivisionError("/etc/secret")

    async with client(broken) as gateway:
        response = await ask(gateway)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["x-workbench-request-id"] in caplog.text


async def test_a_body_over_the_limit_is_refused_in_a_sentence(client):
    async with client(gateway=GatewayConfig(max_body_bytes=1000)) as gateway:
        response = await ask(gateway, {"messages": [{"role": "user", "content": "x" * 2000}]})
    assert response.status_code == 413
    assert "over the limit of 1000 bytes" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("request_of", "status"),
    [
        ({"method": "POST", "url": "/v1/chat/completions", "content": b"{not json"}, 400),
        ({"method": "POST", "url": "/v1/chat/completions", "json": {"messages": []}}, 400),
        ({"method": "POST", "url": "/v1/chat/completions", "json": {**ASK, "model": "gpt-x"}}, 404),
        ({"method": "GET", "url": "/v1/chat/completions"}, 405),
        ({"method": "GET", "url": "/v2/anything"}, 404),
    ],
)
async def test_wrong_requests_get_openais_error_object(client, request_of, status):
    async with client() as gateway:
        response = await gateway.request(**request_of)
    assert response.status_code == status
    assert response.json()["error"]["message"]


async def test_models_are_the_names_a_client_may_ask_for(client):
    async with client() as gateway:
        names = [line["id"] for line in (await gateway.get("/v1/models")).json()["data"]]
        assert names == ["auto", "quickstart"]
        assert [(await ask(gateway, {**ASK, "model": name})).status_code for name in names] == [200, 200]


async def test_health_names_the_configuration(client):
    async with client() as gateway:
        body = (await gateway.get("/healthz")).json()
    assert (body["status"], body["stack"], len(body["config_sha256"])) == ("ok", "quickstart", 64)


async def test_metrics_count_what_happened(client):
    async with client() as gateway:
        await ask(gateway)
        await ask(gateway)
        text = (await gateway.get("/metrics")).text
    assert 'workbench_requests_total{model="tiny",outcome="answered"} 2.0' in text
    assert 'workbench_tokens_total{kind="completion",model="tiny"} 8.0' in text
    assert 'workbench_latency_seconds_count{outcome="answered"} 2.0' in text
