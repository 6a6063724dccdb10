"""What every guard's configuration shares."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from workbench.core.hashing import sha256_json
from workbench.core.price import Strict


class GuardConfig(Strict):
    """Settings of any guard."""

    name: Annotated[
        str | None, Field(description="its name in verdicts and metrics; null: its kind, numbered where needed")
    ] = None
    action: Annotated[
        Literal["block", "rewrite", "review"], Field(description="what a finding leads to; review passes and is marked")
    ] = "block"
    mode: Annotated[
        Literal["enforce", "shadow"], Field(description="shadow: judged and recorded, never acted upon")
    ] = "enforce"
    deadline_s: Annotated[
        float | None,
        Field(gt=0, description="longest time for one check, in a thread; null: in line, for linear checks"),
    ] = None
    on_failure: Annotated[
        Literal["block", "allow"], Field(description="what an error or a timeout of the guard itself leads to")
    ] = "block"

    @cached_property
    def sha256(self) -> str:
        """Hash of the settings, as verdicts state it."""
        return sha256_json(self.model_dump(mode="json", by_alias=True))
