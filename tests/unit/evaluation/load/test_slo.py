import pytest

from workbench.core import ConfigError
from workbench.evaluation.load import SLO

GOOD = {"ttft_s": 0.4, "latency_s": 1.9, "tpot_s": 0.04, "completion_tokens": 20, "chunks_s": [1.0], "error": None}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, True),
        ({"ttft_s": 0.6}, False),
        ({"latency_s": 2.0}, True),  # the bound itself is good
        ({"error": "Unavailable"}, False),
        ({"tpot_s": None, "completion_tokens": 1}, True),  # one token has no time per further token
        ({"tpot_s": None, "completion_tokens": None}, None),  # nobody knows
        ({"ttft_s": None, "chunks_s": [], "latency_s": 0.3}, True),  # an empty answer: its whole latency stands in
        ({"ttft_s": None, "chunks_s": [], "latency_s": 0.7}, False),
    ],
)
def test_a_request_is_good_when_it_was_answered_and_every_bound_holds(changes, verdict):
    slo = SLO(ttft_s=0.5, latency_s=2.0, tpot_s=0.05)
    assert slo.judge({**GOOD, **changes}) is verdict


@pytest.mark.parametrize(("waited_s", "verdict"), [(1.0, None), (2.5, False)])
def test_a_cut_request_is_left_out_unless_it_had_already_overrun(waited_s, verdict):
    row = {"error": None, "finish_reason": "cut", "intended_s": 10.0, "cut_s": 10.0 + waited_s, "ttft_s": 0.1}
    assert SLO(ttft_s=0.5, latency_s=2.0).judge(row) is verdict


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ttft=0.5", "unknown bound 'ttft': did you mean 'ttft_s'"),
        ("ttft_s", "a number of seconds, found ''"),
        ("ttft_s=fast", "found 'fast'"),
        ("ttft_s=-1", "above 0, found -1"),
        ("ttft_s=nan", "above 0, found nan"),
        ("ttft_s=1,ttft_s=2", "given twice"),
        ("", "at least one bound"),
    ],
)
def test_an_slo_that_cannot_be_is_refused_in_a_sentence(text, message):
    with pytest.raises(ConfigError) as refused:
        SLO.parse(text)
    assert message in str(refused.value)


def test_an_slo_is_read_as_the_command_line_writes_it():
    assert SLO.parse(" ttft_s = 0.5 , tpot_s=.05 ").bounds == {"ttft_s": 0.5, "tpot_s": 0.05}
