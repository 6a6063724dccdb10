import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import ConfigError, Message, MissingExtra, RateLimited, Request, Timing, Trace, Usage
from workbench.core.errors import WorkbenchError
from workbench.core.hashing import canonical_json, sha256_file, sha256_json, sha256_text
from workbench.core.naming import did_you_mean
from workbench.core.registry import Registry

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=5))
def test_the_order_of_keys_does_not_change_the_hash(value):
    assert sha256_json(dict(reversed(value.items()))) == sha256_json(value)


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError):
        canonical_json({"a": float("inf")})


def test_hash_of_a_file_is_that_of_its_text(tmp_path):
    path = tmp_path / "a"
    path.write_text("héllo", encoding="utf-8")
    assert sha256_file(path) == sha256_text("héllo")


def test_unknown_stays_unknown_in_sums():
    total = Usage(3, 2, None) + Usage(1, 1, 5)
    assert (total.prompt_tokens, total.completion_tokens, total.cached_tokens) == (4, 3, None)
    assert Usage(3, None).total_tokens is None
    assert total.total_tokens == 7


def test_time_per_output_token_needs_two_tokens_and_a_first_one():
    assert Timing(latency_s=1.2, ttft_s=0.2).tpot_s(11) == pytest.approx(0.1)
    assert Timing(latency_s=1.2, ttft_s=0.2).tpot_s(1) is None
    assert Timing(latency_s=1.2).tpot_s(11) is None


def test_the_prompt_is_the_last_user_message():
    request = Request(
        (Message("user", "first"), Message("assistant", "hm"), Message("user", "second"), Message("assistant", "so"))
    )
    assert request.prompt == "second"
    assert Request(()).prompt == ""


def test_two_requests_have_two_ids():
    assert Request.from_prompt("a").request_id != Request.from_prompt("a").request_id


def test_a_trace_keeps_the_step_that_failed_and_escapes_html():
    class Ticks:
        time_s = 0.0

        def monotonic_s(self):
            self.time_s += 0.5
            return self.time_s

    trace = Trace("r1")
    with pytest.raises(ConfigError), trace.step("choose", Ticks()):
        raise ConfigError("no <model>")
    assert trace.find("choose").duration_s == 0.5
    assert "no <model>" in str(trace)
    assert "no &lt;model&gt;" in trace._repr_html_()
    assert trace.to_dict()["steps"][0]["name"] == "choose"
    assert trace.find("settle") is None


def test_errors_carry_data_and_exit_codes():
    error = RateLimited("slow down", model="big", retry_after_s=3.0)
    assert (error.model, error.status, error.retry_after_s, error.retryable) == ("big", 429, 3.0, True)
    assert (WorkbenchError.exit_code, ConfigError.exit_code) == (1, 2)


def test_a_registry_suggests_the_nearest_name_and_names_the_missing_extra():
    registry = Registry(
        "thing",
        {"json": "json:dumps", "heavy": "no_such_library_here:X", "ours": "workbench.nowhere:X"},
        {"heavy": "hf", "ours": "hf"},
    )
    assert registry.load("json")([1]) == "[1]"
    with pytest.raises(ConfigError, match="did you mean 'json'"):
        registry.load("jsom")
    with pytest.raises(MissingExtra, match=r"llm-workbench\[hf\]"):
        registry.load("heavy")
    with pytest.raises(ModuleNotFoundError):
        registry.load("ours")
    registry.add("more", "json:loads")
    assert registry.names() == ["heavy", "json", "more", "ours"]


def test_far_names_get_a_list_only():
    assert did_you_mean("zzz", ["alpha", "beta"]) == "known: alpha, beta"


HEAVY = "torch transformers mlflow polars pandas datasets evaluate openai starlette matplotlib scipy sklearn".split()


@pytest.mark.parametrize(
    "statement", ["import workbench", "import workbench.core", "import workbench.cli.main as m; m._register_verbs()"]
)
def test_importing_loads_no_heavy_library(statement):
    code = f"{statement}; import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
