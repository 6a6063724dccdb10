"""The outage double: what it shows on a clock of its own, and that real servers take part in it."""

import pytest

from workbench.testing.outage import OutageConfig, outage

SHORT = OutageConfig(healthy_s=0.2, outage_s=0.5, after_s=0.2, timeout_s=0.2, cooldown_s=0.1, n_clients=2)


@pytest.fixture(scope="module")
def watched():
    return outage(has_breaker=True, is_simulated=True)


@pytest.fixture(scope="module")
def unwatched():
    return outage(has_breaker=False, is_simulated=True)


def during(found):
    return found.requests.filter(found.requests["phase"] == "outage")


def test_without_circuits_every_request_of_the_outage_pays_the_timeout(unwatched):
    assert unwatched.paid_timeout == during(unwatched).height > 0
    assert during(unwatched)["latency_s"].to_list() == pytest.approx(
        [unwatched.config.timeout_s] * unwatched.paid_timeout
    )
    assert (unwatched.skipped, unwatched.probes) == (0, {})


def test_a_watched_outage_costs_the_first_requests_a_timeout_and_then_a_probe_now_and_then(watched, unwatched):
    paid = watched.paid_timeout - sum(watched.probes.values())
    assert 1 <= paid <= 3 + watched.config.n_clients, "three failures in a row, and whoever was under way with them"
    assert watched.paid_timeout < unwatched.paid_timeout
    assert watched.skipped > 0
    assert watched.to_row("watched")["probes"] >= 1


def test_the_fallback_answers_everybody_and_the_model_comes_back(watched, unwatched):
    for found in (watched, unwatched):
        assert found.unanswered == 0
        assert set(found.requests.filter(found.requests["phase"] == "healthy")["model"]) == {"api"}
        assert found.requests["model"][-1] == "api"


def test_real_servers_take_part_and_each_request_is_told_with_its_time_its_model_and_its_phase():
    found = outage(SHORT)
    assert found.requests.columns == ["at_s", "latency_s", "model", "phase"]
    assert set(found.requests["phase"]) <= {"healthy", "outage", "after"}
    assert set(found.requests["model"]) <= {"api", "tiny", None}
    assert found.requests["at_s"].is_sorted()
