"""The outage double, with real servers and real seconds."""

from workbench.testing.outage import OutageConfig, outage

SHORT = OutageConfig(healthy_s=0.3, outage_s=1.0, after_s=0.6, timeout_s=0.25, cooldown_s=0.2, n_clients=2)


def test_a_watched_outage_costs_the_first_requests_a_timeout_and_an_unwatched_one_all():
    watched, unwatched = outage(SHORT, has_breaker=True), outage(SHORT, has_breaker=False)
    during = unwatched.requests.filter(unwatched.requests["phase"] == "outage")
    assert unwatched.paid_timeout >= during.height - 2, "but for those that were answered just before"
    assert 1 <= watched.paid_timeout < unwatched.paid_timeout
    assert watched.unanswered == unwatched.unanswered == 0
    assert watched.skipped > 0
    assert unwatched.skipped == 0
    assert watched.to_row("watched")["probes"] >= 1


def test_each_request_is_told_with_its_time_its_model_and_its_phase():
    found = outage(SHORT)
    assert found.requests.columns == ["at_s", "latency_s", "model", "phase"]
    assert set(found.requests["phase"]) <= {"healthy", "outage", "after"}
    assert found.requests.filter(found.requests["phase"] == "healthy")["model"].unique().to_list() == ["api"]
