import asyncio

import pytest

from workbench.testing import FakeClock


async def test_sleeping_passes_the_time_at_once():
    clock = FakeClock()
    await clock.sleep(3600)
    assert clock.monotonic_s() == 3600
    assert clock.now().hour == 1
    assert clock.sleeps == [3600]


async def test_sleepers_overlap_and_wake_in_order():
    clock, woken = FakeClock(), []

    async def sleep(duration_s: float) -> None:
        await clock.sleep(duration_s)
        woken.append((duration_s, clock.monotonic_s()))

    await asyncio.gather(*(sleep(duration_s) for duration_s in (3, 1, 2)))
    assert woken == [(1, 1), (2, 2), (3, 3)]


async def test_by_hand_nobody_wakes_before_time_is_advanced():
    clock = FakeClock(manual=True)
    sleeper = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    clock.advance(4.9)
    await asyncio.sleep(0.01)
    assert not sleeper.done()
    clock.advance(0.2)
    await sleeper
    assert clock.monotonic_s() == pytest.approx(5.1)


async def test_a_cancelled_sleeper_holds_nobody_up():
    clock = FakeClock(manual=True)
    sleeper = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    clock.advance(10)
    await clock.sleep(0)
