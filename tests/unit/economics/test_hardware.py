import pytest

from workbench.core import ConfigError
from workbench.economics import load_profiles


def test_every_shipped_profile_says_when_and_how_it_was_got():
    for profile in load_profiles().values():
        assert profile.as_of.year >= 2026
        assert "Price:" in profile.source
        assert "FLOP/s:" in profile.source


def test_an_hour_of_sustained_work_costs_the_hour():
    profile = load_profiles()["h100"]
    assert profile.cost_usd(profile.flop_per_s * 3600) == pytest.approx(profile.usd_per_hour)


def test_a_misspelt_key_of_a_users_file_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("profiles:\n  box: {usd_per_hor: 1, flop_per_s: 1e12, as_of: 2026-01-01, source: me}\n")
    with pytest.raises(
        ConfigError, match=r"mine.yaml: profiles.box: unknown key 'usd_per_hor'; did you mean 'usd_per_hour'"
    ):
        load_profiles(path)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no hardware file at"):
        load_profiles(tmp_path / "none.yaml")
