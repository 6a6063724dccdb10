import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.budgets import SessionBudget, SessionBudgetConfig
from workbench.core import BudgetExceeded

LIMIT = 100


def make(tokens=LIMIT, **settings):
    return SessionBudget(SessionBudgetConfig(tokens=tokens, **settings))


def test_what_was_not_used_is_free_again():
    budget = make()
    reservation = budget.reserve("t", "s", 80)
    assert budget.left("t", "s") == 20
    budget.settle(reservation, 30)
    assert budget.left("t", "s") == 70


def test_a_refusal_says_what_is_left_and_reserves_nothing():
    budget = make()
    budget.reserve("t", "s", 80)
    with pytest.raises(
        BudgetExceeded, match="session 's' has 20 of 100 tokens left, the request may need 30"
    ) as caught:
        budget.reserve("t", "s", 30)
    assert caught.value.scope == "session"
    assert caught.value.retry_after_s is None
    assert budget.left("t", "s") == 20


def test_settling_twice_changes_nothing():
    budget = make()
    reservation = budget.reserve("t", "s", 50)
    budget.settle(reservation, 10)
    budget.settle(reservation, 10)
    assert budget.left("t", "s") == 90


def test_sessions_of_two_tenants_with_one_name_are_two():
    budget = make()
    budget.reserve("a", "s", 100)
    assert budget.left("b", "s") == 100


def test_an_overdraft_is_counted():
    budget = make()
    budget.settle(budget.reserve("t", "s", 10), 130)
    assert budget.left("t", "s") == 0
    with pytest.raises(BudgetExceeded, match="has 0 of 100"):
        budget.reserve("t", "s", 1)


def test_idle_sessions_are_forgotten_but_never_one_with_a_reservation():
    budget = make(max_sessions=2)
    open_reservation = budget.reserve("t", "open", 60)
    for number in range(5):
        budget.settle(budget.reserve("t", f"s{number}", 60), 60)
    assert budget.left("t", "open") == 40
    assert budget.left("t", "s0") == 100
    assert budget.left("t", "s4") == 40
    budget.settle(open_reservation, 60)


STEPS = st.lists(st.tuples(st.sampled_from(["reserve", "settle"]), st.integers(0, 60), st.integers(0, 99)), max_size=60)


@given(STEPS)
def test_it_is_never_overspent_under_any_interleaving(steps):
    budget = make()
    waiting, spent = [], 0
    for what, tokens, pick in steps:
        if what == "reserve":
            try:
                waiting.append(budget.reserve("t", "s", tokens))
            except BudgetExceeded:
                assert spent + sum(r.tokens for r in waiting) + tokens > LIMIT
        elif waiting:
            reservation = waiting.pop(pick % len(waiting))
            used = min(tokens, reservation.tokens)
            budget.settle(reservation, used)
            spent += used
        assert spent + sum(r.tokens for r in waiting) <= LIMIT
        assert budget.left("t", "s") == LIMIT - spent - sum(r.tokens for r in waiting)


def test_it_is_never_overspent_by_threads():
    budget, spent = make(tokens=1000), []

    def work():
        for _ in range(200):
            try:
                reservation = budget.reserve("t", "s", 7)
            except BudgetExceeded:
                return
            budget.settle(reservation, 3)
            spent.append(3)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(spent) == 1000 - budget.left("t", "s")
    assert 900 < sum(spent) <= 1000


@given(
    st.lists(
        st.tuples(st.sampled_from(["reserve", "settle"]), st.floats(0, 30), st.floats(0, 1)), min_size=1, max_size=60
    )
)
def test_money_spent_and_held_never_exceeds_the_limit(steps):
    budget, waiting = SessionBudget(SessionBudgetConfig(usd=100)), []
    for what, usd, share in steps:
        if what == "reserve":
            reservation = budget.reserve("t", "s", 5)
            try:
                budget.hold_usd(reservation, usd)
                waiting.append((reservation, usd * share))
            except BudgetExceeded:
                budget.settle(reservation, 0)
        elif waiting:
            budget.settle(waiting[0][0], 5, waiting.pop(0)[1])
        account = budget._accounts.get(("t", "s"))
        assert account is None or account.spent_usd + account.held_usd <= 100 + 1e-9
    for reservation, usd in waiting:
        budget.settle(reservation, 5, usd)
    assert not waiting or budget._accounts["t", "s"].held_usd < 1e-9


def test_holding_again_replaces_what_was_held():
    budget = SessionBudget(SessionBudgetConfig(usd=10))
    reservation = budget.reserve("t", "s", 0)
    budget.hold_usd(reservation, 8.0)
    budget.hold_usd(reservation, 10.0)
    assert budget.left_usd(reservation) == 10.0
    with pytest.raises(BudgetExceeded, match=r"has 0 of 10 USD left, the request may need 1"):
        budget.hold_usd(budget.reserve("t", "s", 0), 1.0)


def test_the_share_left_is_the_smaller_of_both_limits():
    budget = SessionBudget(SessionBudgetConfig(tokens=100, usd=10))
    budget.settle(budget.reserve("t", "s", 50), 30, 5.0)
    assert budget.share_left(budget.reserve("t", "s", 0)) == 0.5
