"""Two public lists of prices beside each other: how many models both price, and where they disagree.

The list of the installed genai-prices on one day, and LiteLLM's model_prices_and_context_window.json (a path, or WORKBENCH_DATA). A
model of the file is the list's when seller and name are the same, or the list matches the name to it. Writes docs/results/price_books.json
and the table beside it. A disagreement is not an error of either: dates, regions and promotions differ. It is a reason to look at the
seller's page before a decision hangs on that price.
"""

import argparse
import datetime
import math
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

from workbench.core.files import write_json, write_text
from workbench.core.price import TieredRates
from workbench.economics import ListedModel, PriceBook, load_price_book

FILE = "prices/model_prices_and_context_window.json"
RESULTS = Path(__file__).parent.parent / "docs" / "results" / "price_books.json"
SELLERS = {  # of the file → of the list
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "mistral": "mistral",
    "xai": "x-ai",
    "deepseek": "deepseek",
    "groq": "groq",
    "cohere": "cohere",
    "perplexity": "perplexity",
    "together_ai": "together",
    "novita": "novita",
    "cerebras": "cerebras",
    "moonshot": "moonshotai",
    "zai": "zai",
}
RATES = {
    "input": "input_usd_per_1m",
    "output": "output_usd_per_1m",
    "cached input": "cached_input_usd_per_1m",
    "cache write": "cache_write_usd_per_1m",
    "cache write, 1 h": "cache_write_1h_usd_per_1m",
    "reasoning": "reasoning_usd_per_1m",
}
Pairs = list[tuple[ListedModel, ListedModel]]
SHOWN = 12  # of the largest disagreements


def main() -> None:
    options = parse_options()
    if options.file is None or not options.file.exists():
        print(f"{FILE} is not here: name the file, or set WORKBENCH_DATA; nothing is written", file=sys.stderr)
        return
    listed = load_price_book(as_of=options.as_of)
    file = load_price_book(as_of=options.as_of, litellm=options.file)
    pairs = matched(file, listed)
    document = {
        "books": [listed.provenance, file.provenance],
        "n_models": [sum(1 for _ in listed.names()), sum(1 for _ in file.names())],
        "n_priced": [n_priced(listed), n_priced(file)],
        "sellers": SELLERS,
        "n_both_priced": len(pairs),
        "n_input_and_output_equal": sum(is_equal(left, right) for left, right in pairs),
        "rates": rate_counts(pairs),
        "by_seller": by_seller(pairs),
        "differences": differences(pairs),
    }
    write_json(options.out, document)
    write_text(options.out.with_suffix(".md"), table(document))
    print(table(document))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    data = os.environ.get("WORKBENCH_DATA")  # public data, not part of the project
    parser.add_argument("file", nargs="?", type=Path, default=Path(data) / FILE if data else None)
    parser.add_argument("--as-of", type=datetime.date.fromisoformat, default=datetime.datetime.now(datetime.UTC).date())
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def matched(file: PriceBook, listed: PriceBook) -> Pairs:
    """Models that both price, as (list, file); the file's second name for a model of the list is left out."""
    pairs: dict[str, tuple[ListedModel, ListedModel]] = {}
    for name in file.names():
        theirs = file.model(name)
        for seller in (s for s in SELLERS if file.listed.model(f"{s}/{bare(name, s)}", file.as_of) == theirs):
            ours = listed.listed.model(f"{SELLERS[seller]}/{bare(name, seller)}", listed.as_of)
            is_same = ours is not None and ours.name.partition("/")[2] == bare(name, seller)
            if ours and ours.tiers and theirs.tiers and (is_same or ours.name not in pairs):
                pairs[ours.name] = (ours, theirs)
    return list(pairs.values())


def bare(name: str, seller: str) -> str:
    return name.removeprefix(f"{seller}/")


def n_priced(book: PriceBook) -> int:
    return sum(bool(book.model(name).tiers) for name in book.names())


def is_equal(left: ListedModel, right: ListedModel) -> bool:
    mine, theirs = left.tiers["standard"], right.tiers["standard"]
    return all(same(getattr(mine, RATES[r]), getattr(theirs, RATES[r])) for r in ("input", "output"))


