import pytest

from workbench.core import ConfigError
from workbench.economics.payback import payback


def test_without_interest_it_is_the_purchase_over_the_saving():
    assert payback(12_000, 500).months == 24.0


def test_with_interest_the_discounted_savings_add_up_to_the_purchase():
    months = payback(12_000, 500, discount_per_year=0.08).months
    interest = 1.08 ** (1 / 12) - 1
    paid = 500 * (1 - (1 + interest) ** -months) / interest
    assert paid == pytest.approx(12_000)
    assert months > 24


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        ({"saving_usd_per_month": 0.0}, "saves 0.00 USD a month"),
        ({"saving_usd_per_month": -3.0}, "saves -3.00 USD a month"),
        ({"saving_usd_per_month": 50.0, "discount_per_year": 0.08}, "interest on the purchase is more"),
        ({"saving_usd_per_month": 100.0, "life_years": 4.0}, "120.0 months, and its life is 48 months"),
    ],
)
def test_never_is_an_answer_with_its_reason(arguments, because):
    found = payback(12_000, **arguments)
    assert found.months is None
    assert found.because.startswith("never: ")
    assert because in found.because


@pytest.mark.parametrize("wrong", [{"purchase_usd": 0.0}, {"purchase_usd": float("nan")}, {"discount_per_year": -0.1}])
def test_amounts_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        payback(**{"purchase_usd": 1000.0, "saving_usd_per_month": 10.0, **wrong})
