"""`workbench break-even`: from which rate on an own machine is cheaper than an API, and whether it can carry that rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.output import logged, print_json, print_table
from workbench.core import ConfigError
from workbench.core.files import check_folder

if TYPE_CHECKING:
    from workbench.economics.daily_profile import LoadProfile
    from workbench.tuning.local_economics import LocalEconomics, Sources

EXIT_NO_BREAK_EVEN = 3
MOST_FLIPS = 8


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("break-even")(break_even)


def break_even(
    bench: Annotated[
        list[Path] | None, typer.Option(help="Folder written by `workbench bench --out`; may be repeated.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="Comma-separated models that are paid by the token: of the lab, or seller/model.")
    ] = "",
    outcomes: Annotated[
        list[Path] | None,
        typer.Option(help="Outcomes with both models, for quality and the API's own tokens; repeatable."),
    ] = None,
    hardware: Annotated[
        str | None, typer.Option(help="Hardware profile; without, the one that the bench's card names.")
    ] = None,
    hardware_file: Annotated[Path | None, typer.Option(help="Own profiles, in the form of data/hardware.yaml.")] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Load of a day: YAML or CSV of 24 rates, or CSV of timestamps.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Mean requests a second; with --profile the day is scaled to it.")
    ] = None,
    floor: Annotated[
        float | None, typer.Option(help="Mean score that the local model must have at least, 0 to 1.")
    ] = None,
    margin: Annotated[float, typer.Option(help="Score that the local model may be worse at most.")] = 0.01,
    assume_equal_quality: Annotated[
        bool, typer.Option("--assume-equal-quality", help="Count unmeasured quality as equal; the result says so.")
    ] = False,
    configurations: Annotated[
        Path | None,
        typer.Option(help="YAML of whole configurations (caches, judges, routes) to compare; see docs/break_even.md."),
    ] = None,
    same_model: Annotated[
        list[str] | None,
        typer.Option("--as", help="NAME=MODEL: the name that a model has in the Outcomes; repeatable."),
    ] = None,
    token_factor: Annotated[
        str, typer.Option(help="API tokens for one local token, VALUE or VALUE:LOW:HIGH; own counts need none.")
    ] = "1",
    cached_share: Annotated[
        float | None, typer.Option(help="Share of the prompt that the API reads from its cache, 0 to 1.")
    ] = None,
    batch_share: Annotated[float, typer.Option(help="Share of the requests sent as batch, 0 to 1.")] = 0.0,
    discount_rate: Annotated[float, typer.Option(help="Interest a year for the payback: 0.08 is 8 %.")] = 0.0,
    up_to: Annotated[
        float | None, typer.Option(help="List winning rates up to this one; default 4 x the capacity.")
    ] = None,
    overrides: Annotated[Path | None, typer.Option(help="Own token prices; form: data/prices.example.yaml.")] = None,
    lab: Annotated[Path | None, typer.Option(help="Lab file; without, lab.yaml here or the reference family.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for break_even.json, tables and figures.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 2000,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log the result to MLflow.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """From which rate on a local model is cheaper than an API, whether it carries that rate, and what would flip the answer.

    Exit code 3 when no local configuration is shown to be cheaper, within its capacity, at equal quality.

    Example: workbench break-even --bench runs/bench --against openai/gpt-5-mini --hardware h100 --assume-equal-quality
    """
    from workbench.economics import load_profiles
    from workbench.economics.price_book import load_price_book
    from workbench.models import load_lab
    from workbench.tuning.local_economics import OutcomesFolder, Sources
    from workbench.tuning.local_economics_quality import QualityRule

    if out is not None:
        check_folder(out, "--out")
    names = [name.strip() for name in against.split(",") if name.strip()]
    _check_asked(bench or [], names, configurations)
    sources = Sources(
        outcomes=[OutcomesFolder.read(folder) for folder in outcomes or []],
        cards=load_lab(lab).models,
        book=load_price_book(overrides),
        profiles=load_profiles() | (load_profiles(hardware_file) if hardware_file else {}),
        aliases=_aliases(same_model or []),
        token_factor=_factor(token_factor),
        cached_share=cached_share,
        batch_share=batch_share,
        seed=seed,
        n_draws=draws,
    )
    found = _compare(
        sources,
        bench or [],
        names,
        configurations,
        hardware,
        profile=_profile(profile, rate),
        rule=QualityRule(margin, floor, assume_equal_quality),
        discount_per_year=discount_rate,
        up_to_rps=up_to,
    )
    run_id = _log(found) if track else None
    if out is not None:
        found.write(out, run_id)
    document = {**found.document, "run_id": run_id}
    if as_json:
        print_json(document)
    else:
        _print(document)
        if out is not None:
            print(f"Written to {out}")
    if not found.is_feasible:
        raise typer.Exit(EXIT_NO_BREAK_EVEN)


def _check_asked(bench: list[Path], against: list[str], configurations: Path | None) -> None:
    if against and not bench:
        raise ConfigError(
            "--against needs a --bench to compare with; in --configurations an API is an entry of the file"
        )
    if configurations is None and not bench:
        raise ConfigError(
            "nothing local to compare: give --bench DIR (`workbench bench --out`), or --configurations FILE"
        )
    if bench and not against and configurations is None:
        raise ConfigError(
            "nothing to compare with: give --against MODEL, e.g. openai/gpt-5-mini (`workbench prices find mini`)"
        )


def _compare(
    sources: Sources,
    bench: list[Path],
    against: list[str],
    configurations: Path | None,
    hardware: str | None,
    **asked: Any,
) -> LocalEconomics:
    from workbench.tuning.local_economics import listed_api, local_economics, measured_machine
    from workbench.tuning.local_economics_file import read_configurations

    locals_ = [measured_machine(folder, hardware, sources) for folder in bench] if against else []
    locals_ = _told_apart(locals_, bench)
    others = [listed_api(name, bench, sources) for name in against]
    pairs = read_configurations(configurations, sources) if configurations else []
    return local_economics(locals_, others, sources, pairs=pairs, **asked)


def _told_apart(found: list[Any], folders: list[Path]) -> list[Any]:
    """Benches of the same model get their folder into their name."""
    names = [one.name for one in found]
    return [
        one.renamed(f"{one.name} ({folder})") if names.count(one.name) > 1 else one
        for one, folder in zip(found, folders, strict=bool(found))
    ]


def _profile(path: Path | None, rate_rps: float | None) -> LoadProfile | None:
    from workbench.economics.daily_profile import LoadProfile, read_profile

    if rate_rps is not None and not (math.isfinite(rate_rps) and rate_rps > 0):
        raise ConfigError(f"--rate {rate_rps}: a number of requests a second above 0 is expected")
    if path is None:
        return None if rate_rps is None else LoadProfile.flat(rate_rps, f"--rate {rate_rps:g}, around the clock")
    found = read_profile(path)
    return found if rate_rps is None else found.scaled_to(rate_rps)


def _aliases(options: list[str]) -> dict[str, str]:
    aliases = {}
    for option in options:
        name, equals, model = option.partition("=")
        if not (name and equals and model):
            raise ConfigError(
                f"--as {option!r}: write --as NAME=MODEL, the second one being the model's name in the Outcomes"
            )
        aliases[name] = model
    return aliases


def _factor(text: str) -> tuple[float, float, float]:
    try:
        values = [float(part) for part in text.split(":")]
    except ValueError as exc:
        raise ConfigError(f"--token-factor {text!r}: write VALUE or VALUE:LOW:HIGH, e.g. 1.1:1.0:1.2") from exc
    if len(values) == 1:
        return values[0], values[0], values[0]
    if len(values) != 3:
        raise ConfigError(f"--token-factor {text!r}: write VALUE or VALUE:LOW:HIGH, e.g. 1.1:1.0:1.2")
    return values[0], values[1], values[2]


def _log(found: LocalEconomics) -> str | None:
    import tempfile

    from workbench.tracking import log_document

    verdict = found.document["verdict"]

    def log() -> str:
        with tempfile.TemporaryDirectory() as beside:
            found.write(Path(beside))
            return log_document("break-even", verdict, found.document, folder=Path(beside), tags={"verdict": verdict})

    return logged(log)


def _print(document: dict[str, Any]) -> None:
    rows = document["rows"]
    columns = ["local", "against", "λ*, requests/s", "95 %", "one machine carries", "verdict"]
    print_table("From which rate on is local cheaper?", columns, [_rate_line(row) for row in rows])
    _print_costs(rows)
    _print_bills(rows)
    for row in rows:
        if document["load"] is None:
            _print_sweep(row)
        _print_flips(row, document["flips"])
        print(f"{row['verdict'].upper()}: {row['because']}.")
        if row["payback"]["n_machines"]:
            print(f"Payback of {row['payback']['n_machines']} machines: {row['payback']['because']}.")
    _print_footer(document)


def _rate_line(row: dict[str, Any]) -> list[Any]:
    rate = row["wins"] if row["rate_rps"] is None else f"{row['wins']} {row['rate_rps']:.4g}"
    return [
        row["local"],
        row["api"],
        rate,
        None if row["ci"] is None else _interval(row["ci"]),
        row["goodput_rps"],
        row["verdict"],
    ]


def _interval(ends: list[float | None]) -> str:
    low, high = ("∞" if end is None else f"{end:.4g}" for end in ends)
    return f"{low}–{high}"


def _print_costs(rows: list[dict[str, Any]]) -> None:
    """What an hour and a request cost, once a configuration."""
    found = {
        row[side]: (row["fixed_usd_per_hour"][side], row["usd_per_1k_requests"][side])
        for side in ("local", "api")
        for row in rows
    }
    print_table(
        "What they cost",
        ["", "USD an hour", "USD per 1,000 requests"],
        [[name, *costs] for name, costs in found.items()],
    )


def _print_bills(rows: list[dict[str, Any]]) -> None:
    for origin in dict.fromkeys(row["load"]["from"] for row in rows):
        those = [row for row in rows if row["load"]["from"] == origin]
        means = {f"{row['load']['mean_rps']:.4g}" for row in those}
        title = f"USD a month: {origin}" + (f" ({means.pop()} requests/s on average)" if len(means) == 1 else "")
        columns = ["local", "against", "local alone", "other alone", "best mix", "machines", "% local"]
        print_table(title, columns, [_bill_line(row) for row in those])


def _bill_line(row: dict[str, Any]) -> list[Any]:
    monthly, share = row["usd_per_month"], row["local_share_of_mix"]
    machines = None if row["machines"]["mix"] is None else " + ".join(map(str, row["machines"]["mix"]))
    money = [None if monthly[kind] is None else f"{monthly[kind]:,.2f}" for kind in ("local", "api", "mix")]
    return [row["local"], row["api"], *money, machines, None if share is None else 100 * share]


def _print_sweep(row: dict[str, Any]) -> None:
    if not row["utilisation_sweep"]:
        return
    kinds = ("local", "api", "mix")
    lines = [
        [
            100 * line["utilisation"],
            line["rate_rps"],
            *(None if line[kind] is None else f"{line[kind]:,.2f}" for kind in kinds),
        ]
        for line in row["utilisation_sweep"]
    ]
    columns = ["% of one machine", "requests/s", "local", "other", "mix"]
    print_table(f"{row['local']} against {row['api']}: USD a month by utilisation", columns, lines)


def _print_flips(row: dict[str, Any], flips: list[dict[str, Any]]) -> None:
    own = [line for line in flips if (line["local"], line["api"]) == (row["local"], row["api"])]
    lines = [[line["input"], line["now"], line["flips_at"], line["factor"], line["to"]] for line in own[:MOST_FLIPS]]
    columns = ["input", "now", "flips at", "factor", "to"]
    print_table(f"{row['local']} against {row['api']}: what would flip it", columns, lines)


def _print_footer(document: dict[str, Any]) -> None:
    for note in document["notes"]:
        print(f"Note: {note}.")
    for row in document["rows"]:
        for line in row["assumed"]:
            print(f"ASSUMED in {row['local']} against {row['api']}: {line}.")
    for name, formula in document["formulas"].items():
        print(f"{name} = {formula}")
    if document["prices"]:
        book = document["prices"]
        version = f" {book['version']}" if book["version"] else ""
        print(f"Prices: {book['source']}{version} of {book['as_of']} (sha256 {book['sha256'][:12]}).")
    if document["run_id"]:
        print(f"MLflow run {document['run_id']}")
