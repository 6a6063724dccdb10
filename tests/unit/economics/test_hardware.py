import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError
from workbench.economics import HOURS_PER_YEAR, HardwareProfile, find_profile, load_profiles

OWNED = {
    "purchase_usd": 10_000.0,
    "life_years": 4.0,
    "residual_usd": 2_000.0,
    "power_idle_w": 100.0,
    "power_busy_w": 700.0,
    "usd_per_kwh": 0.2,
    "pue": 1.5,
    "operation_usd_per_month": 73.05,
    "flop_per_s": 1e14,
    "as_of": "2026-11-01",
    "source": "test",
}


def rented(usd_per_hour: float) -> HardwareProfile:
    return HardwareProfile(usd_per_hour=usd_per_hour, flop_per_s=1e12, as_of="2026-11-01", source="test")


def test_every_shipped_profile_says_when_and_how_it_was_got():
    for profile in load_profiles().values():
        assert profile.as_of.year >= 2026
        assert "Price:" in profile.source
        assert "FLOP/s:" in profile.source


def test_what_is_called_measured_is_not_called_an_estimate_beside_it():
    for profile in load_profiles().values():
        assert ("measured" in profile.source.partition("FLOP/s:")[2].replace("ot measured", "")) == (
            profile.flop_basis == "measured"
        )


def test_an_hour_of_sustained_work_costs_the_hour():
    for profile in load_profiles().values():
        assert profile.cost_usd(profile.flop_per_s * 3600) == pytest.approx(profile.usd_per_hour)


def test_an_owned_hour_is_depreciation_power_and_operation():
    profile = HardwareProfile(**OWNED)
    depreciation = 8_000 / (4 * 365.25 * 24)
    operation = 73.05 / 730.5
    assert profile.usd_per_hour_at(0.0) == pytest.approx(depreciation + 0.1 * 1.5 * 0.2 + operation)
    assert profile.usd_per_hour_at(0.5) == pytest.approx(depreciation + 0.4 * 1.5 * 0.2 + operation)
    assert profile.usd_per_hour == pytest.approx(depreciation + 0.7 * 1.5 * 0.2 + operation)
    assert profile.usd_per_second == pytest.approx(profile.usd_per_hour / 3600)


def test_a_life_of_idling_costs_the_purchase_power_and_operation():
    profile = HardwareProfile(**OWNED)
    whole_life_usd = profile.usd_per_hour_at(0.0) * 4 * HOURS_PER_YEAR
    assert whole_life_usd == pytest.approx(8_000 + 0.1 * 1.5 * 0.2 * 4 * HOURS_PER_YEAR + 73.05 * 48)


def test_a_rent_is_the_same_whether_it_works_or_not():
    assert rented(2.5).usd_per_hour_at(0.0) == rented(2.5).usd_per_hour == 2.5
    assert not rented(2.5).is_owned


def test_a_hundred_dollars_a_day_are_thirty_six_thousand_a_year():
    """A widely read article has 365 USD: a day's cost taken for a day's count."""
    assert rented(100 / 24).usd_per_year == pytest.approx(36_525)


def test_a_token_bears_the_idle_hours():
    assert rented(3.6).usd_per_token(1000) == pytest.approx(1e-6)
    assert rented(3.6).usd_per_token(1000, utilisation=0.01) == pytest.approx(1e-4)


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_an_owned_token_is_the_cheaper_the_more_the_machine_works(one, other):
    profile = HardwareProfile(**OWNED)
    low, high = sorted((one, other))
    assert profile.usd_per_token(100, high) <= profile.usd_per_token(100, low) * (1 + 1e-12)


@pytest.mark.parametrize(("tokens_per_s", "utilisation"), [(0, 1), (-1, 1), (100, 0)])
def test_a_machine_that_serves_nothing_has_no_price_a_token(tokens_per_s, utilisation):
    with pytest.raises(ConfigError, match="serves no token to price"):
        rented(1.0).usd_per_token(tokens_per_s, utilisation)


@pytest.mark.parametrize("utilisation", [-0.1, 1.1, float("nan")])
def test_a_utilisation_is_a_share(utilisation):
    with pytest.raises(ConfigError, match=r"utilisation is .*; allowed is a share of the time, 0 to 1"):
        rented(1.0).usd_per_hour_at(utilisation)


def profiles_file(folder, entry: str):
    path = folder / "mine.yaml"
    path.write_text(f"profiles:\n  box: {{{entry}, flop_per_s: 1e12, as_of: 2026-01-01, source: me}}\n")
    return path


def test_the_users_file_takes_rent_and_ownership(tmp_path):
    assert load_profiles(profiles_file(tmp_path, "usd_per_hour: 1"))["box"].usd_per_hour == 1
    entry = "purchase_usd: 8766, life_years: 1, power_idle_w: 0, power_busy_w: 0, usd_per_kwh: 0.1"
    assert load_profiles(profiles_file(tmp_path, entry))["box"].usd_per_hour == pytest.approx(1)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("usd_per_hor: 1", "profiles.box: unknown key 'usd_per_hor'; did you mean 'usd_per_hour'"),
        ("usd_per_hour: 0", "profiles.box.usd_per_hour: input should be greater than 0, found 0"),
        ("usd_per_hour: 1, life_years: 3", "is rented, life_years belongs to an owned one"),
        ("purchase_usd: 100", "missing: life_years, power_idle_w, power_busy_w, usd_per_kwh"),
        ("pue: 1.2", "give usd_per_hour \\(rented\\), or for an owned machine"),
        (
            "purchase_usd: 1, life_years: 1, power_idle_w: 9, power_busy_w: 5, usd_per_kwh: 0.1",
            "power_idle_w 9 is more than power_busy_w 5",
        ),
        (
            "purchase_usd: 1, residual_usd: 2, life_years: 1, power_idle_w: 1, power_busy_w: 5, usd_per_kwh: 0.1",
            "residual_usd 2 is more than purchase_usd 1",
        ),
    ],
)
def test_what_is_wrong_in_a_users_file_is_named(tmp_path, entry, message):
    with pytest.raises(ConfigError, match=message):
        load_profiles(profiles_file(tmp_path, entry))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no hardware file at"):
        load_profiles(tmp_path / "none.yaml")


def test_an_unknown_profile_suggests_the_nearest():
    with pytest.raises(ConfigError, match="unknown hardware profile 'h10': did you mean 'h100'"):
        find_profile("h10", load_profiles())
