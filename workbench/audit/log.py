"""An append-only record of what was decided for each request."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workbench.core.price import Strict


class AuditConfig(Strict):
    """Where the log is and what happens when it cannot be written."""

    path: Annotated[str, Field(min_length=1, description="JSON lines; relative to the configuration's folder")]
    pseudonym_key: Annotated[
        str | None,
        Field(
            pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$",
            description="key of the tenants' pseudonyms by reference, env:NAME; null: a plain hash, which can be guessed",
        ),
    ] = None
    on_failure: Annotated[
        Literal["block", "degrade"],
        Field(description="when a record cannot be written: refuse the answer, or give it and say so"),
    ] = "block"
