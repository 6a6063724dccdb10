"""Input from outside, checked once at the edge: a pydantic model or one sentence about what is wrong and where."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from workbench.core.errors import ConfigError
from workbench.core.files import read_text
from workbench.core.naming import did_you_mean

M = TypeVar("M", bound=BaseModel)
SECRET = re.compile(r"key|secret|password|credential|authorization|token$", re.IGNORECASE)
Loc = tuple[int | str, ...]


def parse(model: type[M], data: Any, where: str) -> M:
    """`data` as an instance of `model`.

    Args:
        model: the pydantic model.
        data: what YAML, JSON or the command line gave.
        where: the file or part the data came from; begins the message.

    Raises:
        ConfigError: one sentence with the key's path, the offending value (never a secret), what was allowed and the nearest name.

    Example:
        >>> from workbench.core.price import ComputePrice
        >>> parse(ComputePrice, {"hardwar": "cpu-2core"}, "lab.yaml")
        Traceback (most recent call last):
        workbench.core.errors.ConfigError: lab.yaml: unknown key 'hardwar'; did you mean 'hardware'? known: hardware
    """
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        raise ConfigError(f"{where}: {explain(exc, model)}") from exc


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The most telling of a pydantic error's findings as one sentence without secrets; says how many more there are."""
    findings = list(_likely_branch(error, model))
    findings.sort(
        key=lambda found: found["type"] != "extra_forbidden"
    )  # a misspelt key is what made another one "missing"
    more = len(findings) - 1
    if more == 1 and _is_misspelling(*findings):
        more = 0
    return _sentence(findings[0], model) + (f" (and {more} more)" if more else "")


def read_yaml(path: Path, what: str = "file") -> Any:
    """A YAML file's content; None when it is empty.

    Raises:
        ConfigError: missing, not UTF-8, not YAML or a key given twice; says line and column.
    """
    import yaml

    from workbench.core.yaml_loader import UniqueKeyLoader

    try:
        return yaml.load(read_text(path, what), Loader=UniqueKeyLoader)  # a SafeLoader
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(exc, "problem", None) or str(exc).splitlines()[0]
        raise ConfigError(f"{what} {path} is not YAML: {problem}{at}") from exc


def read_config(model: type[M], path: Path, what: str = "configuration") -> M:
    """A YAML file as an instance of `model`.

    Raises:
        ConfigError: see `read_yaml` and `parse`; an empty file counts as an empty mapping.
    """
    data = read_yaml(path, what)
    return parse(model, {} if data is None else data, str(path))


def _likely_branch(error: ValidationError, model: type[BaseModel]) -> Iterator[Any]:
    """The findings, where a union reports all its branches only those of the branch with the fewest."""
    findings = error.errors(include_url=False, include_context=True)
    branches: dict[Loc, dict[str, int]] = {}
    for found in findings:
        for at in _union_steps(model, found["loc"]):
            counts = branches.setdefault(found["loc"][:at], {})
            label = str(found["loc"][at])
            counts[label] = counts.get(label, 0) + 1
    best = {prefix: min(counts, key=lambda label: counts[label]) for prefix, counts in branches.items()}
    for found in findings:
        steps = _union_steps(model, found["loc"])
        if all(str(found["loc"][at]) == best[found["loc"][:at]] for at in steps):
            yield {**found, "path": _path(found["loc"], steps)}


def _is_misspelling(extra: Any, missing: Any) -> bool:
    kinds = (extra["type"], missing["type"])
    return kinds == ("extra_forbidden", "missing") and extra["loc"][:-1] == missing["loc"][:-1]


def _sentence(found: Any, model: type[BaseModel]) -> str:
    loc, kind, path = found["loc"], found["type"], found["path"]
    if kind == "extra_forbidden":
        owner = _type_at(model, loc[:-1])
        inside = path.removesuffix(str(loc[-1])).rstrip(".")
        known = did_you_mean(str(loc[-1]), _fields(owner))
        return f"{inside + ': ' if inside else ''}unknown key {str(loc[-1])!r}; {known}"
    if kind == "union_tag_invalid":
        key, tags = found["ctx"]["discriminator"].strip("'"), found["ctx"]["expected_tags"]
        known = did_you_mean(found["ctx"]["tag"], [tag.strip(" '") for tag in tags.split(",")])
        return f"{path}.{key}: unknown {key} {found['ctx']['tag']!r}; {known}"
    if kind == "missing":
        return f"{path or 'the top level'} is missing"
    message = found["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{path or 'the top level'}: {message}{_shown(found)}"


def _shown(found: Any) -> str:
    """The offending value, shortened; nothing where it may be a secret."""
    if any(isinstance(part, str) and SECRET.search(part) for part in found["loc"]):
        return ""
    text = repr(found["input"])
    return f", found {text if len(text) <= 60 else text[:57] + '...'}"


def _path(loc: Loc, union_steps: Sequence[int]) -> str:
    """`models.tiny.price` or `guards[0].kind`; union branches are left out, and mapping keys below a secret name are hidden."""
    text = ""
    for index, part in enumerate(loc):
        if index in union_steps or part == "[key]":
            continue
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        hidden = any(isinstance(p, str) and SECRET.search(p) for p in loc[:index])
        text += ("." if text else "") + ("(hidden)" if hidden else part)
    return text


def _union_steps(model: type[BaseModel], loc: Loc) -> list[int]:
    """Positions in `loc` that name a branch of a union instead of a key."""
    return [index for index in range(len(loc)) if len(_branches(_type_at(model, loc[:index]))) > 1]


def _type_at(model: Any, loc: Loc) -> Any:
    """The annotation reached by following `loc`; None where it cannot be followed."""
    at: Any = model
    for part in loc:
        at = _step(_plain(at), part)
    return _plain(at)


def _step(at: Any, part: int | str) -> Any:
    if _is_model(at):
        field = next((f for name, f in at.model_fields.items() if part in (name, f.alias)), None)
        return field.annotation if field else None
    branches = _branches(at)
    if len(branches) > 1:
        return next((branch for branch in branches if _is_named(branch, part)), None)
    arguments = typing.get_args(at)
    return arguments[-1 if _is_mapping(at) else 0] if arguments else None


def _plain(at: Any) -> Any:
    """Without Annotated and without `| None`."""
    while typing.get_origin(at) is typing.Annotated:
        at = typing.get_args(at)[0]
    branches = _branches(at)
    return _plain(branches[0]) if len(branches) == 1 and branches[0] is not at else at


def _branches(at: Any) -> list[Any]:
    if typing.get_origin(at) not in (typing.Union, types.UnionType):
        return [at]
    return [_plain(branch) for branch in typing.get_args(at) if branch is not type(None)]


def _is_named(branch: Any, label: int | str) -> bool:
    """Whether pydantic calls this branch of a union so: by its class, or by a literal field (discriminator)."""
    if not _is_model(branch):
        return str(getattr(branch, "__name__", branch)) == label
    literals = (typing.get_args(f.annotation) for f in branch.model_fields.values())
    return branch.__name__ == label or any(label in values for values in literals)


def _fields(owner: Any) -> list[str]:
    return [field.alias or name for name, field in owner.model_fields.items()] if _is_model(owner) else []


def _is_model(at: Any) -> bool:
    return isinstance(at, type) and issubclass(at, BaseModel)


def _is_mapping(at: Any) -> bool:
    origin = typing.get_origin(at)
    return isinstance(origin, type) and issubclass(origin, Mapping)
