import pytest

from workbench.core import Usage
from workbench.gateway.outgoing import usage_json
from workbench.models.openai_protocol import usage_of


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (Usage(), None),
        (Usage(9, 4), {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}),
        (
            Usage(9, 4, cached_tokens=0, cache_write_tokens=5, reasoning_tokens=3),
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 13,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
        ),
    ],
)
def test_a_client_is_told_what_is_known_of_the_tokens(usage, told):
    assert usage_json(usage) == told


def test_what_the_gateway_tells_the_workbenchs_own_client_reads():
    usage = Usage(9, 4, cached_tokens=2, cache_write_tokens=5, reasoning_tokens=3)
    assert usage_of(usage_json(usage)) == usage
