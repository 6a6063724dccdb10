import asyncio

import pytest

from workbench.orchestration import Deadline, DeadlinePassed, each_in_time
from workbench.testing import FakeClock


async def slowly(clock, duration_s, log):
    try:
        await clock.sleep(duration_s)
    except asyncio.CancelledError:
        log.append("cancelled")
        raise
    return "done"


async def test_what_ends_in_time_is_given_and_no_time_is_lost():
    clock, log = FakeClock(), []
    assert await Deadline.after(5, clock).wait(slowly(clock, 2, log)) == "done"
    assert clock.monotonic_s() == 2


async def test_what_is_late_is_cancelled_at_the_deadline():
    clock, log = FakeClock(), []
    with pytest.raises(DeadlinePassed):
        await Deadline.after(5, clock).wait(slowly(clock, 20, log))
    assert clock.monotonic_s() == 5
    assert log == ["cancelled"]


async def test_cancelling_the_waiter_cancels_the_work(soon):
    clock, log = FakeClock(manual=True), []
    waiter = asyncio.ensure_future(Deadline.after(5, clock).wait(slowly(clock, 2, log)))
    await soon(lambda: len(clock.sleeps) == 2)  # the work and the alarm
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert log == ["cancelled"]


async def test_without_a_deadline_nothing_is_guarded():
    clock = FakeClock()
    assert await Deadline.after(None, clock).wait(slowly(clock, 1e9, [])) == "done"


def test_the_sooner_of_two_counts():
    clock = FakeClock()
    assert Deadline.after(5, clock).sooner(3).left_s == 3
    assert Deadline.after(5, clock).sooner(None).left_s == 5
    assert Deadline.after(None, clock).sooner(3).left_s == 3
    assert Deadline.after(None, clock).sooner(None).left_s is None


async def numbers(clock, log, error=None):
    try:
        for number in range(5):
            await clock.sleep(1)
            yield number
        if error:
            raise error
    finally:
        log.append("closed")


async def collect(stream, got):
    async for item in stream:
        got.append(item)


async def test_a_stream_in_time_comes_whole():
    clock, log = FakeClock(), []
    assert [n async for n in each_in_time(numbers(clock, log), Deadline.after(10, clock))] == [0, 1, 2, 3, 4]
    assert log == ["closed"]


async def test_a_late_stream_gives_what_came_before_and_is_closed():
    clock, log, got = FakeClock(), [], []
    with pytest.raises(DeadlinePassed):
        await collect(each_in_time(numbers(clock, log), Deadline.after(2.5, clock)), got)
    assert got == [0, 1]
    assert log == ["closed"]


async def test_an_error_in_a_stream_arrives_after_its_items():
    clock, got = FakeClock(), []
    with pytest.raises(ValueError, match="cut"):
        await collect(each_in_time(numbers(clock, [], ValueError("cut")), Deadline.after(None, clock)), got)
    assert got == [0, 1, 2, 3, 4]


async def test_closing_early_closes_the_source():
    clock, log = FakeClock(), []
    stream = each_in_time(numbers(clock, log), Deadline.after(None, clock))
    assert await anext(stream) == 0
    await stream.aclose()
    assert log == ["closed"]
