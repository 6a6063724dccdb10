import asyncio
import threading
from contextlib import asynccontextmanager

from workbench.models.per_loop import PerLoop


class Opened:
    """Counts what was opened and what was closed, and in which loop."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.resource = PerLoop(self.open)

    @asynccontextmanager
    async def open(self):
        self.opened.append(id(asyncio.get_running_loop()))
        try:
            yield len(self.opened)
        finally:
            self.closed.append(id(asyncio.get_running_loop()))


def test_each_loop_opens_its_own_and_closes_it_at_its_end():
    it = Opened()
    assert [asyncio.run(it.resource.get()) for _ in range(3)] == [1, 2, 3]
    assert it.closed == it.opened


async def test_one_loop_opens_once_until_it_is_closed():
    it = Opened()
    assert [await it.resource.get(), await it.resource.get()] == [1, 1]
    await it.resource.close()
    await it.resource.close()
    assert (len(it.opened), len(it.closed)) == (1, 1)
    assert await it.resource.get() == 2
    await it.resource.close()


async def test_loops_side_by_side_do_not_close_each_others():
    it = Opened()
    mine = await it.resource.get()
    other = threading.Thread(target=lambda: asyncio.run(it.resource.get()))
    other.start()
    other.join()
    assert await it.resource.get() == mine
    assert len(it.closed) == 1  # the other's
    await it.resource.close()
