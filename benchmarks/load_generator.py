"""Does the load generator keep its schedule? Send lag against a trivial server in another process, and what a closed loop hides.

The server is a bare asyncio one that answers every chat request with a stream of eight words at once, so that what is measured is this
package's side: schedule, client, parsing, observation, journal. Lag is from the intended start to the call of `Model.stream`.

The second part shows coordinated omission: the same server, which now takes 10 ms an answer, one at a time, and stops for one second in
every ten. A closed loop of one waits with it and hardly notices; an open loop at half the server's rate tells what users feel.

Writes benchmarks/results/load_generator.json.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workbench.core import Sampling
from workbench.core.environment import environment
from workbench.core.files import write_json
from workbench.evaluation.load import BenchConfig, bench
from workbench.models import ModelCard, load_model

RESULTS = Path(__file__).parent / "results" / "load_generator.json"
RATES = (10, 50, 100, 200)
TARGET = {"rate_rps": 100, "p99_s": 0.010}
WORDS = ("one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=20.0)
    parser.add_argument("--serve", nargs=2, metavar=("SERVICE_S", "STALL_S"), help="run the server; prints its port")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(*map(float, options.serve)))
        return
    with Server(0.0, 0.0) as url:
        lags = [measured(url, BenchConfig(rate_rps=rate, duration_s=options.duration, warm_up_s=2)) for rate in RATES]
    with Server(0.010, 1.0) as url:
        common = {"duration_s": 3 * options.duration, "warm_up_s": 2, "stop_when_saturated": False}
        closed = measured(url, BenchConfig(concurrency=1, **common))
        opened = measured(url, BenchConfig(rate_rps=50, **common))
    at_target = next(row for row in lags if row["rate_rps"] == TARGET["rate_rps"])
    result = {
        **environment(),
        "settings": {"duration_s": options.duration, "arrivals": "poisson", "words": len(WORDS)},
        "formula": "send lag = call of Model.stream - intended start; cpu_share = processor seconds of the generator / wall seconds",
        "target": {**TARGET, "met": at_target["send_lag_s"]["p99"] < TARGET["p99_s"]},
        "send_lag": lags,
        "coordinated_omission": {
            "server": "10 ms an answer, one at a time, stopped for 1 s in every 10 s",
            "closed_loop_1_in_flight": closed,
            "open_loop_50_rps": opened,
        },
    }
    write_json(RESULTS, result)
    print(json.dumps(result["target"]), file=sys.stderr)


def measured(url: str, config: BenchConfig) -> dict:
    """One load, with a journal on disk as a user's run has one."""
    card = ModelCard(kind="openai-compatible", model="trivial", base_url=url, retries=0)
    config = BenchConfig(
        **{name: getattr(config, name) for name in config.__slots__ if name != "sampling"},
        sampling=Sampling(max_tokens=8),
    )
    with tempfile.TemporaryDirectory() as folder:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        found = bench(load_model("trivial", card), [f"question {i}" for i in range(100)], config, out=Path(folder))
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    document = found.document
    kept = (
        "loop",
        "rate_rps",
        "concurrency",
        "duration_s",
        "n",
        "failed",
        "cut",
        "requests_per_s",
        "tokens_per_s",
        "complete",
    )
    spreads = ("send_lag_s", "latency_s", "latency_from_send_s")
    row = {
        **{name: document[name] for name in kept},
        **{name: document[name] for name in spreads},
        "cpu_share": cpu_s / wall_s,
    }
    lag = row["send_lag_s"]
    print(
        f"{row['loop']} {row['rate_rps']}: {row['n']} requests, lag p50 {1000 * lag['p50']:.2f} ms, p99 {1000 * lag['p99']:.2f} ms, "
        f"latency p99 {1000 * row['latency_s']['p99']:.1f} ms, processor {row['cpu_share']:.2f}"
    )
    return row


class Server:
    """The trivial server in a process of its own, while the block lasts."""

    def __init__(self, service_s: float, stall_s: float) -> None:
        self.command = [sys.executable, __file__, "--serve", str(service_s), str(stall_s)]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        return f"http://127.0.0.1:{int(self.process.stdout.readline())}/v1"

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


async def serve(service_s: float, stall_s: float) -> None:
    """Eight words as server-sent events; takes turns where an answer takes time, and stops in every tenth second where asked."""
    turn, began_s = asyncio.Lock(), time.monotonic()
    events = [{"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in WORDS]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": len(WORDS), "total_tokens": 10}})
    head = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "trivial"}
    chunks = [f"data: {json.dumps({**head, **event})}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
    framed = [f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            lines = request.lower().split(b"\r\n")
            length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
            await reader.readexactly(length)
            if not request.startswith(b"POST"):
                writer.write(missing)
                continue
            if service_s:
                async with turn:
                    into_s = (time.monotonic() - began_s) % 10
                    await asyncio.sleep(service_s + (stall_s - into_s if into_s < stall_s else 0))
            if writer.is_closing():
                return
            writer.write(start)
            for frame in framed:
                writer.write(frame)
            writer.write(b"0\r\n\r\n")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    main()
