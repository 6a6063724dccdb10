"""`workbench models`: which models are at hand, one real answer, and a vLLM server of one of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli.memory import memory
from workbench.cli.output import print_json, print_table, say_deprecated, stderr

if TYPE_CHECKING:
    from workbench.core import Completion, Request
    from workbench.core.price import Price, TokenPrice
    from workbench.models import ModelCard
    from workbench.models.probing import Capabilities
    from workbench.models.vllm_server import VLLMServer

LAB = typer.Option(None, "--lab", help="Lab file; without it lab.yaml here, without that the reference family.")
LOG = typer.Option(None, "--log", help="File for vLLM's output; one in the temporary folder when left out.")
JSON = typer.Option(False, "--json", help="One JSON document on stdout.")
CAPABILITIES = {
    "max_tokens_field": "limit answers by",
    "streams": "stream",
    "accepts_stream_options": "take stream_options",
    "usage_in_streams": "end streams with usage when asked",
    "usage_unasked": "end streams with usage unasked",
    "usage": "count tokens in whole answers",
    "cached_tokens": "tell cached tokens",
    "logprobs": "tell log-probabilities",
    "seed": "honour a seed",
}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    verb = typer.Typer(help="Models: list them, ask one, serve one with vLLM.", no_args_is_help=True)
    verb.command("list")(list_models)
    verb.command("check")(check)
    verb.command("up")(up)
    verb.command("memory")(memory)
    app.add_typer(verb, name="models")


def list_models(lab: Path | None = LAB, as_json: bool = JSON) -> None:
    """The models of the lab and what is known about them.

    Example: workbench models list --lab lab.yaml
    """
    from workbench.models import load_lab

    cards = load_lab(lab).models
    if as_json:
        print_json({"models": {name: card.model_dump(mode="json") for name, card in cards.items()}})
        return
    rows = [
        [name, card.kind, card.model, card.region, card.context_window, _price(card.price)]
        for name, card in cards.items()
    ]
    print_table("Models", ["name", "kind", "model", "region", "context (tokens)", "price"], rows)


def check(
    name: str = typer.Argument(help="Model of the lab."),
    lab: Path | None = LAB,
    prompt: str = typer.Option("What is 2 + 3?", help="What it is asked."),
    max_tokens: int = typer.Option(32, min=1, help="Most tokens of the answer."),
    probe: bool = typer.Option(True, help="Ask a server a dozen short questions more, to see what it can do."),
    as_json: bool = JSON,
) -> None:
    """One real answer: text, tokens, seconds, cost; of a server also what it can do. Exits 1 when the model cannot answer.

    Example: workbench models check tiny --prompt "Sort 5 2 9"
    """
    from workbench.core import Request, Sampling
    from workbench.models import load_lab

    card = load_lab(lab).card(name)
    say_deprecated({name: card})
    request = Request.from_prompt(prompt, sampling=Sampling(max_tokens=max_tokens))
    starting = "starting vLLM, half a minute to minutes, then " if card.kind == "vllm" and not card.base_url else ""
    stderr.print(f"{starting}asking {name} ({card.kind}, {card.model}) …")
    answer, found = asyncio.run(_ask(name, card, request, probe=probe))
    if as_json:
        print_json({**asdict(answer), "capabilities": found and asdict(found), "advice": found and found.advice()})
        return
    print_table(f"{name} answers", ["what", "value"], _facts(prompt, answer))
    if found:
        print_table("Its server", ["can it", "", "because"], _findings(found))
    if found and found.advice():
        stderr.print(f"its card needs options: {found.advice()}")


def up(
    name: str = typer.Argument(help="Model of the lab: of the kind vllm, or transformers, which vLLM then serves."),
    lab: Path | None = LAB,
    port: int | None = typer.Option(None, min=1, max=65535, help="Port; a free one when left out."),
    log: Path | None = LOG,
    as_json: bool = typer.Option(False, "--json", help="One JSON document when ready: URL, process id, log, report."),
) -> None:
    """Serve a checkpoint with vLLM until Ctrl-C: OpenAI's and Anthropic's protocols on this machine.

    Example: workbench models up base --port 8100
    """
    from workbench.models import load_lab
    from workbench.models.vllm_server import VLLMServer

    server = VLLMServer(name, load_lab(lab).card(name), port=port, log=log)
    with interrupts_on_sigterm():
        try:
            server.start()
            _wait(server)
            _announce(server, as_json=as_json)
            server.wait_until_ended()
        except KeyboardInterrupt:
            stderr.print("stopping vLLM …")
        finally:
            _stop_for_good(server)
    stderr.print("stopped")


async def _ask(name: str, card: ModelCard, request: Request, *, probe: bool) -> tuple[Completion, Capabilities | None]:
    """The priced answer, streamed so that its first token is timed; and what the server can do, where there is one of OpenAI's protocol."""
    from workbench.core import Unavailable
    from workbench.economics import load_profiles, priced
    from workbench.models import load_model, probing

    profiles = load_profiles()
    model = load_model(name, card)
    try:
        async for delta in model.stream(request):
            if delta.completion is not None:
                answer = priced(delta.completion, card.price, profiles)
                server = probing.server_card(model) if probe else None
                return answer, await probing.probe(server) if server else None
        raise Unavailable("it ended without an answer", model=name)
    finally:
        await model.close()


