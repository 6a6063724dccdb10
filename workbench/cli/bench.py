"""`workbench bench`: what a model's users would feel at a given rate, and the highest rate that holds an SLO."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from workbench.cli.bench_table import print_bench
from workbench.cli.interrupted import leaving
from workbench.cli.output import logged, print_json, say_deprecated, stderr

if TYPE_CHECKING:
    from workbench.evaluation.load import BenchConfig, BenchResult, LoadProgress, RateSearch
    from workbench.models import ModelCard

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
SLO_HELP = "Bounds in seconds that a good request holds: ttft_s=0.5,latency_s=2,tpot_s=0.05 (any of them)."


class ModelOrVerb(TyperGroup):
    """`bench NAME` is `bench run NAME`; `run` also reaches a model that is called `show` or `import`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before anything that is not one of the group's verbs."""
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


bench_app = typer.Typer(
    cls=ModelOrVerb,
    help="Load a model and measure what its users would feel.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(bench_app, name="bench")


@bench_app.command("run")
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model of the lab.")],
    rate: Annotated[
        float | None,
        typer.Option(help="Requests a second offered (open loop); with --find-rate where the search starts."),
    ] = None,
    duration: Annotated[float, typer.Option(help="Seconds measured; of each stage with --find-rate.")] = 30.0,
    slo: Annotated[str | None, typer.Option(help=SLO_HELP)] = None,
    share: Annotated[float, typer.Option(help="Share of requests that must be good for the SLO to hold.")] = 0.95,
    concurrency: Annotated[
        int | None,
        typer.Option(help="Without --rate: requests kept in flight (closed loop). With it: at most so many in flight."),
    ] = None,
    arrivals: Annotated[str, typer.Option(help="poisson, gamma (needs --burstiness) or constant.")] = "poisson",
    burstiness: Annotated[
        float | None, typer.Option(help="Gamma shape: below 1 clumps, above 1 evens out; implies --arrivals gamma.")
    ] = None,
    rescale_gaps: Annotated[
        bool, typer.Option(help="Exactly rate x duration requests, as `vllm bench serve` draws them.")
    ] = False,
    warm_up: Annotated[float, typer.Option(help="Seconds of load before the measured window.")] = 5.0,
    drain: Annotated[float, typer.Option(help="Seconds that measured requests may take beyond the window.")] = 30.0,
    keep_load: Annotated[bool, typer.Option(help="Keep the load up until the measured requests have ended.")] = True,
    think: Annotated[float, typer.Option(help="Closed loop: seconds between an answer and the next request.")] = 0.0,
    prompts: Annotated[
        str, typer.Option(help="reference, or a JSON lines, CSV or parquet file with a column `prompt`.")
    ] = "reference",
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 64,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    ignore_eos: Annotated[
        bool, typer.Option(help="Answers of exactly --max-tokens, where the server can (vLLM).")
    ] = False,
    find_rate: Annotated[bool, typer.Option(help="Find the highest rate that holds the SLO.")] = False,
    tolerance: Annotated[float, typer.Option(help="--find-rate: how closely, as a share of the rate.")] = 0.1,
    retries: Annotated[
        int, typer.Option(min=0, help="Retries inside the model; they hide failures behind latency.")
    ] = 0,
    stop_when_saturated: Annotated[
        bool, typer.Option(help="Stop when the queue is shown to grow without bound.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Draws arrivals and the order of prompts.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the result; without it nothing is kept.")] = None,
    fresh: Annotated[bool, typer.Option(help="Throw an earlier bench in the folder away.")] = False,
    track: Annotated[bool, typer.Option(help="Log the result as an MLflow run.")] = False,
    lab: Annotated[
        Path | None, typer.Option(help="lab.yaml; the one in this folder, or the reference family, by default.")
    ] = None,
    json: JSON = False,
) -> None:
    """Load a model of the lab: percentiles with intervals, throughput, goodput. `bench show DIR` and `bench import` are beside it.

    Exits 3 when an SLO was given and is not held, 1 when no request was answered, 2 on bad input.

    Example: workbench bench tiny --rate 2 --duration 30 --slo ttft_s=0.5,latency_s=2
    """
    from workbench.core import ConfigError, Sampling
    from workbench.core.files import check_folder
    from workbench.evaluation.load import SLO, BenchConfig, RateSearch, read_prompts
    from workbench.models import load_lab

    if out is not None:
        check_folder(out, "--out")
    if find_rate and slo is None:
        raise ConfigError("--find-rate needs an SLO to hold: --slo ttft_s=0.5,latency_s=2")
    if find_rate and rate is None:
        rate = RateSearch().start_rps
    if rate is None and concurrency is None:
        raise ConfigError("give --rate R (open loop, as users come), --concurrency N (closed loop), or --find-rate")
    config = BenchConfig(
        rate_rps=rate,
        concurrency=concurrency,
        duration_s=duration,
        warm_up_s=warm_up,
        drain_s=drain,
        keep_load=keep_load,
        arrivals=_arrivals(arrivals, burstiness),
        burstiness=1.0 if burstiness is None else burstiness,
        rescale_gaps=rescale_gaps,
        think_s=think,
        sampling=Sampling(max_tokens=max_tokens, temperature=temperature),
        slo=None if slo is None else SLO.parse(slo),
        target_share=share,
        seed=seed,
        stop_when_saturated=stop_when_saturated,
    )
    search = RateSearch(start_rps=rate or 1.0, tolerance=tolerance) if find_rate else None
    card = _card(load_lab(lab).card(name), name, retries, max_tokens if ignore_eos else None)
    say_deprecated({name: card})
    asked = read_prompts(prompts)
    with leaving(lambda: _kept(out)):
        result = asyncio.run(_bench(name, card, asked, config, search, out, fresh=fresh))
    _report(result, out, as_json=json, track=track)
    raise typer.Exit(_exit_code(result))


