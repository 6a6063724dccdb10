"""`workbench prices`: what tokens and machines cost, and which book says so."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.output import print_json, print_table, stderr

if TYPE_CHECKING:
    from workbench.core.price import TieredRates, TokenRates
    from workbench.economics import HardwareProfile, ListedModel, PriceBook

AsOf = Annotated[
    datetime.datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Prices of that day; today without.")
]
Overrides = Annotated[
    Path | None, typer.Option("--overrides", help="File of prices that come first; form: data/prices.example.yaml.")
]
LiteLLM = Annotated[
    Path | None, typer.Option("--litellm", help="A model_prices_and_context_window.json instead of genai-prices.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

RATES = {  # column → field of TokenRates
    "input": "input_usd_per_1m",
    "cached": "cached_input_usd_per_1m",
    "write": "cache_write_usd_per_1m",
    "write 1 h": "cache_write_1h_usd_per_1m",
    "output": "output_usd_per_1m",
    "reasoning": "reasoning_usd_per_1m",
}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    verb = typer.Typer(help="Prices of tokens and machines: show, find, check, hardware.", no_args_is_help=True)
    verb.command("show")(show)
    verb.command("find")(find)
    verb.command("check")(check)
    verb.command("hardware")(hardware)
    app.add_typer(verb, name="prices")


def show(
    models: Annotated[list[str], typer.Argument(help="Names in the book: seller/model.")],
    as_of: AsOf = None,
    overrides: Overrides = None,
    litellm: LiteLLM = None,
    as_json: Json = False,
) -> None:
    """What each kind of token costs, in every service tier. A model without a price is an error, never 0.

    Example: workbench prices show openai/gpt-5-mini anthropic/claude-haiku-4-5
    """
    book = _book(as_of, overrides, litellm)
    for name in models:
        book.price(name)  # refuses what has no price, before anything is printed
    found = {name: book.model(name) for name in models}
    if as_json:
        print_json({"book": book.provenance, "prices": {name: _document(model) for name, model in found.items()}})
        return
    for name, model in found.items():
        columns, rows = _table(model)
        print_table(f"{model.name}: USD per million tokens", columns, rows)
        _say_what_matters(name, model)
    _say_book(book)


def find(
    text: Annotated[list[str], typer.Argument(help="Words that the name or title holds, in any order.")],
    as_of: AsOf = None,
    overrides: Overrides = None,
    litellm: LiteLLM = None,
    as_json: Json = False,
) -> None:
    """Models whose name or title holds every word; exits 3 when there is none.

    Example: workbench prices find haiku 4.5
    """
    book = _book(as_of, overrides, litellm)
    found = book.find(" ".join(text))
    if as_json:
        print_json({"book": book.provenance, "models": [_document(model) for model in found]})
    elif found:
        rows = [[model.name, model.title, *_main_rates(model), _remark(model)] for model in found]
        print_table("USD per million tokens", ["model", "title", "input", "output", "remark"], rows)
        _say_book(book)
    else:
        stderr.print(f"no model of the book has {' and '.join(repr(word) for word in text)} in its name or title")
    if not found:
        raise typer.Exit(3)


def check(
    file: Annotated[Path, typer.Argument(help="Override file (YAML), or prices in LiteLLM's form (JSON).")],
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Whether a file of prices can be used, and what it changes. Exits 2 on the first thing that is wrong.

    Example: workbench prices check data/prices.example.yaml
    """
    if file.suffix == ".json":
        _check_litellm(file, as_json)
        return
    from workbench.economics.overrides import check_overrides

    book = _book(as_of, None, None)
    document = check_overrides(file, book)
    if as_json:
        print_json({"file": file.name, "ok": True, **document})
        return
    columns = ["model", "since", "input", "output", "list input", "list output", "remark"]
    keys = [
        "model",
        "as_of",
        "input_usd_per_1m",
        "output_usd_per_1m",
        "list_input_usd_per_1m",
        "list_output_usd_per_1m",
    ]
    rows = [[*(entry[key] for key in keys), entry["remark"]] for entry in document["entries"]]
    print_table(f"{file.name}: USD per million tokens", columns, rows)
    _say_book(book)