def same(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-9)


def rate_counts(pairs: Pairs) -> dict[str, dict[str, int]]:
    """Of each rate: how many models have it in both lists, how many of those equal, and how many only in one."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for left, right in pairs:
        for tier in ("standard", "batch"):
            mine, theirs = left.tiers.get(tier), right.tiers.get(tier)
            for rate, field in RATES.items() if mine or theirs else ():
                name = rate if tier == "standard" else f"batch {rate}"
                counts[name][verdict(getattr(mine, field, None), getattr(theirs, field, None))] += 1
        limits = [limit(m.tiers["standard"]) for m in (left, right)]
        counts["limit of long prompts (tokens)"][verdict(*limits)] += 1
    return {
        name: {"both": found["equal"] + found["differ"], **{k: found[k] for k in ("equal", "only_list", "only_file")}}
        for name, found in counts.items()
        if found.total() > found["neither"]
    }


def limit(rates: TieredRates) -> float | None:
    return rates.long_prompt[0].above_prompt_tokens if rates.long_prompt else None


def verdict(mine: float | None, theirs: float | None) -> str:
    if mine is None or theirs is None:
        return "neither" if mine is theirs else "only_file" if mine is None else "only_list"
    return "equal" if same(mine, theirs) else "differ"


def by_seller(pairs: Pairs) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for left, right in pairs:
        seller = left.name.partition("/")[0]
        found[seller]["both"] += 1
        found[seller]["equal"] += is_equal(left, right)
    return {seller: dict(found[seller]) for seller in sorted(found, key=lambda s: -found[s]["both"])}


def differences(pairs: Pairs) -> list[dict[str, object]]:
    """Models whose input or output price differs, the largest factor first."""
    found = []
    for left, right in pairs:
        if is_equal(left, right):
            continue
        mine, theirs = left.tiers["standard"], right.tiers["standard"]
        factors = [getattr(theirs, RATES[r]) / getattr(mine, RATES[r]) for r in ("input", "output")]
        found.append(
            {
                "list": left.name,
                "file": right.name,
                "input": [mine.input_usd_per_1m, theirs.input_usd_per_1m],
                "output": [mine.output_usd_per_1m, theirs.output_usd_per_1m],
                "factor": max(factors, key=lambda f: abs(math.log(f))),
                "is_deprecated": left.is_deprecated or right.is_deprecated,
            }
        )
    return sorted(found, key=lambda line: -abs(math.log(line["factor"])))


def table(document: dict) -> str:
    mine, theirs = document["books"]
    n_models, n_priced, worst = document["n_models"], document["n_priced"], document["differences"][:SHOWN]
    lines = [
        "# Two lists of prices beside each other",
        "",
        f"genai-prices {mine['version']} (sha256 {mine['sha256'][:12]}) as of {mine['as_of']}: {n_models[0]} models,"
        f" {n_priced[0]} with prices of prompt and answer tokens. LiteLLM's file (sha256 {theirs['sha256'][:12]}):"
        f" {n_models[1]} text models, {n_priced[1]} with such prices. Of {len(document['sellers'])} sellers that both have,"
        f" {document['n_both_priced']} models are priced in both: {document['n_input_and_output_equal']} have the same input"
        f" and output price, {len(document['differences'])} do not.",
        "",
        "A batch rate that the file leaves out counts as the standard one. Made by `python benchmarks/price_books.py`.",
        "",
        "| rate | in both | equal | only in genai-prices | only in the file |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {count['both']} | {count['equal']} | {count['only_list']} | {count['only_file']} |"
            for name, count in document["rates"].items()
        ),
        "",
        "| seller | in both | same input and output price |",
        "|---|---:|---:|",
        *(f"| {seller} | {count['both']} | {count['equal']} |" for seller, count in document["by_seller"].items()),
        "",
        f"The {len(worst)} largest disagreements (USD per million tokens, genai-prices / the file; all are in price_books.json):",
        "",
        "| model | input | output |",
        "|---|---:|---:|",
        *(
            f"| {d['list']} | {d['input'][0]:g} / {d['input'][1]:g} | {d['output'][0]:g} / {d['output'][1]:g} |"
            for d in worst
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
