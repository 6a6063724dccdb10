"""What asking a server costs the asker: processor time a request and a chunk, through the package and without it.

A stub in another process answers by streams, one chunk to every open request each few milliseconds, as a server that decodes in
batches does. Three clients take turns: the package's OpenAI-compatible model, a bare loop over aiohttp's stream (a few lines: split
at blank lines, parse, join) and the openai SDK. Answers of two lengths tell the cost of a request from that of a chunk.

Writes benchmarks/results/client_cost.json. Processor time is the figure that a busy machine disturbs least.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import openai

from workbench.core import Request, Sampling
from workbench.core.environment import environment
from workbench.core.files import write_json
from workbench.models import ModelCard, load_model

RESULTS = Path(__file__).parent / "results" / "client_cost.json"
WORD = " word"
Ask = Callable[[int], Awaitable[str]]
Sides = Callable[[str], object]


def main() -> None:
    options = parse_options()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, options.step_ms / 1000), daemon=True
    )
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    clients = {"package": package, "aiohttp": bare, "openai_sdk": sdk}
    levels = []
    for concurrency in options.concurrency:
        turns = {name: {chunks: [] for chunks in options.chunks} for name in clients}
        for turn in range(options.repeats):
            for name in list(clients) if turn % 2 == 0 else list(clients)[::-1]:
                for chunks in options.chunks:
                    n = max(options.requests, 8 * concurrency)
                    turns[name][chunks].append(asyncio.run(timed(clients[name], url, n, concurrency, chunks)))
        level = {"concurrency": concurrency, "clients": {name: costs(turns[name]) for name in clients}}
        levels.append(level)
        print(json.dumps(level))
    server.terminate()
    settings = {name: value for name, value in vars(options).items() if name != "out"}
    result = {**environment(), "settings": settings, "formulas": FORMULAS, "levels": levels}
    write_json(options.out, result)


FORMULAS = {
    "cpu_ms_per_chunk": "(CPU of the long answers - CPU of the short ones) / difference in chunks, median of turns",
    "cpu_ms_per_request": "CPU of the short answers less their chunks, median of turns",
    "wall_ms_per_request": "of the long answers: wall seconds x concurrency / requests; best_wall_ms is the server's own pace",
}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--chunks", type=int, nargs=2, default=[4, 64], help="words in short and in long answers")
    parser.add_argument("--requests", type=int, default=12, help="at least; 8 x concurrency where that is more")
    parser.add_argument("--step-ms", type=float, default=3.0, help="between two chunks of an answer")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.out = options.out.resolve()
    return options


async def timed(client: Callable, url: str, n: int, concurrency: int, chunks: int) -> dict[str, float]:
    """Wall and processor seconds of `n` answers, so many at a time, on connections that are open already."""
    async with client(url) as ask:
        await asyncio.gather(*(ask(1) for _ in range(concurrency)))
        left = iter(range(n))

        async def worker() -> None:
            for _ in left:
                text = await ask(chunks)
                if text != WORD * chunks:
                    raise SystemExit(f"an answer differs from what was sent: {text[:80]!r}")

        wall_s, cpu_s = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker() for _ in range(concurrency)))
        return {"n": n, "wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s, "at": concurrency}


def costs(turns: dict[int, list[dict[str, float]]]) -> dict[str, float]:
    (short, brief), (long, lengthy) = sorted(turns.items())
    pairs = [(a["cpu_s"] / a["n"], b["cpu_s"] / b["n"]) for a, b in zip(brief, lengthy, strict=True)]
    chunk = statistics.median((b - a) / (long - short) for a, b in pairs)
    request = statistics.median(a - short * (b - a) / (long - short) for a, b in pairs)
    walls = [1000 * turn["wall_s"] * turn["at"] / turn["n"] for turn in lengthy]
    return {
        "cpu_ms_per_chunk": round(1000 * chunk, 4),
        "cpu_ms_per_request": round(1000 * request, 3),
        f"cpu_ms_per_answer_of_{long}_chunks": round(1000 * statistics.median(b for _, b in pairs), 3),
        "wall_ms_per_request": round(statistics.median(walls), 2),
        "best_wall_ms_per_request": round(min(walls), 2),
    }


@asynccontextmanager
async def package(url: str):
    model = load_model("stub", ModelCard(kind="openai-compatible", model="stub", base_url=url, retries=0))

    async def ask(chunks: int) -> str:
        return (await model.complete(Request.from_prompt("Say words.", sampling=Sampling(max_tokens=chunks)))).text

    yield ask
    await model.close()


@asynccontextmanager
async def bare(url: str):
    body = {"model": "stub", "messages": [{"role": "user", "content": "Say words."}], "stream": True}
    async with aiohttp.ClientSession() as session:

        async def ask(chunks: int) -> str:
            texts, rest = [], b""
            async with session.post(url + "/chat/completions", json={**body, "max_tokens": chunks}) as response:
                async for data in response.content.iter_any():
                    *events, rest = (rest + data).split(b"\n\n")
                    for event in events:
                        if event != b"data: [DONE]":
                            for choice in json.loads(event[6:])["choices"]:
                                texts.append(choice["delta"].get("content") or "")
            return "".join(texts)

        yield ask


@asynccontextmanager
async def sdk(url: str):
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        async def ask(chunks: int) -> str:
            messages = [{"role": "user", "content": "Say words."}]
            stream = await client.chat.completions.create(
                model="stub", messages=messages, max_tokens=chunks, stream=True, stream_options={"include_usage": True}
            )
            texts = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
            return "".join(texts)

        yield ask


def serve(told: Connection, step_s: float) -> None:
    """The stub: precomputed bytes, and one tick for all open answers."""
    asyncio.run(_serve(told, step_s))


async def _serve(told: Connection, step_s: float) -> None:
    loop, answering = asyncio.get_running_loop(), {}
    server = await loop.create_server(lambda: _Connection(answering), "127.0.0.1", 0)
    told.send(server.sockets[0].getsockname()[1])
    while True:
        await asyncio.sleep(step_s)
        for connection, left in list(answering.items()):
            connection.tick(left)


class _Connection(asyncio.Protocol):
    def __init__(self, answering: dict) -> None:
        self.answering, self.received = answering, b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, blank, body = self.received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if blank and lengths and len(body) >= int(lengths[0][15:]):
            self.received = b""
            self.transport.write(HEAD)
            self.answering[self] = json.loads(body)["max_tokens"]

    def tick(self, left: int) -> None:
        self.transport.write(PIECE if left else END)
        if left:
            self.answering[self] = left - 1
        else:
            del self.answering[self]

    def connection_lost(self, exc: Exception | None) -> None:
        self.answering.pop(self, None)


def _event(document: dict | None) -> bytes:
    data = b"data: " + (b"[DONE]" if document is None else json.dumps(document).encode()) + b"\n\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _chunk(choices: list, **more: object) -> dict:
    head = {"id": "chatcmpl-a1fa82e7c44f4d0d9f0c8d5e3b1f2a60", "object": "chat.completion.chunk", "created": 1767225600}
    return {**head, "model": "stub", "choices": choices, **more}


def _choice(delta: dict, finish: str | None) -> list:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, "token_ids": None}]


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = _event(_chunk(_choice({"content": WORD}, None)))
USAGE = {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}
END = _event(_chunk(_choice({}, "stop"))) + _event(_chunk([], usage=USAGE)) + _event(None) + b"0\r\n\r\n"


if __name__ == "__main__":
    main()
