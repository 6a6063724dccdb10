"""The grader of JSON: valid, of the right shape, and equal to the reference as a value."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from workbench.core import ConfigError, MissingExtra
from workbench.core.hashing import canonical_json

_FENCE = re.compile(r"\A```[\w-]*\s*\n?(.*?)\n?\s*```\Z", re.DOTALL)


def parse_json(text: str) -> Any:
    """The value of a JSON text, with or without a code fence around it; NaN and infinities are not JSON.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    stripped = text.strip()
    fenced = _FENCE.match(stripped)
    try:
        return json.loads(fenced[1] if fenced else stripped, parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def grade_json(answer: str, reference: str | None = None, schema: Any = None) -> float:
    """1 when the answer is JSON, satisfies the schema where there is one, and equals the reference where there is one.

    Key order and white space do not matter; 1 and 1.0 are equal, 1 and true are not.

    Args:
        answer: what the model said.
        reference: JSON text; None when only the shape matters.
        schema: JSON Schema as a value or as text.
    """
    try:
        value = parse_json(answer)
    except ValueError:
        return 0.0
    if schema is not None and not _validator(_schema_text(schema)).is_valid(value):
        return 0.0
    if reference is None:
        return 1.0
    try:
        return float(same_json(value, parse_json(reference)))
    except RecursionError:
        return 0.0


def same_json(a: Any, b: Any) -> bool:
    """Equality of JSON values.

    Example:
        >>> same_json({"n": 1, "ok": True}, {"ok": True, "n": 1.0}), same_json(1, True)
        (True, False)
    """
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_json(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def check_json(reference: str | None = None, schema: Any = None) -> None:
    """Raise ConfigError where the reference is no JSON, the schema is not valid, or both are missing."""
    if reference is None and schema is None:
        raise ConfigError("the grader 'json' needs an answer, a schema, or both")
    if schema is not None:
        _validator(_schema_text(schema))
    if reference is not None:
        try:
            parse_json(reference)
        except ValueError as exc:
            raise ConfigError(f"the answer {reference[:60]!r} is not JSON ({exc})") from exc


def _schema_text(schema: Any) -> str:
    return schema if isinstance(schema, str) else canonical_json(schema)


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    try:
        import jsonschema_rs
    except ModuleNotFoundError as exc:
        raise MissingExtra("grading with a JSON Schema", "evaluation") from exc
    try:
        return jsonschema_rs.validator_for(json.loads(schema))
    except (ValueError, jsonschema_rs.ValidationError) as exc:
        raise ConfigError(f"the JSON Schema {schema[:60]!r} is not valid: {exc}") from exc