@bench_app.command("show")
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `bench --out` or `bench import` wrote.")],
    json: JSON = False,
) -> None:
    """The figures of an earlier bench; also of one that was killed, from its journal.

    Example: workbench bench show runs/load
    """
    from workbench.evaluation.load import BenchResult

    _report(BenchResult.read(folder), None, as_json=json, track=False)


@bench_app.command("import")
def import_bench(
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help="vllm or guidellm.")],
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The JSON file that the tool wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the result.")],
    slo: Annotated[str | None, typer.Option(help=SLO_HELP)] = None,
    share: Annotated[float, typer.Option(help="Share of requests that must be good for the SLO to hold.")] = 0.95,
    fresh: Annotated[bool, typer.Option(help="Throw an earlier bench in the folder away.")] = False,
    json: JSON = False,
) -> None:
    """Bring in what `vllm bench serve --save-result --save-detailed` or GuideLLM (benchmarks.json) measured.

    Example: workbench bench import vllm result.json --out runs/load --slo ttft_s=0.5
    """
    from workbench.core.files import check_folder
    from workbench.evaluation.load import SLO, import_bench

    check_folder(out, "--out")
    bounds = None if slo is None else SLO.parse(slo)
    result = import_bench(format_, path, slo=bounds, target_share=share)
    from workbench.evaluation.load.running import claim

    claim(out, fresh)
    result.write(out)
    _report(result, out, as_json=json, track=False)


async def _bench(
    name: str,
    card: ModelCard,
    prompts: Sequence[Any],
    config: BenchConfig,
    search: RateSearch | None,
    out: Path | None,
    *,
    fresh: bool,
) -> BenchResult:
    """Load the model, measure, close: in one event loop, because connections belong to theirs."""
    from workbench.evaluation.load import bench_async
    from workbench.models import load_model

    stderr.print(f"loading {name} ({card.kind}, {card.model}) …", style="dim", highlight=False)
    model = load_model(name, card)
    try:
        with _progress(name) as tell:
            return await bench_async(model, prompts, config, search=search, out=out, fresh=fresh, on_progress=tell)
    finally:
        await model.close()


