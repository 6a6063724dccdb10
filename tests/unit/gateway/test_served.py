"""The gateway on a real port: the OpenAI client, clients that leave, prompts that are far too long, ports that are taken."""

import asyncio
import http.client
import json
import signal
import socket
import sys

import httpx
import openai
import pytest

from workbench.core import ConfigError, Delta
from workbench.gateway import bind, url_of
from workbench.testing import ScriptedModel

ASK = [{"role": "user", "content": "2 + 2?"}]


class Endless(ScriptedModel):
    """A model that streams until it is stopped, and remembers that it was."""

    def __init__(self, name):
        super().__init__(name, [])
        self.is_asked = False

    async def complete(self, request):
        async for _ in self.stream(request):
            pass

    async def stream(self, request):
        self.is_asked = True
        try:
            while True:
                yield Delta("word ")
                await asyncio.sleep(0.01)
        finally:
            self.is_closed = True


def test_the_openai_client_gets_an_answer(served, make_stack):
    with served(make_stack()) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        answer = client.chat.completions.create(model="auto", messages=ASK, metadata={"task": "sums"})
        listed = [model.id for model in client.models.list()]
    assert answer.choices[0].message.content == "the answer is four"
    assert (answer.usage.total_tokens, answer.model, answer.choices[0].finish_reason) == (7, "tiny", "stop")
    assert answer.model_extra["workbench"]["chosen"] == "tiny"
    assert listed == ["auto", "quickstart"]


def test_the_openai_client_reads_a_stream(served, make_stack):
    with served(make_stack()) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        chunks = list(
            client.chat.completions.create(
                model="auto", messages=ASK, stream=True, stream_options={"include_usage": True}
            )
        )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "the answer is four"
    assert chunks[-1].usage.total_tokens == 7


def test_the_openai_client_raises_its_own_errors(served, make_stack):
    guards = {"guards": [{"kind": "phrases", "phrases": ["2 + 2"], "action": "block"}]}
    with served(make_stack(inspect=guards)) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            client.chat.completions.create(model="auto", messages=ASK)
        with pytest.raises(openai.NotFoundError, match="not served here"):
            client.chat.completions.create(model="gpt-x", messages=ASK)
    assert caught.value.code == "blocked"


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_work(served, make_stack, until, stream):
    model = Endless("tiny")
    with served(make_stack(model=model)) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=300)
        body = json.dumps({"messages": ASK, "stream": stream})
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        until(lambda: model.is_asked)
        if stream:
            assert connection.getresponse().read(4) == b"data"
        assert not model.is_closed
        connection.close()
        until(lambda: model.is_closed)


def test_a_prompt_of_200_mb_is_refused_and_the_server_lives_on(served, make_stack):
    def pieces():
        yield b'{"messages": [{"role": "user", "content": "'
        for _ in range(200):
            yield b"x" * 1_000_000
        yield b'"}]}'

    with served(make_stack()) as url, httpx.Client(timeout=300) as client:
        refused = client.post(f"{url}/v1/chat/completions", content=pieces())
        alive = client.post(f"{url}/v1/chat/completions", json={"messages": ASK})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    assert alive.status_code == 200


def test_a_port_in_use_is_one_sentence():
    with bind("127.0.0.1", 0) as taken:
        port = int(url_of(taken).rpartition(":")[2])
        with pytest.raises(ConfigError, match="another process uses it"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port", "told"), [("127.0.0.1", 99999, "0 to 65535"), ("203.0.113.7", 0, "address of this machine")]
)
def test_an_address_that_cannot_be_listened_on_is_one_sentence(host, port, told):
    with pytest.raises(ConfigError, match=told):
        bind(host, port)


def test_ctrl_c_ends_the_server_quietly(processes):
    code = """
from starlette.applications import Starlette
from workbench.gateway.server import bind, serve
serve(Starlette(), bind("127.0.0.1", 0), ready=lambda: print("ready", flush=True))
print("ended")
"""
    process = processes.start([sys.executable, "-c", code])
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (0, "ended\n", "")


def test_answers_do_not_wait_for_the_clients_acknowledgement():
    """Nagle's algorithm is off on accepted connections: asyncio does that only for sockets that name TCP."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
