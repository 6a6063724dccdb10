import numpy as np
import pytest

from workbench.core import ConfigError, Request
from workbench.release.latency import PilotConfig, latency_claim
from workbench.release.pilot import run_pilot
from workbench.testing import FakeClock

NO_SLACK = PilotConfig(blocks=5, requests_per_block=8, tolerance=0.0, transport_s=0.0)


def test_without_slack_the_interval_holds_the_next_block_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(4000):
        slow = rng.normal(1.0, 0.1, size=6)  # the machine's mood, one a block; the sixth is the live one
        blocks = rng.normal(slow[:, None], 0.2, size=(6, 8))
        held += blocks[5].mean() <= latency_claim(blocks[:5], NO_SLACK).ci[1]
    assert held / 4000 == pytest.approx(0.975, abs=0.01)


def test_faster_than_predicted_is_inside():
    assert latency_claim([[1.0], [1.1], [0.9]], PilotConfig()).ci[0] == 0.0


def test_the_slack_is_stated_in_the_method():
    method = latency_claim([[1.0], [1.1], [0.9]], PilotConfig(tolerance=0.25, transport_s=0.01)).method
    assert "25%" in method
    assert "10 ms" in method


def test_two_blocks_are_too_few():
    with pytest.raises(ConfigError, match="at least 3 blocks"):
        PilotConfig(blocks=2)


async def test_the_pilot_times_each_request_leaves_the_warm_up_out_and_pauses_between_blocks():
    clock, asked = FakeClock(), []

    async def ask(request):
        asked.append(request.prompt)
        await clock.sleep(float(len(asked)))

    requests = [Request.from_prompt(str(number)) for number in range(4)]
    config = PilotConfig(blocks=3, requests_per_block=2, warmup=1, pause_s=10.0)
    blocks = await run_pilot(ask, requests, config, clock)
    assert asked == ["0", "0", "1", "2", "3", "0", "1"]
    assert blocks == [[2.0, 3.0], [4.0, 5.0], [6.0, 7.0]]
    assert clock.monotonic_s() == sum(range(1, 8)) + 2 * 10.0