def hardware(
    names: Annotated[list[str] | None, typer.Argument(help="Profiles; all without.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Your own profiles; the shipped ones without.")] = None,
    utilisation: Annotated[float, typer.Option(min=0, max=1, help="Share of the time a machine works.")] = 1.0,
    tokens_per_s: Annotated[
        float | None, typer.Option(help="Measured while it works; prints what a million tokens cost.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What local machines cost an hour and a year, rented or owned, idle hours included.

    Example: workbench prices hardware h100 h100-owned --utilisation 0.2 --tokens-per-s 1500
    """
    from workbench.economics import find_profile, load_profiles

    known = load_profiles(file)
    profiles = {name: find_profile(name, known) for name in names or known}
    documents = {name: _machine(profile, utilisation, tokens_per_s) for name, profile in profiles.items()}
    if as_json:
        print_json({"utilisation": utilisation, "tokens_per_s": tokens_per_s, "profiles": documents})
        return
    columns = ["name", "", "USD/h", "USD/year", "FLOP/s", "price is", "FLOP/s is"]
    keys = ["kind", "usd_per_hour", "usd_per_year", "flop_per_s", "price_basis", "flop_basis"]
    if tokens_per_s is not None:
        columns, keys = [*columns[:4], "USD per 1M tokens"], [*keys[:3], "usd_per_1m_tokens"]
    rows = [[name, *(_short(document[key]) for key in keys)] for name, document in documents.items()]
    print_table(f"Machines that work {utilisation:.0%} of the time", columns, rows)
    stderr.print(
        f"prices as of {min(document['as_of'] for document in documents.values())} or later; --json has each source"
    )


def _book(as_of: datetime.datetime | None, overrides: Path | None, litellm: Path | None) -> PriceBook:
    from workbench.economics import load_price_book

    return load_price_book(overrides, as_of=as_of.date() if as_of else None, litellm=litellm)


def _table(model: ListedModel) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows, one a tier and prompt length, without the columns that are all empty."""
    columns = ["tier", "prompt", *RATES, "USD a request"]
    rows = _rows(model)
    kept = [at for at in range(len(columns)) if any(row[at] is not None for row in rows)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _rows(model: ListedModel) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for tier, rates in model.tiers.items():
        rows.append([tier, _up_to(rates), *_values(rates)])
        rows += [[tier, f"above {long.above_prompt_tokens:,}", *_values(long)] for long in rates.long_prompt]
    return rows


def _up_to(rates: TieredRates) -> str:
    return f"up to {rates.long_prompt[0].above_prompt_tokens:,}" if rates.long_prompt else "any length"


def _values(rates: TokenRates) -> list[float | None]:
    return [*(getattr(rates, field) for field in RATES.values()), rates.request_usd]


def _main_rates(model: ListedModel) -> list[float | None]:
    standard = model.tiers.get("standard")
    return [standard.input_usd_per_1m, standard.output_usd_per_1m] if standard else [None, None]


def _remark(model: ListedModel) -> str | None:
    if not model.tiers:
        return model.unknown_because
    return "deprecated" if model.is_deprecated else None


def _document(model: ListedModel) -> dict[str, Any]:
    return {
        "listed": model.name,
        "title": model.title,
        "context_window": model.context_window,
        "is_deprecated": model.is_deprecated,
        "tiers": {tier: rates.model_dump(mode="json") for tier, rates in model.tiers.items()},
        "unknown_because": model.unknown_because,
        "not_billed": list(model.not_billed),
        "note": model.note,
        "since": model.since.isoformat() if model.since else None,
    }


def _machine(profile: HardwareProfile, utilisation: float, tokens_per_s: float | None) -> dict[str, Any]:
    usd_per_hour = profile.usd_per_hour_at(utilisation)
    per_token = None if tokens_per_s is None else profile.usd_per_token(tokens_per_s, utilisation)
    return {
        **profile.model_dump(mode="json", by_alias=True),
        "kind": "owned" if profile.is_owned else "rented",
        "usd_per_hour": usd_per_hour,
        "usd_per_hour_idle": profile.usd_per_hour_at(0.0),
        "usd_per_second": usd_per_hour / 3600,
        "usd_per_year": profile.usd_per_year_at(utilisation),
        "usd_per_1m_tokens": None if per_token is None else 1e6 * per_token,
    }


def _short(value: Any) -> Any:
    return round(value) if isinstance(value, float) and 1000 <= value < 1e7 else value


def _check_litellm(file: Path, as_json: bool) -> None:
    from workbench.economics.litellm_list import LiteLLMList

    listed = LiteLLMList(file)
    n = sum(1 for _ in listed.names())
    if as_json:
        print_json(
            {"file": file.name, "ok": True, "sha256": listed.sha256, "n_models": n, "n_unknown": listed.n_unknown}
        )
        return
    row = [n, n - listed.n_unknown, listed.n_unknown, listed.sha256[:12]]
    print_table(file.name, ["text models", "priced", "unknown (0 or missing)", "sha256"], [row])


def _say_what_matters(name: str, model: ListedModel) -> None:
    if name != model.name:
        stderr.print(f"{name}: listed as {model.name}")
    if model.is_deprecated:
        stderr.print(f"{model.name} is deprecated: its seller switches it off", style="yellow")
    if model.not_billed:
        stderr.print(f"{model.name}: not in a cost by tokens: {', '.join(model.not_billed)}")
    if model.note:
        stderr.print(f"{model.name}: {model.note}", style="dim", highlight=False)


def _say_book(book: PriceBook) -> None:
    told = book.provenance
    version = f" {told['version']}" if told["version"] else ""
    over = f", overrides {told['overrides']['name']} ({told['overrides']['sha256'][:12]})" if told["overrides"] else ""
    stderr.print(
        f"{told['source']}{version} ({told['sha256'][:12]}) as of {told['as_of']}{over}", style="dim", highlight=False
    )
