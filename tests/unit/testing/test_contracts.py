import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from workbench.testing.contracts import CONTRACTS, SweepDocument, VerifyDocument, schema_text

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("verb", CONTRACTS)
def test_the_published_schema_is_current(verb):
    assert (ROOT / "docs" / "schemas" / f"{verb}.schema.json").read_text() == schema_text(verb), "run `make schemas`"


@pytest.fixture(scope="module")
def quickstart():
    return json.loads((ROOT / "docs" / "results" / "quickstart.json").read_text())


def test_the_measured_quickstart_keeps_the_contracts(quickstart):
    SweepDocument.model_validate(quickstart["sweep"])
    VerifyDocument.model_validate(quickstart["verify"])


def test_a_renamed_key_breaks_the_contract(quickstart):
    renamed = dict(quickstart["sweep"])
    renamed["answer"] = renamed.pop("verdict")
    with pytest.raises(ValidationError, match="verdict"):
        SweepDocument.model_validate(renamed)
