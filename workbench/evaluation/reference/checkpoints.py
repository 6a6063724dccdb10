"""Checkpoints on disk: written whole or not at all, loadable by transformers and vLLM."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from workbench.core.hashing import sha256_file
from workbench.evaluation.reference.tokenizer import BOS_ID, EOS_ID, PAD_ID

WEIGHTS_FILE = "model.safetensors"


def save_checkpoint(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> str:
    """Write weights (bf16), configuration and tokenizer into the folder.

    Returns:
        sha256 of the weights file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = LlamaForCausalLM(model.config)
    stored.load_state_dict(model.state_dict())
    stored.to(torch.bfloat16)
    stored.generation_config = GenerationConfig(
        bos_token_id=BOS_ID, eos_token_id=EOS_ID, pad_token_id=PAD_ID, do_sample=False, max_new_tokens=64
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        stored.save_pretrained(name)
        tokenizer.save_pretrained(name)
        for file in Path(name).iterdir():
            file.chmod(0o644)
            file.replace(folder / file.name)
    return sha256_file(folder / WEIGHTS_FILE)
