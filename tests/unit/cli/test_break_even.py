import json

import pytest
import typer
from typer.testing import CliRunner

from workbench.cli import break_even as verb
from workbench.core import WorkbenchError
from workbench.testing.bench_folder import save_bench
from workbench.testing.contracts import CONTRACTS


@pytest.fixture(scope="module")
def app():
    made = typer.Typer()
    verb.register(made)
    made.callback()(lambda: None)
    return made


@pytest.fixture
def workbench(app, tmp_path, monkeypatch):
    """The verb in a folder with a bench and an override that prices `me/mine` at 1 and 5 USD: exit code, stdout, error."""
    save_bench(tmp_path / "bench", hardware="l4", slo={"latency_s": 1.0})
    (tmp_path / "prices.yaml").write_text(
        "prices:\n  me/mine: {input_usd_per_1m: 1, output_usd_per_1m: 5, as_of: 2026-11-01, source: test}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        done = CliRunner().invoke(app, ["break-even", "--draws", "200", "--no-track", *arguments])
        if isinstance(done.exception, WorkbenchError):
            return done.exception.exit_code, done.stdout, str(done.exception)
        assert isinstance(done.exception, SystemExit | None), done.exception
        return done.exit_code, done.stdout, done.stderr

    return run


USUAL = ("--bench", "bench", "--against", "me/mine", "--overrides", "prices.yaml")


def test_json_is_one_document_of_the_contract(workbench):
    code, out, err = workbench(*USUAL, "--assume-equal-quality", "--json")
    assert code == 0, err
    document = json.loads(out)
    CONTRACTS["break-even"].model_validate(document)
    (row,) = document["rows"]
    assert row["rate_rps"] == pytest.approx(0.71 / (3600 * 0.0015))
    assert document["prices"]["overrides"]["name"]
    assert {"input", "now", "flips_at", "factor", "to"} <= set(document["flips"][0])


def test_people_get_the_rate_the_bills_the_flips_and_the_reason(workbench):
    code, out, _ = workbench(*USUAL, "--assume-equal-quality")
    assert code == 0
    for part in (
        "above 0.1315",
        "USD a month",
        "what would flip it",
        "by utilisation",
        "PAYS: local is cheaper than me/mine",
        "sha256",
    ):
        assert part in out


def test_no_break_even_exits_with_three_and_says_why(workbench):
    code, out, _ = workbench(*USUAL)
    assert code == 3
    assert "UNDECIDED: " in out
    assert "quality was not measured" in out
    code, out, _ = workbench(
        *USUAL, "--assume-equal-quality", "--hardware", "h100", "--cached-share", "0", "--token-factor", "0.01"
    )
    assert code == 3
    assert "DOES NOT PAY: local would be cheaper than me/mine only above" in out


def test_a_day_and_a_rate_make_the_load(workbench, tmp_path):
    (tmp_path / "day.yaml").write_text(f"every_day: {[1] * 12 + [3] * 12}\n")
    code, out, _ = workbench(*USUAL, "--assume-equal-quality", "--profile", "day.yaml", "--rate", "4", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["load"]["mean_rps"] == pytest.approx(4.0)
    assert document["load"]["peak_rps"] == pytest.approx(6.0)
    assert document["rows"][0]["usd_per_month"]["local"] == pytest.approx(0.71 * 730.5)


def test_results_are_written_where_asked(workbench, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, _ = workbench(*USUAL, "--assume-equal-quality", "--out", "result")
    assert code == 0
    assert "Written to result" in out
    assert {"break_even.json", "rows.csv", "rates_local.png"} <= {path.name for path in (tmp_path / "result").iterdir()}


def test_two_benches_of_one_model_are_told_apart(workbench, tmp_path):
    save_bench(tmp_path / "other", hardware="l4", slo={"latency_s": 1.0}, rate_rps=5.0)
    _, out, _ = workbench(*USUAL, "--bench", "other", "--assume-equal-quality", "--json")
    assert [row["local"] for row in json.loads(out)["rows"]] == ["local (bench)", "local (other)"]


def test_whole_configurations_come_from_a_file(workbench, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "configurations:\n"
        "  api: {api: me/mine, tokens: bench}\n"
        "  cached: {base: api, same_answers: true, cache: {hit_rate: 0.2, usd_per_hour: 0.02, from: assumed}}\n"
    )
    code, out, _ = workbench("--configurations", "c.yaml", "--overrides", "prices.yaml", "--rate", "1")
    assert code == 0
    assert "PAYS: cached is cheaper than api above 0.01852" in out
    assert "ASSUMED in cached against api" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --bench DIR"),
        (("--bench", "bench"), "give --against MODEL"),
        (("--against", "me/mine"), "--against needs a --bench"),
        (("--bench", "nowhere", "--against", "me/mine"), "no bench at nowhere"),
        (("--bench", ".", "--against", "me/mine"), "holds no bench"),
        (("--bench", "bench", "--against", "me/mien"), "unknown model 'me/mien'"),
        ((*USUAL, "--hardware", "h1000"), "did you mean 'h100'"),
        ((*USUAL, "--rate", "0"), "above 0 is expected"),
        ((*USUAL, "--rate", "nan"), "above 0 is expected"),
        ((*USUAL, "--profile", "none.yaml"), "no load profile at"),
        ((*USUAL, "--floor", "80"), "the quality floor is 80"),
        ((*USUAL, "--token-factor", "1:2"), "VALUE:LOW:HIGH"),
        ((*USUAL, "--token-factor", "x"), "VALUE:LOW:HIGH"),
        ((*USUAL, "--cached-share", "2"), "cached share is 2.0"),
        ((*USUAL, "--as", "mine"), "write --as NAME=MODEL"),
        ((*USUAL, "--outcomes", "bench"), "give it as --bench"),
        ((*USUAL, "--discount-rate", "-1"), "the discount rate is -1.0"),
        ((*USUAL, "--up-to", "-1"), "up to -1.0 requests/s"),
        (("--configurations", "none.yaml"), "no configurations file at"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(workbench, arguments, message):
    code, out, err = workbench(*arguments)
    assert (code, out) == (2, ""), err
    assert message in err


def test_a_negative_price_is_refused(workbench, tmp_path):
    (tmp_path / "prices.yaml").write_text(
        "prices:\n  me/mine: {input_usd_per_1m: -1, output_usd_per_1m: 5, as_of: 2026-11-01, source: test}\n"
    )
    code, _, err = workbench(*USUAL)
    assert code == 2
    assert "-1" in err


def test_a_bench_of_failures_is_refused(workbench, tmp_path):
    save_bench(tmp_path / "bench", n=20, n_failed=20)
    code, _, err = workbench(*USUAL, "--hardware", "l4")
    assert code == 2
    assert "all 20 requests failed" in err
