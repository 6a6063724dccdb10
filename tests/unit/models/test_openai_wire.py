"""What servers really send, byte by byte: a raw server on this machine says what a test tells it to say."""

import asyncio
import gc
import gzip
import itertools
import json
import socket
import ssl
import warnings
from collections.abc import Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workbench.core import BadResponse, ConfigError, ContextOverflow, RateLimited, Request, Sampling, Unavailable
from workbench.models import ModelCard
from workbench.models.openai_compatible import OpenAICompatibleModel
from workbench.testing import StubBehaviour, StubServer

ASK = Request.from_prompt("one two three", sampling=Sampling(max_tokens=10))
SSE = "content-type: text/event-stream"


def chunk(text: str | None = None, finish: str | None = None, **more) -> str:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    return "data: " + json.dumps({"choices": [choice], **more}) + "\n\n"


WHOLE = chunk("Zwölf ") + chunk("Affen") + chunk(finish="stop")


@asynccontextmanager
async def server(
    *parts: str | bytes, head: str = SSE, status: str = "200 OK", chunked: bool = False, then: Iterable[str] = ()
):
    """Answers every request with `parts` and what comes `then`, then closes; yields its address and what was sent to it."""
    seen: list[str] = []
    ended: list[asyncio.Event] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.Event())
        mine = ended[-1]
        try:
            await talk(reader, writer)
        except ConnectionError:  # the client has heard enough
            pass
        finally:
            writer.close()
            mine.set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(
            asked + (await reader.readexactly(int(asked.lower().split("content-length: ")[1].split()[0]))).decode()
        )
        writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode())
        writer.write(b"transfer-encoding: chunked\r\n\r\n" if chunked else b"connection: close\r\n\r\n")
        for part in itertools.chain(parts, then):
            writer.write(part if isinstance(part, bytes) else part.encode())
            await writer.drain()
            await asyncio.sleep(0.005)

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1", seen
        for one in ended:
            await one.wait()


def load(url: str, **card) -> OpenAICompatibleModel:
    return OpenAICompatibleModel(
        "api", ModelCard(**{"kind": "openai-compatible", "model": "x", "base_url": url, "retries": 0, **card})
    )


async def complete(*parts: str | bytes, options: dict | None = None, **answer):
    async with server(*parts, **answer) as (url, _):
        model = load(url, options=options or {})
        try:
            return await model.complete(ASK)
        finally:
            await model.close()


async def test_a_stream_may_be_cut_within_a_character_and_a_line():
    data = WHOLE.encode()
    cuts = [data[start : start + 7] for start in range(0, len(data), 7)]
    assert (await complete(*cuts)).text == "Zwölf Affen"


async def test_a_compressed_stream_is_read():
    assert (
        await complete(gzip.compress(WHOLE.encode()), head=SSE + "\r\ncontent-encoding: gzip")
    ).text == "Zwölf Affen"


async def test_comments_line_ends_and_a_missing_end_mark_do_not_matter():
    assert (await complete(": ping\r\n\r\n", WHOLE.replace("\n", "\r\n"))).text == "Zwölf Affen"


async def test_a_server_that_does_not_stream_is_understood():
    message = {"choices": [{"message": {"content": "12"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    answer = await complete(json.dumps(message), head="content-type: application/json")
    assert (answer.text, answer.usage.prompt_tokens, answer.timing.ttft_s) == ("12", 3, None)


async def test_what_is_sent_after_the_end_mark_is_not_waited_for():
    """Pings without end: who waits for them waits for ever."""
    pings = itertools.repeat(": ping\n\n")
    async with asyncio.timeout(300), server(WHOLE, "data: [DONE]\n\n", then=pings) as (url, _):
        model = load(url)
        answer = await model.complete(ASK)
        await model.close()
    assert answer.text == "Zwölf Affen"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        ({"message": "boom", "code": 500}, Unavailable, "status 500: boom"),
        ({"message": "wait", "code": 429}, RateLimited, "slow down: wait"),
        ({"message": "boom", "code": "server_error"}, Unavailable, "ended the stream with an error: boom"),
        ("boom", Unavailable, "ended the stream with an error: boom"),
    ],
)
async def test_an_error_inside_a_stream_is_the_models(error, kind, said):
    with pytest.raises(kind, match=said):
        await complete(chunk("a"), "data: " + json.dumps({"error": error}) + "\n\n")


async def test_a_connection_that_breaks_is_unavailable():
    size = f"{len(chunk('a').encode()):x}\r\n"
    with pytest.raises(Unavailable, match="cannot reach the server or lost it"):
        await complete(size + chunk("a") + "\r\n", "ff\r\n", chunked=True)


async def test_a_connection_that_closes_early_is_unavailable():
    with pytest.raises(Unavailable, match="ended before the answer was complete"):
        await complete(chunk("a"))


@pytest.mark.parametrize(
    "data", ["[1]", "7", "null", '"text"', '{"choices": 3}', '{"choices": [{"delta": {"content": 7}}]}']
)
async def test_json_that_is_no_chunk_is_a_bad_response(data):
    with pytest.raises(BadResponse):
        await complete(f"data: {data}\n\n", WHOLE)


async def test_a_page_instead_of_an_answer_is_not_taken_for_one():
    with pytest.raises(BadResponse, match="text/html"):
        await complete("<html>Log in</html>", head="content-type: text/html")


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        ("400 Bad Request", '{"error": "model x not found"}', BadResponse, "model x not found"),  # Ollama
        ("404 Not Found", '{"detail": "Not Found"}', BadResponse, "status 404: Not Found"),  # FastAPI
        ("502 Bad Gateway", "<html>nginx</html>", Unavailable, "status 502: <html>nginx</html>"),
        ("503 Service Unavailable", "", Unavailable, r"status 503: \(nothing said\)"),
        (
            "400 Bad Request",
            '{"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}',
            ContextOverflow,
            "9 tokens",
        ),
    ],
)
async def test_refusals_are_quoted_whatever_their_form(status, body, kind, said):
    with pytest.raises(kind, match=said):
        await complete(body, status=status, head="content-type: application/json")


