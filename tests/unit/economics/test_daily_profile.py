import datetime

import pytest

from workbench.core import ConfigError
from workbench.economics.daily_profile import LoadProfile, read_profile

OFFICE = tuple(4.0 if 8 <= hour < 18 else 0.5 for hour in range(24))
QUIET = (0.25,) * 24


def test_the_mean_weighs_five_weekdays_and_two_weekend_days():
    profile = LoadProfile(OFFICE, QUIET, "office")
    assert profile.mean_rps == pytest.approx((5 * sum(OFFICE) + 2 * sum(QUIET)) / 168)
    assert profile.peak_rps == 4.0
    assert sum(profile.weights) == pytest.approx(1.0)
    assert profile.scaled_to(10.0).mean_rps == pytest.approx(10.0)


def test_request_times_become_hourly_means_over_the_days_they_span():
    monday = datetime.datetime(2026, 11, 23)
    starts = [monday + datetime.timedelta(days=day, hours=hour, minutes=5) for day in range(14) for hour in range(24)]
    starts += [monday + datetime.timedelta(days=day, hours=9, seconds=s) for day in range(5) for s in range(720)]
    profile = LoadProfile.of_starts(starts, "log")
    assert profile.weekday[9] == pytest.approx((10 + 5 * 720) / (10 * 3600))
    assert profile.weekday[3] == pytest.approx(1 / 3600)
    assert profile.weekend == pytest.approx((1 / 3600,) * 24)


def test_quiet_hours_between_requests_count_as_zero():
    monday = datetime.datetime(2026, 11, 23)
    starts = [monday + datetime.timedelta(days=day, hours=hour) for day in (0, 7) for hour in (0, 23)]
    profile = LoadProfile.of_starts(starts, "log")
    assert profile.weekday[0] == pytest.approx(2 / (6 * 3600))
    assert profile.weekend == (0.0,) * 24


def test_a_log_of_half_a_day_is_refused():
    starts = [datetime.datetime(2026, 11, 23, hour) for hour in range(12)]
    with pytest.raises(ConfigError, match="no day covers the hours 12:00"):
        LoadProfile.of_starts(starts, "log")


def test_weekdays_stand_in_for_weekends_that_were_not_logged():
    monday = datetime.datetime(2026, 11, 23)
    starts = [monday + datetime.timedelta(hours=hour) for hour in range(24)]
    profile = LoadProfile.of_starts(starts, "log")
    assert profile.weekend == profile.weekday == (1 / 3600,) * 24


def test_yaml_and_csv_of_the_same_rates_agree(tmp_path):
    (tmp_path / "a.yaml").write_text(f"weekday: {list(OFFICE)}\nweekend: {list(QUIET)}\n")
    lines = [f"{hour},{OFFICE[hour]},{QUIET[hour]}" for hour in range(24)]
    (tmp_path / "b.csv").write_text("hour,weekday_rps,weekend_rps\n" + "\n".join(lines) + "\n")
    first, second = read_profile(tmp_path / "a.yaml"), read_profile(tmp_path / "b.csv")
    assert (first.weekday, first.weekend) == (second.weekday, second.weekend) == (OFFICE, QUIET)


def test_a_csv_of_one_rate_an_hour_holds_every_day(tmp_path):
    (tmp_path / "c.csv").write_text("hour,rate_rps\n" + "\n".join(f"{hour},2" for hour in range(24)))
    assert read_profile(tmp_path / "c.csv").mean_rps == pytest.approx(2.0)


def test_a_csv_of_timestamps_reads_iso_and_seconds(tmp_path):
    text = "\n".join(f"2026-11-23T{hour:02d}:30:00" for hour in range(24))
    (tmp_path / "iso.csv").write_text("timestamp\n" + text)
    seconds = int(datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC).timestamp())
    (tmp_path / "unix.csv").write_text("timestamp\n" + "\n".join(str(seconds + 3600 * hour) for hour in range(24)))
    assert read_profile(tmp_path / "iso.csv").weekday == read_profile(tmp_path / "unix.csv").weekday


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.yaml", "weekday: [1, 2]\nweekend: [1]\n", "weekday has 2 rates; 24 are expected"),
        ("p.yaml", f"every_day: {[0] * 24}\n", "every rate is 0"),
        ("p.yaml", f"every_day: {[-1] * 24}\n", "greater than or equal to 0"),
        ("p.yaml", f"weekday: {[1] * 24}\n", "give 24 rates as every_day"),
        ("p.yaml", f"every_day: {[1] * 24}\nweekday: {[1] * 24}\n", "leaves no room"),
        ("p.yaml", f"weekdays: {[1] * 24}\n", "did you mean 'weekday'"),
        ("p.yaml", "", "give 24 rates"),
        ("p.csv", "", "a column 'hour' or 'timestamp' is expected"),
        ("p.csv", "hours,rate_rps\n0,1\n", "did you mean 'hour'"),
        ("p.csv", "hour,rate\n0,1\n", "the column 'weekday_rps' is missing"),
        ("p.csv", "hour,rate_rps\n0,1\n", "24 lines with the hours 0 to 23"),
        ("p.csv", "hour,rate_rps\n0,x\n", "24 lines|'x' is no number"),
        ("p.csv", "timestamp\nyesterday\n", "line 2: 'yesterday' is neither"),
    ],
)
def test_a_file_that_is_no_profile_is_named_with_its_fault(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_profile(tmp_path / name)


def test_a_missing_profile_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no load profile at"):
        read_profile(tmp_path / "none.yaml")
