import polars as pl
import pytest

from workbench.core import BadResponse, ConfigError, Request, Sampling, Unavailable
from workbench.models import FaultyModel, ModelCard, load_model
from workbench.testing import FakeClock

PROMPTS = {"p1": "What is 2 + 3?", "p2": "Sort 3 1 2", "p3": "Never answered"}


def row(prompt_id: str, model: str = "tiny", sample: int = 0, **known: object) -> dict[str, object]:
    measured = {
        "answer": "five or so",
        "ttft_s": 1.0,
        "latency_s": 3.0,
        "prompt_tokens": 9,
        "cached_tokens": None,
        "completion_tokens": 3,
        "cost_usd": 0.25,
        "finish_reason": "stop",
        "error": None,
        "logprob": -0.5,
    }
    return {"prompt_id": prompt_id, "model": model, "variant": "plain", "sample": sample, **measured, **known}


@pytest.fixture
def folder(tmp_path):
    rows = [
        row("p1", sample=1, answer="six"),
        row("p1", sample=0),
        row("p1", model="base", answer="5"),
        row("p2", answer=None, latency_s=None, ttft_s=None, error="Unavailable: down"),
    ]
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(tmp_path / "outcomes.parquet")
    prompts = {"prompt_id": list(PROMPTS), "prompt": list(PROMPTS.values())}
    pl.DataFrame(prompts).write_parquet(tmp_path / "prompts.parquet")
    return tmp_path


def load(folder, clock=None, name="tiny", **options):
    return load_model(
        "replay", ModelCard(kind="recorded", model=f"{folder}#{name}", options=options), clock or FakeClock()
    )


def ask(prompt_id: str, seed: int | None = None) -> Request:
    return Request.from_prompt(PROMPTS[prompt_id], sampling=Sampling(seed=seed))


async def test_the_recorded_answer_comes_with_all_that_was_measured(folder):
    answer = await load(folder).complete(ask("p1"))
    assert (answer.text, answer.model, answer.cost_usd, answer.logprob) == ("five or so", "replay", 0.25, -0.5)
    assert (answer.timing.latency_s, answer.timing.ttft_s) == (3.0, 1.0)
    assert (answer.usage.prompt_tokens, answer.usage.cached_tokens) == (9, None)


async def test_samples_take_turns_by_seed(folder):
    model = load(folder)
    texts = [(await model.complete(ask("p1", seed))).text for seed in (None, 0, 1, 2, 3)]
    assert texts == ["five or so", "five or so", "six", "five or so", "six"]


@pytest.mark.parametrize(("scale", "waited_s"), [(1, 3.0), (0.5, 1.5), (0, 0.0)])
async def test_the_waiting_is_scaled_and_the_measured_time_is_not(folder, scale, waited_s):
    clock = FakeClock()
    answer = await load(folder, clock, latency_scale=scale).complete(ask("p1"))
    assert clock.monotonic_s() == waited_s
    assert answer.timing.latency_s == 3.0


async def test_a_stream_waits_for_its_first_word_and_then_evenly(folder):
    clock = FakeClock()
    deltas = [delta async for delta in load(folder, clock).stream(ask("p1"))]
    assert [delta.text for delta in deltas] == ["five", " or", " so", ""]
    assert clock.sleeps == [1.0, 1.0, 1.0]


async def test_an_unknown_prompt_says_so(folder):
    with pytest.raises(BadResponse, match="is not among the 2 recorded ones; record it or ask a live model"):
        await load(folder).complete(ask("p3"))


async def test_a_recorded_failure_fails_again(folder):
    with pytest.raises(Unavailable, match="the recorded answer is a failure: Unavailable: down"):
        await load(folder).complete(ask("p2"))


async def test_faults_of_the_options_strike(folder):
    model = load(folder, faults=[{"kind": "server_error", "at": [1]}])
    assert isinstance(model, FaultyModel)
    with pytest.raises(Unavailable, match="scheduled fault"):
        await model.complete(ask("p1"))
    assert (await model.complete(ask("p1"))).text == "five or so"


def test_a_model_that_was_not_recorded_is_answered_with_the_nearest(folder):
    with pytest.raises(ConfigError, match="no answers of model 'bse': did you mean 'base'"):
        load(folder, name="bse")


def test_of_several_models_one_must_be_named(folder):
    with pytest.raises(ConfigError, match=r"holds several models: base, tiny; choose one as .*#base"):
        load_model("replay", ModelCard(kind="recorded", model=str(folder)))


def test_a_folder_without_outcomes_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"no recorded answers at .*outcomes.parquet"):
        load(tmp_path)


def test_a_damaged_file_is_one_sentence(folder):
    (folder / "outcomes.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(ConfigError, match=r"outcomes.parquet is not a readable parquet file"):
        load(folder)


def test_a_misspelt_option_is_named(folder):
    with pytest.raises(
        ConfigError, match="options of model 'replay': unknown key 'latency_scal'; did you mean 'latency_scale'"
    ):
        load(folder, latency_scal=0)
