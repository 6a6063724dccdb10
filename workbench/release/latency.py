"""How long an answer will take: a claim from a pilot, because the latency of batched recording says little about live requests.

Recording answers many prompts together; a server answers one at a time, through every step of the stack. So the claim is
measured where it will be checked: through the in-process stack, one request after another, on prompts that are not in the
report split, in several blocks of time. A machine has slow and fast minutes; the spread between the blocks' means says how much
the mean of another block, the live one, may differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.core import ConfigError
from workbench.release.evidence import Claim


@dataclass(frozen=True, slots=True)
class PilotConfig:
    """How the latency pilot runs.

    Args:
        blocks: blocks of time, at least 3: their spread is what the interval is made of.
        requests_per_block: requests a block.
        pause_s: seconds between blocks, so that they meet different moments of the machine.
        warmup: requests before the first block that are not counted (models load on first use).
        tolerance: stated relative slack on top of the interval: another hour, a busier machine. 1.0 is twice as long; a machine
            of one's own keeps less.
        transport_s: stated absolute slack for what the pilot does not contain: HTTP, JSON and the client.
    """

    blocks: int = 5
    requests_per_block: int = 24
    pause_s: float = 0.5
    warmup: int = 4
    tolerance: float = 1.0
    transport_s: float = 0.03

    def __post_init__(self) -> None:
        if self.blocks < 3 or self.requests_per_block < 1:
            raise ConfigError(
                f"a latency pilot of {self.blocks} blocks with {self.requests_per_block} requests tells no spread; "
                "at least 3 blocks of 1 request"
            )


def latency_claim(
    blocks_s: Sequence[Sequence[float]], config: PilotConfig, *, data_hash: str | None = None, run_id: str | None = None
) -> Claim:
    """The claim on the mean latency of live requests.

    With m the mean and s the standard deviation of the k blocks' means, the mean of another block lies below
    m + t(0.975, k - 1) * s * sqrt(1 + 1/k) with probability 97.5 % (normal prediction interval for one new observation);
    the stated slacks are added to that. The low end is 0, since sooner breaks no promise.

    Args:
        blocks_s: latencies in seconds, one sequence a block, all of the pilot's prompts.
        config: the pilot's settings.
        data_hash: hash of the pilot's prompts.
        run_id: MLflow run.

    Source:
        Hahn and Meeker, Statistical Intervals (1991), section 4.2: prediction interval for one future observation.

    Example:
        >>> claim = latency_claim([[0.1, 0.1], [0.1, 0.1], [0.1, 0.1]], PilotConfig(blocks=3, tolerance=0.5, transport_s=0.02))
        >>> round(claim.estimate, 3), round(claim.ci[1], 3)
        (0.1, 0.17)
    """
    from scipy.stats import t

    means = np.array([np.mean(block) for block in blocks_s])
    k = len(means)
    spread_s = float(t.ppf(0.975, k - 1)) * float(means.std(ddof=1)) * math.sqrt(1 + 1 / k)
    estimate = float(means.mean())
    high = (estimate + spread_s) * (1 + config.tolerance) + config.transport_s
    method = (
        f"mean of {k} blocks of {len(blocks_s[0])} requests through the in-process stack, one at a time; upper end: prediction "
        f"interval from the spread between blocks, plus {config.tolerance:.0%} and {1000 * config.transport_s:.0f} ms of stated slack"
    )
    smallest = min(len(block) for block in blocks_s)
    return Claim("latency_s", estimate, (0.0, high), smallest, method, "s", data_hash, run_id)