def _kept(out: Path | None) -> str:
    """What an interrupted bench leaves."""
    if out is None:
        return "nothing is kept without --out"
    if not out.is_dir() or not any(out.iterdir()):
        return "nothing was measured yet"
    return f"what was measured is kept in {out}: workbench bench show {out}"


@contextlib.contextmanager
def _progress(name: str) -> Iterator[Callable[[LoadProgress], None]]:
    """A line on standard error: replaced each second on a terminal, every five seconds elsewhere."""
    if stderr.is_terminal:
        with stderr.status(f"{name}: starting") as status:
            yield lambda at: status.update(_line(name, at))
        return

    def line(at: LoadProgress) -> None:
        if int(at.elapsed_s) % 5 == 0:
            stderr.print(_line(name, at), style="dim", highlight=False)

    yield line


def _line(name: str, at: LoadProgress) -> str:
    load = "" if at.rate_rps is None else f" at {at.rate_rps:.3g}/s"
    failed = f", {at.failed} failed" if at.failed else ""
    return f"{name}, stage {at.stage}{load}: {at.elapsed_s:.0f} of {at.planned_s:.0f} s, {at.sent} sent, {at.in_flight} in flight{failed}"


def _card(card: ModelCard, name: str, retries: int, exact_tokens: int | None) -> ModelCard:
    """The card as it is measured: without retries, and where asked with answers of one length."""
    from workbench.core import ConfigError

    update: dict[str, Any] = {"retries": retries}
    if exact_tokens is not None:
        if card.kind not in ("openai-compatible", "vllm"):
            raise ConfigError(
                f"--ignore-eos is a field of vLLM's requests; model {name!r} is of the kind {card.kind}, which has none: leave it out"
            )
        extra = card.options.get("extra_body") or {}
        fields = {**extra, "ignore_eos": True, "min_tokens": exact_tokens} if isinstance(extra, dict) else extra
        update["options"] = {**card.options, "extra_body": fields}
    return card.model_copy(update=update)


def _arrivals(arrivals: str, burstiness: float | None) -> Any:
    return "gamma" if burstiness is not None and burstiness != 1 and arrivals == "poisson" else arrivals


def _report(result: BenchResult, out: Path | None, *, as_json: bool, track: bool) -> None:
    document = dict(result.document)
    if track:
        from workbench.tracking import log_document

        document["run_id"] = logged(lambda: log_document("bench", str(document["model"]), document, folder=out))
    if document["run_id"] is not None:
        document["reasons"] = {name: why for name, why in document["reasons"].items() if name != "run_id"}
        if out is not None:
            replace(result, document=document).write(out)
    if as_json:
        print_json(document)
    else:
        print_bench(document)
    if out is not None:
        stderr.print(f"in {out}", style="dim", highlight=False)


def _exit_code(result: BenchResult) -> int:
    """1: nobody was answered. 3: an SLO was given, and the share of good requests, or every rate of the search, misses it."""
    document = result.document
    if not result.requests.filter(result.requests["error"].is_null() & result.requests["end_s"].is_not_null()).height:
        _say_why(result)
        return 1
    if document["slo"] is None:
        return 0
    found = document["holds_slo_up_to_rps"]
    if found is not None:
        return 0 if found["rate_rps"] is not None else 3
    share = document["good_share"]
    is_held = share is not None and share >= document["target_share"] and document["slo_verdict"] != "breaks"
    return 0 if is_held else 3


def _say_why(result: BenchResult) -> None:
    errors = result.requests["error"].drop_nulls()
    nothing = "none ended in time" if result.requests.height else "none was due; lengthen --duration or raise --rate"
    what = errors.mode()[0] if len(errors) else result.document["stopped_because"] or nothing
    stderr.print(f"workbench: no request was answered: {what}", highlight=False, markup=False)
