import polars as pl
import pytest

from workbench.core import ConfigError
from workbench.evaluation import Manifest, Outcomes
from workbench.tuning.service_curves import curve_of_bench, curves_of_outcomes


def bench(folder, *stages):
    """A bench folder whose stages keep `n` requests in flight, each taking `seconds`, back to back."""
    rows = [
        {
            "request": turn * n + worker,
            "phase": "measured",
            "stage": stage,
            "sent_s": turn * seconds,
            "end_s": (turn + 1) * seconds,
            "latency_from_send_s": seconds,
            "ttft_from_send_s": seconds / 4,
            "error": None,
        }
        for stage, (n, seconds) in enumerate(stages)
        for turn in range(10)
        for worker in range(n)
    ]
    folder.mkdir(exist_ok=True)
    pl.DataFrame(rows, schema_overrides={"error": pl.String}).write_parquet(folder / "requests.parquet")
    return folder


def test_the_concurrency_of_a_point_is_what_was_in_flight(tmp_path):
    curve = curve_of_bench([bench(tmp_path / "a", (1, 0.5), (4, 0.8)), bench(tmp_path / "b", (8, 1.6))])
    assert curve.concurrency == pytest.approx((1, 4, 8))
    assert curve.seconds == pytest.approx((0.5, 0.8, 1.6))
    assert curve_of_bench([tmp_path / "b"], measure="ttft", percentile=95).seconds == pytest.approx((0.4,))


def test_a_curve_never_falls(tmp_path):
    curve = curve_of_bench([bench(tmp_path, (1, 0.5), (2, 1.0), (3, 0.4))])
    assert list(curve.seconds) == sorted(curve.seconds)
    assert curve.seconds[1] == pytest.approx((1.0 * 20 + 0.4 * 30) / 50)


def test_warm_up_and_failures_do_not_count(tmp_path):
    folder = bench(tmp_path, (1, 0.5))
    path = folder / "requests.parquet"
    rows = pl.read_parquet(path)
    strange = rows.with_columns(latency_from_send_s=pl.lit(99.0))
    warm, failed = strange.with_columns(phase=pl.lit("warm_up")), strange.with_columns(error=pl.lit("Unavailable"))
    pl.concat([rows, warm, failed]).write_parquet(path)
    assert curve_of_bench([folder]).seconds == pytest.approx((0.5,))


def test_a_folder_that_is_none_and_too_few_answers_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no bench folder"):
        curve_of_bench([tmp_path])
    rows = pl.read_parquet(bench(tmp_path, (1, 0.5)) / "requests.parquet").head(3)
    rows.write_parquet(tmp_path / "requests.parquet")
    with pytest.raises(ConfigError, match="measure longer"):
        curve_of_bench([tmp_path])


def test_outcomes_recorded_at_several_loads_make_a_curve_a_model():
    rows = pl.DataFrame(
        [
            {
                "prompt_id": f"p{i}",
                "model": "a",
                "score": 1.0,
                "sample": load,
                "concurrency": load,
                "latency_s": load / 2,
            }
            for i in range(6)
            for load in (1, 4)
        ]
        + [{"prompt_id": "p0", "model": "b", "score": 1.0, "sample": 0, "concurrency": None, "latency_s": 1.0}]
    )
    asked = pl.DataFrame({"prompt_id": [f"p{i}" for i in range(6)], "prompt": ["x"] * 6})
    curves = curves_of_outcomes(Outcomes.from_frames(rows, asked, Manifest("t")))
    assert set(curves) == {"a"}
    assert (curves["a"].concurrency, curves["a"].seconds) == ((1.0, 4.0), (0.5, 2.0))
