import asyncio

import pytest

from workbench.caching import SingleFlight


class Work:
    """Counts its beginnings and ends when told."""

    def __init__(self, result="answer"):
        self.result = result
        self.n_begun = 0
        self.n_cancelled = 0
        self.may_end = asyncio.Event()

    async def __call__(self):
        self.n_begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


async def begin(flights, key, work):
    task = asyncio.ensure_future(flights.run(key, work))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_all_who_ask_at_the_same_time_share_one_computation():
    flights, work = SingleFlight(), Work()
    tasks = [await begin(flights, "k", work) for _ in range(5)]
    work.may_end.set()
    results = await asyncio.gather(*tasks)
    assert work.n_begun == 1
    assert results == [("answer", False)] + [("answer", True)] * 4


async def test_other_keys_do_not_wait():
    flights, work, other = SingleFlight(), Work(), Work("other")
    first = await begin(flights, "k", work)
    other.may_end.set()
    assert await flights.run("l", other) == ("other", False)
    work.may_end.set()
    await first


async def test_when_the_first_goes_away_the_others_still_get_the_answer():
    flights, work = SingleFlight(), Work()
    leader, follower = await begin(flights, "k", work), await begin(flights, "k", work)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    work.may_end.set()
    assert await follower == ("answer", True)
    assert (work.n_begun, work.n_cancelled) == (1, 0)


async def test_when_all_go_away_the_work_stops():
    flights, work = SingleFlight(), Work()
    tasks = [await begin(flights, "k", work) for _ in range(2)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert work.n_cancelled == 1
    work.may_end.set()
    assert await flights.run("k", work) == ("answer", False)


async def test_a_failure_belongs_to_who_began_it_and_the_others_try_once_themselves():
    flights, failing, working = SingleFlight(), Work(ValueError("mine")), Work()
    leader, follower = await begin(flights, "k", failing), await begin(flights, "k", working)
    failing.may_end.set()
    working.may_end.set()
    with pytest.raises(ValueError, match="mine"):
        await leader
    assert await follower == ("answer", False)


async def test_nobody_asks_a_failing_work_more_than_twice_for_many():
    flights, work = SingleFlight(), Work(ValueError("down"))
    tasks = [await begin(flights, "k", work) for _ in range(20)]
    work.may_end.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, ValueError) for result in results)
    assert work.n_begun == 2
