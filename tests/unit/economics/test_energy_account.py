import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.economics.energy_account import EnergyAccount


class Script:
    """A meter that shows what a test says."""

    covers, reason, method = ("test",), None, "script"

    def __init__(self, *shown):
        self.shown = list(shown)

    def read_wh(self):
        return self.shown.pop(0)

    def close(self):
        pass


def test_overlapping_calls_share_their_intervals_and_gaps_are_idle():
    account = EnergyAccount(Script(0.0, 1.0, 3.0, 7.0, 8.0, 10.0))
    account.begin("a")  # 1 Wh idle before
    account.begin("b")  # 2 for a alone
    assert account.end("a") == 2.0 + 2.0  # 4 shared
    assert account.end("b") == 2.0 + 1.0
    account.begin("c")
    assert account.idle_wh == 1.0 + 2.0


def test_a_call_with_an_unreadable_end_is_unknown_and_the_next_one_is_not():
    account = EnergyAccount(Script(0.0, 1.0, None, 5.0, 6.0))
    account.begin("a")
    assert account.end("a") is None
    account.begin("b")
    assert account.end("b") == 1.0


def test_the_same_call_cannot_begin_twice():
    account = EnergyAccount(Script(0.0, 0.0, 0.0))
    account.begin("a")
    with pytest.raises(ValueError, match="under way"):
        account.begin("a")


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 10)), max_size=40))
def test_calls_and_idle_time_add_up_to_what_the_meter_counted(events):
    shown = [0.0]
    for _, more in events:
        shown.append(shown[-1] + more)
    account, ended, under_way = EnergyAccount(Script(*shown, shown[-1], *[shown[-1]] * 5)), 0.0, set()
    for call, _ in events:
        if call in under_way:
            under_way.remove(call)
            ended += account.end(call)
        else:
            under_way.add(call)
            account.begin(call)
    ended += sum(account.end(call) for call in sorted(under_way))
    assert ended + account.idle_wh == pytest.approx(shown[-1])
