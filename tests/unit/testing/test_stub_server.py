import json
import urllib.error
import urllib.request

import pytest

from workbench.testing import Fault, StubBehaviour, StubServer


def post(server: StubServer, **body: object) -> str:
    document = {"model": "stub", "messages": [{"role": "user", "content": "one two"}], **body}
    request = urllib.request.Request(
        server.url + "/chat/completions", json.dumps(document).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as response:
        return response.read().decode()


def events(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.splitlines() if line]


def test_a_whole_answer_has_text_finish_and_usage():
    with StubServer(StubBehaviour(reply="a b c", cached_tokens=1)) as server:
        answer = json.loads(post(server, max_tokens=2))
    assert answer["choices"][0]["message"]["content"] == "a b"
    assert answer["choices"][0]["finish_reason"] == "length"
    usage = {
        "prompt_tokens": 2,
        "completion_tokens": 2,
        "total_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    assert answer["usage"] == usage


@pytest.mark.parametrize(("asked", "able", "n_usage"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_a_stream_ends_with_usage_when_asked_and_able(asked, able, n_usage):
    with StubServer(StubBehaviour(usage_in_streams=able)) as server:
        options = {"stream_options": {"include_usage": True}} if asked else {}
        lines = events(post(server, stream=True, **options))
    assert lines[-1] == "[DONE]"
    assert sum("usage" in json.loads(line) for line in lines[:-1]) == n_usage


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (StubBehaviour(key="k"), 401),
        (StubBehaviour(models=("other",)), 404),
        (StubBehaviour(context_window=1), 400),
        (StubBehaviour(faults=[Fault(kind="server_error", every=1)]), 500),
        (StubBehaviour(faults=[Fault(kind="rate_limited", every=1, retry_after_s=3)]), 429),
    ],
)
def test_each_refusal_has_its_status(behaviour, status):
    with StubServer(behaviour) as server, pytest.raises(urllib.error.HTTPError) as caught:
        post(server)
    assert caught.value.code == status
    assert caught.value.headers.get("retry-after") == ("3" if status == 429 else None)
    caught.value.close()


def test_what_was_asked_is_kept():
    with StubServer() as server:
        post(server, temperature=0.5)
    assert server.requests[0]["temperature"] == 0.5
