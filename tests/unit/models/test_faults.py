import pytest
from pydantic import ValidationError

from workbench.core import BadResponse, ModelError, RateLimited, Request, Unavailable
from workbench.models import Fault, FaultSchedule, FaultyModel
from workbench.testing import FakeClock, ScriptedModel


def strikes(schedule: FaultSchedule, n: int) -> list[int]:
    return [number for number in range(1, n + 1) if schedule.next() is not None]


def faulty(fault: Fault, clock: FakeClock | None = None) -> FaultyModel:
    return FaultyModel(ScriptedModel("m", lambda _: "one two three"), FaultSchedule([fault]), clock or FakeClock())


def test_every_third_request_and_named_requests_are_counted_from_one():
    assert strikes(FaultSchedule([Fault(kind="timeout", every=3)]), 7) == [3, 6]
    assert strikes(FaultSchedule([Fault(kind="timeout", at=(2, 5))]), 7) == [2, 5]


def test_a_seed_draws_the_same_faults_again_and_about_the_share_asked_for():
    fault = Fault(kind="server_error", probability=0.3, seed=4)
    first = strikes(FaultSchedule([fault]), 2000)
    assert first == strikes(FaultSchedule([fault]), 2000)
    assert 540 < len(first) < 660


def test_a_fault_must_say_when_it_strikes_in_exactly_one_way():
    with pytest.raises(ValidationError, match="exactly one of every, at or probability"):
        Fault(kind="timeout")
    with pytest.raises(ValidationError, match="exactly one"):
        Fault(kind="timeout", every=1, at=(2,))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("rate_limited", RateLimited),
        ("server_error", Unavailable),
        ("timeout", Unavailable),
        ("cut_stream", Unavailable),
        ("malformed_chunk", BadResponse),
    ],
)
async def test_each_kind_is_the_error_a_client_would_see(kind: str, error: type[ModelError]):
    with pytest.raises(error, match="scheduled fault"):
        await faulty(Fault(kind=kind, every=1)).complete(Request.from_prompt("x"))


async def test_a_rate_limit_carries_what_the_server_asks():
    with pytest.raises(RateLimited) as caught:
        await faulty(Fault(kind="rate_limited", every=1, retry_after_s=2.5)).complete(Request.from_prompt("x"))
    assert caught.value.retry_after_s == 2.5


async def test_a_timeout_takes_its_time():
    clock = FakeClock()
    with pytest.raises(Unavailable):
        await faulty(Fault(kind="timeout", every=1, after_s=30), clock).complete(Request.from_prompt("x"))
    assert clock.monotonic_s() == 30


async def collect(model: FaultyModel, pieces: list[str]) -> None:
    async for delta in model.stream(Request.from_prompt("x")):
        pieces.append(delta.text)


@pytest.mark.parametrize(("kind", "n_pieces"), [("cut_stream", 2), ("malformed_chunk", 2), ("server_error", 0)])
async def test_a_stream_breaks_in_its_middle_or_before_it_begins(kind: str, n_pieces: int):
    pieces: list[str] = []
    with pytest.raises(ModelError):
        await collect(faulty(Fault(kind=kind, every=1, after_pieces=2)), pieces)
    assert pieces == ["one", " two", " three"][:n_pieces]


async def test_requests_without_a_fault_are_answered():
    model = faulty(Fault(kind="server_error", every=2))
    answers = await model.complete_batch([Request.from_prompt("x")] * 4)
    assert [isinstance(answer, ModelError) for answer in answers] == [False, True, False, True]
