"""A bench as tables for people: percentiles with intervals, rates, and the formula of every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.cli.output import print_table, stderr

SPREADS = {
    "ttft_s": "TTFT",
    "latency_s": "latency",
    "tpot_s": "TPOT",
    "itl_s": "ITL",
    "send_lag_s": "send lag",
    "ttft_from_send_s": "TTFT from send",
    "latency_from_send_s": "latency from send",
}
QUANTILES = ("p50", "p90", "p95", "p99")
THROUGHPUT = ("requests_per_s", "tokens_per_s")
RATES = {
    "requests_per_s": "requests/s",
    "tokens_per_s": "tokens/s",
    "good_share": "good share",
    "goodput_rps": "goodput, requests/s",
}
SUMS = {"cost_usd": "cost of the answers, USD", "memory_gib": "peak memory, GiB", "energy_wh": "energy, Wh"}
CI = {"goodput_rps": "goodput_ci"}


def print_bench(document: Mapping[str, Any]) -> None:
    """Print the tables; what could not be measured is named with its reason."""
    if document["stages"]:
        _print_stages(document)
    heading = f"{document['model']}, {_load(document)}: {document['n']} requests"
    heading += f", {document['failed']} failed" if document["failed"] else ""
    heading += f", {document['cut']} cut" if document["cut"] else ""
    spreads = [name for name in SPREADS if _known(document, name)]
    print_table(heading, ["seconds", *QUANTILES], [_spread(document, name) for name in spreads])
    print_table("", ["figure", "value", "95 %"], _figures(document))
    _print_formulas(document["formulas"], {**SPREADS, **RATES}, [*spreads, *RATES] if document["slo"] else spreads)
    for line in _remarks(document):
        stderr.print(line, highlight=False, markup=False)


def _load(document: Mapping[str, Any]) -> str:
    if document["loop"] == "closed":
        return f"closed loop, {document['concurrency']} in flight"
    at_most = f", at most {document['concurrency']} in flight" if document["concurrency"] else ""
    rate = document["rate_rps"]
    return f"open loop, {document['arrivals'] or 'unknown'} arrivals at {'unknown' if rate is None else f'{rate:.4g}'} requests/s{at_most}"


def _known(document: Mapping[str, Any], name: str) -> bool:
    return document[name]["p50"] is not None


def _spread(document: Mapping[str, Any], name: str) -> list[Any]:
    found = document[name]
    return [
        SPREADS[name],
        *(f"{found[q]:.4g}{_interval(found['ci'][q])}" if found[q] is not None else None for q in QUANTILES),
    ]


def _interval(ends: Any) -> str:
    low, high = ends or (None, None)
    if low is None and high is None:
        return ""
    return f" ({'?' if low is None else f'{low:.3g}'}–{'?' if high is None else f'{high:.3g}'})"


def _figures(document: Mapping[str, Any]) -> list[list[Any]]:
    names = {**RATES, **SUMS} if document["slo"] else {name: RATES[name] for name in THROUGHPUT} | SUMS
    rows = [
        [label, document[name], _interval(document.get(CI.get(name, f"{name}_ci"))).strip()]
        for name, label in names.items()
    ]
    return [row for row in rows if row[1] is not None]


def _print_formulas(formulas: Mapping[str, str], labels: Mapping[str, str], names: Sequence[str]) -> None:
    for name in dict.fromkeys([*names, *THROUGHPUT]):
        print(f"{labels[name]} = {formulas[name]}")
    print(f"(a–b): {formulas['ci']}")


def _print_stages(document: Mapping[str, Any]) -> None:
    rows = [
        [
            s["rate_rps"] if s["rate_rps"] is not None else f"{s['concurrency']} in flight",
            s["n"],
            s["good_share"],
            _interval(s["good_share_ci"]).strip(),
            s["latency_s"]["p95"],
            s["slo_verdict"],
        ]
        for s in document["stages"]
    ]
    columns = ["requests/s", "n", "good share", "95 %", "latency p95 (s)", "SLO"]
    print_table("Loads", columns, rows)


def _remarks(document: Mapping[str, Any]) -> list[str]:
    remarks = [f"stopped early: {document['stopped_because']}"] if document["stopped_because"] else []
    found = document["holds_slo_up_to_rps"]
    if found is not None:
        remarks.append(found["because"])
    elif document["slo"]:
        remarks.append(_verdict(document))
    remarks += document["notes"]
    silent = {"slo", "target_share", "slo_verdict", "goodput_rps", "goodput_ci", "good_share", "good_share_ci"}
    silent |= {"holds_slo_up_to_rps", "run_id", "burstiness", "concurrency", "rate_rps", "arrivals", "memory", "energy"}
    why = {
        because: name
        for name, because in document["reasons"].items()
        if name not in silent and not name.endswith("_ci")
    }
    return remarks + [f"{name}: {because}" for because, name in why.items()]


def _verdict(document: Mapping[str, Any]) -> str:
    target, verdict = document["target_share"], document["slo_verdict"]
    if verdict == "holds":
        return f"the SLO is shown to hold for at least {target:.0%} of requests at this load"
    if verdict == "breaks":
        return f"the SLO does not hold for {target:.0%} of requests at this load"
    return f"whether {target:.0%} of requests hold the SLO is not decided: the interval of the good share contains it; measure longer"
