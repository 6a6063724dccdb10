"""A bench folder of made-up requests: for tests of what reads one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from workbench.evaluation.load import BenchResult


def save_bench(
    folder: Path,
    *,
    model: str = "local",
    rate_rps: float = 10.0,
    n: int = 400,
    prompt_tokens: int | Sequence[int] = 500,
    completion_tokens: int | Sequence[int] = 200,
    n_prompts: int = 100,
    latency_s: float = 0.5,
    n_slow: int = 0,
    n_failed: int = 0,
    slo: Mapping[str, float] | None = None,
    hardware: str | None = None,
    concurrency: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> BenchResult:
    """Write a bench whose every figure follows from the arguments, and give it back.

    Args:
        folder: where to.
        model: its name.
        rate_rps: requests a second, evenly spaced.
        n: measured requests.
        prompt_tokens, completion_tokens: of every request, or of each prompt in turn.
        n_prompts: different prompts, asked in turn.
        latency_s: of a request; the first token comes after half of it.
        n_slow: requests, evenly spread, that take ten times as long.
        n_failed: requests at the end of the run that fail.
        slo: its bounds in seconds; None: no SLO.
        hardware: hardware profile on the model's card.
        concurrency: set: a closed loop with so many in flight.
        overrides: keys of `bench.json` to put in place of the computed ones.
    """
    from workbench.core import Sampling
    from workbench.core.price import ComputePrice
    from workbench.evaluation.load import SLO, BenchConfig, BenchResult
    from workbench.evaluation.load.document import Stage, load_document
    from workbench.evaluation.load.figures import Window
    from workbench.evaluation.load.requests import frame_of
    from workbench.models import ModelCard

    slow = set(np.linspace(0, n - 1, n_slow).astype(int).tolist()) if n_slow else set()
    counts = [_in_turn(prompt_tokens, n_prompts), _in_turn(completion_tokens, n_prompts)]
    rows = [
        _row(
            index,
            index / rate_rps,
            index % n_prompts,
            latency_s * (10 if index in slow else 1),
            counts,
            index >= n - n_failed,
        )
        for index in range(n)
    ]
    config = BenchConfig(
        rate_rps=None if concurrency else rate_rps,
        concurrency=concurrency,
        duration_s=n / rate_rps,
        warm_up_s=0.0,
        sampling=Sampling(max_tokens=64),
        slo=SLO(**slo) if slo else None,
    )
    frame = frame_of(rows)
    document = load_document(model, frame, [Stage(0, config, Window(0.0, n / rate_rps))])
    card = ModelCard(kind="recorded", model="made-up", price=ComputePrice(hardware=hardware) if hardware else None)
    manifest = {"schema_version": 1, "source": "made up", "model": model, "card": card.model_dump(mode="json")}
    result = BenchResult({"schema_version": 1, **document, **(overrides or {})}, frame, manifest)
    result.write(folder)
    return result


def _in_turn(tokens: int | Sequence[int], n_prompts: int) -> Sequence[int]:
    return [tokens] * n_prompts if isinstance(tokens, int) else tokens


def _row(
    index: int, start_s: float, prompt: int, latency_s: float, counts: Sequence[Sequence[int]], is_failed: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "request": index,
        "prompt_id": f"p{prompt:05d}",
        "phase": "measured",
        "intended_s": start_s,
        "sent_s": start_s,
        "send_lag_s": 0.0,
        "end_s": start_s + latency_s,
        "stage": 0,
    }
    if is_failed:
        return {**row, "error": "Unavailable: made to fail", "finish_reason": "error"}
    n_prompt, n_answer = counts[0][prompt], counts[1][prompt]
    first_s = start_s + latency_s / 2
    return {
        **row,
        "first_token_s": first_s,
        "ttft_s": latency_s / 2,
        "ttft_from_send_s": latency_s / 2,
        "latency_s": latency_s,
        "latency_from_send_s": latency_s,
        "tpot_s": latency_s / 2 / (n_answer - 1) if n_answer > 1 else None,
        "chunks_s": [first_s, start_s + latency_s],
        "prompt_tokens": n_prompt,
        "completion_tokens": n_answer,
        "finish_reason": "stop",
    }
