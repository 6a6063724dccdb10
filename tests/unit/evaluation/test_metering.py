import pytest

from workbench.core import Unavailable
from workbench.economics import NoMeter
from workbench.evaluation import Suite, record
from workbench.evaluation.metering import why_no_energy
from workbench.models import ModelCard
from workbench.testing import FakeClock, ScriptedModel

SUITE = Suite.from_rows([(f"row {i}", {"id": f"q{i}", "prompt": f"q {i}", "answer": "x"}) for i in range(4)], "four")
LOCAL = ModelCard(kind="transformers", model="x", batch_size=4)
SERVER = ModelCard(kind="openai-compatible", model="x", base_url="http://127.0.0.1:8000/v1")


class SteadyMeter:
    """3,600 W: a Wh every second of the clock."""

    covers, reason, method = ("package-0",), None, "a clock"

    def __init__(self, clock):
        self.clock, self.is_closed = clock, False

    def read_wh(self):
        return self.clock.monotonic_s()

    def close(self):
        self.is_closed = True


def recorded(tmp_path, card, replies, clock, meter, **settings):
    model = ScriptedModel("m", replies, card=card, clock=clock, latency_s=2.0)
    return record(SUITE, {"m": model}, tmp_path / "out", clock=clock, meter=meter, **settings)


def test_a_batchs_energy_is_shared_over_its_rows_by_tokens_and_adds_up(tmp_path):
    clock = FakeClock()
    answers = {"q 0": "a", "q 1": "a b", "q 2": "a b c", "q 3": "a b c d"}
    outcomes = recorded(tmp_path, LOCAL, lambda request: answers[request.prompt], clock, SteadyMeter(clock))
    shares = outcomes.frame["energy_wh"].to_list()
    assert sum(shares) == 2.0
    assert shares == pytest.approx([2 * (2 + n) / 18 for n in (1, 2, 3, 4)])  # two prompt tokens and n of the answer


def test_requests_in_flight_share_each_interval_equally(tmp_path):
    clock = FakeClock()
    outcomes = recorded(tmp_path, SERVER, lambda _: "x", clock, SteadyMeter(clock), concurrency=2)
    assert outcomes.frame["energy_wh"].to_list() == pytest.approx([1.0] * 4)


def test_a_request_that_failed_keeps_the_energy_it_took(tmp_path):
    clock = FakeClock()

    def reply(request):
        return Unavailable("down", model="m") if request.prompt == "q 3" else "x"

    outcomes = recorded(tmp_path, SERVER, reply, clock, SteadyMeter(clock), concurrency=1)
    assert outcomes.frame["energy_wh"].to_list() == pytest.approx([2.0, 2.0, 2.0, 0.0])


def test_the_manifest_says_how_energy_was_read_and_the_meter_stays_open_for_its_owner(tmp_path):
    clock = FakeClock()
    meter = SteadyMeter(clock)
    measuring = recorded(tmp_path, LOCAL, lambda _: "x", clock, meter).manifest.models["m"]["measuring"]
    assert measuring["energy"]["covers"] == ["package-0"]
    assert measuring["energy"]["method"] == "a clock"
    assert "energy_wh" not in measuring["reasons"]
    assert not meter.is_closed


def test_energy_that_cannot_be_read_is_null_with_the_reason(tmp_path):
    outcomes = recorded(tmp_path, LOCAL, lambda _: "x", FakeClock(), NoMeter("RAPL: a virtual machine"))
    assert outcomes.frame["energy_wh"].null_count() == 4
    assert outcomes.manifest.models["m"]["measuring"]["reasons"]["energy_wh"] == "RAPL: a virtual machine"
    assert outcomes.manifest.models["m"]["measuring"]["energy"] is None


def test_models_recorded_side_by_side_do_not_count_the_same_energy_twice(tmp_path):
    clock = FakeClock()
    models = {n: ScriptedModel(n, lambda _: "x", card=LOCAL, clock=clock, latency_s=2.0) for n in ("a", "b")}
    meter = SteadyMeter(clock)
    outcomes = record(SUITE, models, tmp_path / "out", clock=clock, meter=meter, parallel_models=True)
    assert outcomes.frame["energy_wh"].sum() == pytest.approx(meter.read_wh())


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (ModelCard(kind="recorded", model="x"), "replayed"),
        (ModelCard(kind="openai-compatible", model="x", base_url="https://api.example.com/v1"), "another machine"),
        (ModelCard(kind="anthropic", model="x"), "another machine"),
        (ModelCard(kind="transformers", model="x", device="cuda:0"), "GPU"),
    ],
)
def test_energy_of_what_this_machines_meter_does_not_see_is_not_made_up(card, reason):
    assert reason in why_no_energy(card, SteadyMeter(FakeClock()))


@pytest.mark.parametrize("card", [LOCAL, SERVER, ModelCard(kind="vllm", model="x")])
def test_what_computes_on_this_machine_is_metered(card):
    assert why_no_energy(card, SteadyMeter(FakeClock())) is None
