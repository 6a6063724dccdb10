"""Which weights answered: the hash of a local checkpoint."""

from __future__ import annotations

from pathlib import Path

from workbench.core.hashing import sha256_file, sha256_json
from workbench.models import ModelCard
from workbench.models.family import PREFIX, family_folder

MAX_HASHED_BYTES = 4 * 2**30  # a minute of reading; larger checkpoints are named by their card alone


def weights_hash(card: ModelCard) -> str | None:
    """SHA-256 of a local checkpoint's weights; of a single file its own hash. None for servers, hub ids and very large ones."""
    if card.base_url is not None or card.kind == "recorded":
        return None
    folder = family_folder() / card.model.removeprefix(PREFIX) if card.model.startswith(PREFIX) else Path(card.model)
    if not folder.is_dir():
        return None
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files or sum(path.stat().st_size for path in files) > MAX_HASHED_BYTES:
        return None
    hashes = {path.name: sha256_file(path) for path in files}
    return next(iter(hashes.values())) if len(hashes) == 1 else sha256_json(hashes)