@contextlib.contextmanager
def interrupts_on_sigterm() -> Iterator[None]:
    """SIGTERM and SIGHUP end what is under way as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(server: VLLMServer) -> None:
    stderr.print(
        f"starting vLLM {server.environment.version} for {server.checkpoint}; log: {server.log_path}", soft_wrap=True
    )
    with stderr.status("half a minute to minutes"):
        server.wait_until_ready()


def _announce(server: VLLMServer, *, as_json: bool) -> None:
    if as_json:
        facts = {"url": server.url, "model": server.name, "pid": server.pid, "log": str(server.log_path)}
        print_json({**facts, "report": asdict(server.report)})
        sys.stdout.flush()
    report = server.report
    if report.kv_cache_tokens is not None:
        stderr.print(f"KV cache: {report.kv_cache_gib} GiB, {report.kv_cache_tokens:,} tokens")
    stderr.print(f"{server.name} answers at {server.url} after {report.start_s:.0f} s; Ctrl-C stops it")


def _stop_for_good(server: VLLMServer) -> None:
    """Impatience (a second Ctrl-C) kills instead of waiting."""
    try:
        server.stop()
    except KeyboardInterrupt:
        server.stop()


def _facts(prompt: str, answer: Completion) -> list[list[Any]]:
    usage, timing = answer.usage, answer.timing
    per_1k = None if answer.cost_usd is None else f"{1000 * answer.cost_usd:.4g}"
    return [
        ["prompt", prompt],
        ["answer", answer.text],
        ["finish reason", answer.finish_reason],
        ["prompt tokens", str(usage.prompt_tokens) if usage.prompt_tokens is not None else None],
        ["answer tokens", str(usage.completion_tokens) if usage.completion_tokens is not None else None],
        ["first token (s)", None if timing.ttft_s is None else f"{timing.ttft_s:.3f}"],
        ["latency (s)", f"{timing.latency_s:.3f}"],
        ["cost of 1,000 such answers (USD)", per_1k],
        ["peak memory (GiB)", None if answer.memory_gib is None else f"{answer.memory_gib:.2f}"],
    ]


def _findings(found: Capabilities) -> list[list[Any]]:
    words = {True: "yes", False: "no"}
    values = {name: getattr(found, name) for name in CAPABILITIES}
    return [[CAPABILITIES[name], words.get(value, value), found.reasons.get(name)] for name, value in values.items()]


def _price(price: Price | None) -> str | None:
    from workbench.core.price import TokenPrice

    if isinstance(price, TokenPrice):
        return f"{price.input_usd_per_1m:g} in, {price.output_usd_per_1m:g} out USD per million tokens{_listed(price)}"
    return None if price is None else f"compute on {price.hardware}"


def _listed(price: TokenPrice) -> str:
    """Where a price was looked up; nothing for one that was typed in."""
    source = price.source
    if source is None:
        return ""
    return f" ({source.listed}, {source.tier}, {source.as_of}{', deprecated' if source.is_deprecated else ''})"
