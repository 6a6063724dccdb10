"""A folder that appears whole or not at all, and says later whether anybody changed it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from workbench.core import ConfigError, StoreError
from workbench.core.files import read_json, write_json
from workbench.core.hashing import sha256_file

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1


@contextlib.contextmanager
def building(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a folder beside `out`; on success its files are hashed and it takes the name `out`, on failure it is removed.

    Args:
        out: the folder to be.
        replace: whether a release that is there already may be replaced; anything else never is.

    Raises:
        ConfigError: `out` exists and may not be replaced.
        StoreError: the disk is full or the folder cannot be written; `out` is as it was.
    """
    _check_free(out, replace)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    except OSError as exc:
        raise StoreError(f"cannot write {out}: {exc.strerror}; free space or choose another folder") from exc
    try:
        yield beside
        seal(beside)
        beside.chmod(0o755)
        _put_in_place(beside, out)
    except OSError as exc:
        raise StoreError(f"cannot write {out}: {exc.strerror or exc}; what was there is untouched") from exc
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check_free(out: Path, replace: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not replace:
        raise ConfigError(f"{out} exists; choose another folder, or give --replace to replace a release")
    if not (out / MANIFEST).is_file():
        raise ConfigError(
            f"{out} is not a release (it has no {MANIFEST}), so it is not replaced; choose another folder"
        )


def _put_in_place(beside: Path, out: Path) -> None:
    """Rename; a folder cannot be renamed over one with content, so the old one steps aside first and is removed last."""
    if not out.exists():
        beside.replace(out)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".old", dir=out.parent))
    out.replace(aside)
    try:
        beside.replace(out)
    except OSError:
        aside.replace(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def seal(folder: Path) -> None:
    """Write the manifest: the SHA-256 of every other file."""
    write_json(folder / MANIFEST, {"schema_version": SCHEMA_VERSION, "sha256": _hashes(folder)})


def check_seal(folder: Path) -> None:
    """Check every file against the manifest.

    Raises:
        ConfigError: no folder, or no manifest in it.
        StoreError: a file is missing, changed or was added, or the manifest is of a newer version; names it.
    """
    if not (folder / MANIFEST).is_file():
        raise ConfigError(f"{folder} is not a release: it has no {MANIFEST}; make one with: workbench release create")
    manifest = read_json(folder / MANIFEST, "manifest")
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise StoreError(
            f"{folder / MANIFEST} was made by a newer version (schema_version {version}, this one reads {SCHEMA_VERSION}); "
            "upgrade: pip install -U llm-workbench"
        )
    said, found = manifest["sha256"], _hashes(folder)
    findings = [f"{name} is missing" for name in said.keys() - found.keys()]
    findings += [f"{name} was changed" for name in said.keys() & found.keys() if said[name] != found[name]]
    findings += [f"{name} was added" for name in found.keys() - said.keys()]
    if findings:
        raise StoreError(
            f"release {folder} is not what was made: {'; '.join(sorted(findings))}. Create it again, or restore a copy"
        )


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
