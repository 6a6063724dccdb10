"""The script behind `fake_vllm_environment`: log lines, a child process and two endpoints, on the standard library alone."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

LOG = {
    "start": "(APIServer pid=1) INFO 11-23 18:12:37 [api_utils.py:286] non-default args: ",
    "dying": "(EngineCore pid=2) ERROR 11-23 18:12:59 [core.py:1] ValueError: No available memory for the cache blocks.\n"
    "(APIServer pid=1) INFO 11-23 18:13:00 [launcher.py:1] Shutting down",
    "memory": "(Worker pid=3) INFO 11-23 18:12:59 [cpu_worker.py:260] Explicitly set (1.0/16.09) GiB for KV cache on node 0.",
    "capacity": "(EngineCore pid=2) INFO 11-23 18:12:59 [kv_cache_utils.py:2327] CPU KV cache size: 174,720 tokens, "
    "Maximum concurrency for 512 tokens per request: 341.25x",
    "killed": "(EngineCore pid=2) ERROR 11-23 18:20:00 [core.py:1] torch.OutOfMemoryError: it grew too big",
}
FOREVER_S = 600
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
HEAD = {"id": "1", "created": 0, "model": "m"}


def say(line: str) -> None:
    """A line of the log."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Handler(http.server.BaseHTTPRequestHandler):
    """`GET` anything is healthy, `POST` anything is a chat completion."""

    protocol_version = "HTTP/1.1"
    engine: subprocess.Popen[bytes]
    model = ""

    def log_message(self, *words: object) -> None:
        """Requests are not logged."""

    def do_GET(self) -> None:
        """Healthy."""
        self._send(200, {})

    def do_POST(self) -> None:
        """The prompt in capitals."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key, prompt = os.environ.get("VLLM_API_KEY"), body["messages"][-1]["content"]
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self._send(401, {"error": {"message": "Unauthorized"}})
        elif body["model"] != self.model:
            self._send(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
        elif prompt == "die":
            say(LOG["killed"])
            self.engine.kill()
            os._exit(1)
        elif body.get("stream"):
            self._stream((" ", prompt.upper()))
        else:
            message = {"role": "assistant", "content": " " + prompt.upper()}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            self._send(200, {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})

    def _send(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, pieces: tuple[str, ...]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces:
            self._event({"choices": [_choice({"role": "assistant", "content": piece}, None)]})
        self._event({"choices": [_choice({}, "stop")]})
        self._event({"choices": [], "usage": USAGE})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, document: dict[str, Any]) -> None:
        event = {**HEAD, "object": "chat.completion.chunk", **document}
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())


def _choice(delta: dict[str, str], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}


def serve(how: str, arguments: list[str]) -> None:
    """Start as vLLM does: talk, start an engine, listen."""
    say(LOG["start"] + " ".join(arguments))
    if how == "dies":
        say(LOG["dying"])
        sys.exit(7)
    engine = subprocess.Popen([sys.executable, "-S", "-c", f"import time; time.sleep({FOREVER_S})"])
    signal.signal(signal.SIGTERM, _on_sigterm(how, engine))
    if how == "silent":
        time.sleep(FOREVER_S)
    say(LOG["memory"])
    say(LOG["capacity"])
    Handler.engine = engine
    Handler.model = _value(arguments, "--served-model-name")
    address = (_value(arguments, "--host"), int(_value(arguments, "--port")))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()


def _on_sigterm(how: str, engine: subprocess.Popen[bytes]) -> Any:
    def stop(number: int, frame: object) -> None:
        if how != "orphans":
            engine.terminate()
            engine.wait()
        os._exit(0)

    return signal.SIG_IGN if how == "stubborn" else stop


def _value(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
