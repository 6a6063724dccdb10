"""Timing shared by the peers' drivers; imports nothing but numpy, because it runs in environments that have not got the workbench."""

import time

import numpy as np


def timed(decide, requests, rounds):
    """Median and 95th percentile in microseconds over all requests and rounds, one after another, and the least median of a round."""
    for request in requests[:50]:
        decide(request)
    found = np.array([[_one(decide, request) for request in requests] for _ in range(rounds)])
    p50, p95 = np.quantile(found, [0.5, 0.95])
    return {"p50_us": float(p50), "p95_us": float(p95), "quietest_round_p50_us": float(np.median(found, axis=1).min())}


def _one(decide, request):
    start = time.perf_counter()
    decide(request)
    return 1e6 * (time.perf_counter() - start)
