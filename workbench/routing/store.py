"""A policy on disk: `policy.json`, and beside it the arrays under a name that holds their hash. JSON and npz, never pickle.

The arrays are written first and `policy.json`, which names them, last: a crash in between leaves the earlier policy whole.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError, StoreError
from workbench.core.files import read_json, replacing, write_json
from workbench.core.hashing import sha256_file
from workbench.routing.objective_json import objective_from_json, objective_to_json
from workbench.routing.policy import AnyPolicy, FixedPolicy, Policy
from workbench.routing.predictors.learned import LearnedPredictor
from workbench.routing.predictors.predictor import State, TextEmbedder

VERSION = 1
NAME = "policy.json"


def save_policy(policy: AnyPolicy, folder: Path) -> None:
    """Write the policy, whole or not at all.

    Raises:
        StoreError: the disk is full or the folder cannot be written; what was there is untouched.
    """
    if isinstance(policy, FixedPolicy):
        document = {"version": VERSION, "kind": "fixed", "model": policy.model, "models": list(policy.models)}
        write_json(folder / NAME, document)
        return
    state = policy.predictor.to_state()
    name, digest = _write_arrays(folder, state.arrays)
    document = {
        "version": VERSION,
        "kind": "learned",
        "models": list(policy.models),
        "objective": objective_to_json(policy.objective),
        "predictor": state.settings,
        "arrays": {"file": name, "sha256": digest},
    }
    write_json(folder / NAME, document)
    for stale in folder.glob("arrays-*.npz"):
        if stale.name != name:
            stale.unlink(missing_ok=True)


def _write_arrays(folder: Path, arrays: dict[str, npt.NDArray[Any]]) -> tuple[str, str]:
    with replacing(folder / "arrays.npz") as beside:
        with beside.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        digest = sha256_file(beside)
    name = f"arrays-{digest[:16]}.npz"
    (folder / "arrays.npz").replace(folder / name)
    return name, digest


def load_policy(folder: Path, embedder: TextEmbedder | None = None) -> AnyPolicy:
    """The policy in `folder`.

    Args:
        folder: where `save` wrote.
        embedder: used when the policy was fitted on embeddings; None loads the embedder that it names.

    Raises:
        ConfigError: no policy there, or the embedder is another one than the policy was fitted on.
        StoreError: damaged, or written by a newer version.
    """
    document = _read(folder / NAME)
    try:
        if document["kind"] == "fixed":
            return FixedPolicy(document["model"], tuple(document["models"]))
        if document["kind"] != "learned":
            raise StoreError(f"{folder / NAME} holds a policy of kind {document['kind']!r}; known: fixed, learned")
        state = State(document["predictor"], _read_arrays(folder, document["arrays"]))
        needed = state.settings["quality"].get("embedder")
        if needed is not None and embedder is None:
            embedder = _embedder_of(needed)
        predictor = LearnedPredictor.from_state(state, embedder)
        return Policy(tuple(document["models"]), predictor, objective_from_json(document["objective"]))
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise StoreError(f"{folder / NAME} is damaged ({type(exc).__name__}: {exc}); run the sweep again") from exc


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ConfigError(f"no policy at {path}; give the folder that `workbench sweep --save-policy` wrote")
    try:
        document = read_json(path, "policy")
    except ConfigError as exc:
        raise StoreError(f"{exc}; the file is damaged, run the sweep again") from exc
    if not isinstance(document, dict) or not isinstance(document.get("version"), int):
        raise StoreError(f"{path} is not a policy: it has no version number; run the sweep again")
    if document["version"] > VERSION:
        raise StoreError(
            f"{path} has version {document['version']}, this package reads up to {VERSION}; upgrade llm-workbench"
        )
    return document


def _read_arrays(folder: Path, entry: dict[str, str]) -> dict[str, npt.NDArray[Any]]:
    path = folder / Path(entry["file"]).name
    if not path.exists():
        raise StoreError(f"{path} is missing: the policy is not complete; copy the whole folder or run the sweep again")
    if sha256_file(path) != entry["sha256"]:
        raise StoreError(f"{path} is damaged: its SHA-256 is not the one in {NAME}; run the sweep again")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as exc:
        raise StoreError(f"{path} cannot be read ({exc}); run the sweep again") from exc


def _embedder_of(fingerprint: str) -> TextEmbedder:
    """The embedder whose name the fingerprint begins with."""
    from workbench.embedding import EMBEDDERS, load_embedder

    name = next((name for name in EMBEDDERS.names() if fingerprint.startswith(name)), None)
    if name is None:
        raise ConfigError(
            f"the policy was fitted on the embedder {fingerprint}, which is not a known one; pass it to `load`"
        )
    return load_embedder(name)
