"""A stack's counters in Prometheus' text form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from workbench.stack import Histogram, StackMetrics


def render_metrics(metrics: StackMetrics) -> tuple[bytes, str]:
    """The text and its media type. Nothing is kept between calls: the stack's counters are the only ones."""
    registry = CollectorRegistry()
    registry.register(_Collector(metrics))
    return generate_latest(registry), CONTENT_TYPE_LATEST


V = TypeVar("V")


class _Collector:
    """What prometheus-client asks for metrics."""

    def __init__(self, metrics: StackMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Every metric; units and bases are Prometheus' (seconds, totals)."""
        m = self._metrics
        yield _counter("requests", "requests by outcome and model", ["outcome", "model"], m.requests)
        yield _counter("tokens", "tokens of calls", ["kind", "model"], m.tokens)
        yield _counter("cost_usd", "USD of priced calls", ["model"], _keyed(m.cost_usd))
        yield _counter("unpriced_calls", "calls whose cost is unknown", ["model"], _keyed(m.unpriced_calls))
        yield _counter("cache_lookups", "look-ups in the exact cache", ["result"], _keyed(m.cache))
        yield _counter("guard_verdicts", "verdicts of guards", ["stage", "guard", "action"], m.guards)
        yield _counter("fallbacks", "times a fallback stepped in", ["from", "to"], m.fallbacks)
        yield _counter("skipped_calls", "calls not made because the circuit was open", ["model"], _keyed(m.skipped))
        yield _counter("hedges", "second models asked beside a slow one", ["winner", "loser", "result"], m.hedges)
        yield _counter("probes", "calls that tried whether an outage was over", ["model", "result"], m.probes)
        yield _counter("wasted_usd", "USD of calls whose answer nobody used, at most", ["model"], _keyed(m.wasted_usd))
        yield _counter("unpriced_waste", "such calls of unknown price", ["model"], _keyed(m.unpriced_waste))
        yield _counter("degraded", "degraded answers", [], {(): m.degraded})
        yield _counter("audit_failures", "audit records that could not be written", [], {(): m.audit_failures})
        yield _histograms("latency_seconds", "arrival to end", ["outcome"], _keyed(m.latency_s))
        yield _histograms("ttft_seconds", "arrival to the first released text of streams", [], {(): m.ttft_s})


def _keyed(values: Mapping[str, V]) -> dict[tuple[str, ...], V]:
    return {(name,): value for name, value in values.items()}


def _counter(name: str, text: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(f"workbench_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def _histograms(name: str, text: str, labels: list[str], values: Mapping[tuple[str, ...], Histogram]) -> Metric:
    family = HistogramMetricFamily(f"workbench_{name}", text, labels=labels)
    for key, histogram in values.items():
        bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
        family.add_metric(list(key), buckets=buckets, sum_value=histogram.total)
    return family