async def test_reasoning_is_counted_and_neither_shown_nor_the_first_token():
    with StubServer(StubBehaviour(reasoning="well let me see", ttft_s=0.01)) as stub:
        for stream in (True, False):
            model = load(stub.url, model="stub", options={"stream": stream})
            answer = await model.complete(ASK)
            assert answer.text == "An answer of six short words."
            assert (answer.usage.completion_tokens, answer.usage.reasoning_tokens) == (10, 4)
            await model.close()


async def test_only_what_card_and_request_say_is_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-of-somebody")
    async with server(WHOLE) as (url, seen):
        model = load(url, options={"extra_body": {"temperature": None, "top_k": 3}})
        await model.complete(ASK)
        await model.close()
    head, _, body = seen[0].partition("\r\n\r\n")
    assert "somebody" not in seen[0]
    assert {line.partition(":")[0].lower() for line in head.splitlines()[1:]} == {
        "host", "content-type", "user-agent", "accept", "accept-encoding", "content-length",
    }  # fmt: skip
    assert json.loads(body) == {
        "model": "x",
        "messages": [{"role": "user", "content": "one two three"}],
        "max_tokens": 10,
        "top_k": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_proxy_of_the_environment_is_used_and_its_exceptions_too(monkeypatch):
    async with server(WHOLE) as (proxy, seen):
        monkeypatch.setenv("http_proxy", proxy.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "elsewhere.test")
        model = load("http://model.test/v1")
        assert (await model.complete(ASK)).text == "Zwölf Affen"
        assert seen[0].startswith("POST http://model.test/v1/chat/completions")
        await model.close()
        model = load("http://elsewhere.test:1/v1")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: (_ for _ in ()).throw(OSError("asked directly")))
        with pytest.raises(Unavailable):
            await model.complete(ASK)
        assert len(seen) == 1
        await model.close()


def test_a_proxy_of_another_kind_is_refused_at_load(monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConfigError, match="names a socks5 proxy"):
        load("https://model.test/v1")


@pytest.mark.parametrize("url", ["http://", "http://host:port/v1", "http://[::1/v1", "ftp://host/v1"])
def test_an_address_that_is_none_is_refused_at_load(url):
    with pytest.raises(ConfigError, match="base_url must be the server's"):
        load(url)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(monkeypatch, key):
    monkeypatch.setenv("ODD_KEY", key)
    with pytest.raises(ConfigError, match="environment variable ODD_KEY holds") as caught:
        load("http://127.0.0.1/v1", api_key="env:ODD_KEY")
    assert key not in str(caught.value)


def test_connections_are_closed_with_the_loop_they_were_opened_in():
    with StubServer() as stub, warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load(stub.url, model="stub")
        for _ in range(3):
            assert asyncio.run(model.complete(ASK)).text
        gc.collect()
    assert len(stub.requests) == 3


async def test_connections_are_used_again():
    with StubServer() as stub:
        model = load(stub.url, model="stub")
        for _ in range(5):
            await asyncio.gather(*(model.complete(ASK) for _ in range(4)))
        session = await model._session.get()
        assert sum(len(free) for free in session.connector._conns.values()) == 4
        await model.close()


async def test_a_prompt_with_half_a_surrogate_pair_can_be_asked():
    with StubServer() as stub:
        model = load(stub.url, model="stub")
        assert (await model.complete(Request.from_prompt("a \ud83d b"))).text
        await model.close()


async def test_a_temperature_that_is_no_number_is_not_sent():
    model = load("http://127.0.0.1:1/v1")
    with pytest.raises(BadResponse, match="cannot be written as JSON"):
        await model.complete(Request.from_prompt("x", sampling=Sampling(temperature=float("nan"))))
    await model.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "server.pem"))
    running = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with running:
        model = load(f"https://localhost:{running.sockets[0].getsockname()[1]}/v1")
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await model.complete(ASK)
        await model.close()


def self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=36500))
    signed = builder.sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.TraditionalOpenSSL
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path
