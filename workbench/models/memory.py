"""How much memory a model will need, before it is loaded: weights, key-value cache, activations and the framework around them.

Works from `config.json` alone; where the weight files are there, their headers are counted. Every part carries its formula and where
its constants come from. `memory_watch` measures, `memory_trial` measures what was predicted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core import ConfigError
from workbench.models.memory_config import read_checkpoint_config
from workbench.models.memory_parts import (
    BLOCK_TOKENS,
    Deployment,
    Engine,
    Part,
    batch_parts,
    server_parts,
    weights_part,
)
from workbench.models.memory_shape import ModelShape, shape_of


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a model will need on each device.

    Args:
        deployment: the model as it will run.
        parts: that add up to the total.
        notes: what a reader must know.
    """

    deployment: Deployment
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def total_bytes(self) -> int:
        """Sum of the parts, for one device."""
        return sum(part.n_bytes for part in self.parts)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that all layers together keep for one more token while no window is full."""
        return self.deployment.layer_kv_bytes * self.deployment.shape.config.num_hidden_layers

    def part(self, name: str) -> int:
        """Bytes of the part of that name; 0 where the plan has none."""
        return sum(part.n_bytes for part in self.parts if part.name == name)

    def kv_capacity_tokens(self, pool_gib: float, block_tokens: int | None = None) -> int:
        """Tokens that a paged cache of that size holds, when no layer has a window.

        Args:
            pool_gib: the cache's memory on one device.
            block_tokens: tokens a block; None is vLLM's default (128 on processors, 16 on GPUs). Only whole blocks are used.

        Example:
            >>> plan = predict_memory({"model_type": "llama", "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 6,
            ...     "num_attention_heads": 4, "vocab_size": 1792}, engine="vllm", max_model_len=512)
            >>> plan.kv_capacity_tokens(1.0)
            174720
        """
        block = BLOCK_TOKENS[self.deployment.device] if block_tokens is None else block_tokens
        if pool_gib < 0 or block < 1:
            raise ConfigError(
                f"a cache of {pool_gib} GiB in blocks of {block} tokens cannot be; give at least 0 GiB, 1 token"
            )
        return int(pool_gib * 2**30 // (block * self.kv_bytes_per_token)) * block

    def kv_pool_gib(self, device_gib: float, utilisation: float = 0.9) -> float:
        """What a server leaves for its cache: utilisation x device - weights - activations - framework.

        Args:
            device_gib: memory of one device.
            utilisation: share of it that the server takes, vLLM's `gpu_memory_utilization`.

        Returns:
            GiB; below 0 the model does not fit.
        """
        if not 0 < utilisation <= 1:
            raise ConfigError(f"utilisation must be above 0 and at most 1, found {utilisation}")
        return utilisation * device_gib - (self.total_bytes - self.part("kv_cache")) / 2**30

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        it, shape = self.deployment, self.deployment.shape
        return {
            "model_type": shape.config.model_type,
            "n_parameters": shape.n_parameters,
            "is_tied": shape.is_tied,
            "counted_by": shape.how_counted,
            "engine": it.engine,
            "device": it.device,
            "dtype": it.dtype,
            "kv_dtype": it.kv_dtype,
            "max_model_len": it.max_model_len,
            "n_sequences": it.n_sequences,
            "answer_tokens": it.answer_tokens,
            "tensor_parallel": it.tensor_parallel,
            "parts": [
                {"name": p.name, "bytes": p.n_bytes, "gib": p.n_bytes / 2**30, "formula": p.formula, "origin": p.origin}
                for p in self.parts
            ],
            "total_bytes": self.total_bytes,
            "memory_gib": self.total_bytes / 2**30,
            "kv_bytes_per_token": self.kv_bytes_per_token,
            "notes": list(self.notes),
        }


def predict_memory(
    checkpoint: Mapping[str, Any] | Path,
    *,
    dtype: str = "float32",
    max_model_len: int | None = None,
    n_sequences: int = 1,
    answer_tokens: int = 0,
    kv_dtype: str | None = None,
    device: str = "cpu",
    tensor_parallel: int = 1,
    engine: Engine = "transformers",
    framework_bytes: int | None = None,
) -> MemoryPlan:
    """What a model will need on each device when so many sequences of that length are answered together.

    Args:
        checkpoint: parsed `config.json`, its path, or the checkpoint's folder.
        dtype: of weights and arithmetic: float32, bfloat16 or float16.
        max_model_len: tokens of a sequence, prompt and answer together; None is all that the model allows.
        n_sequences: at the same time: the batch (transformers), or the most that run (vllm).
        answer_tokens: those of `max_model_len` that are generated; 0 is the worst case, a prompt that fills it.
        kv_dtype: of the cache, fp8 too; None is `dtype`.
        device: cpu or cuda.
        tensor_parallel: devices that share the model (vllm).
        engine: transformers, in this process, or vllm, a server.
        framework_bytes: interpreter and libraries where they were measured; None takes the constant that the plan names.

    Raises:
        ConfigError: an argument that cannot be, or a configuration whose size cannot be computed; says why.

    Example:
        >>> llama = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        ...     "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": False}
        >>> plan = predict_memory(llama, dtype="bfloat16", max_model_len=8192, engine="vllm", device="cuda")
        >>> plan.part("weights"), plan.kv_bytes_per_token
        (16060522496, 131072)
    """
    config, values, notes = read_checkpoint_config(checkpoint)
    shape = shape_of(config, values)
    length = _length(shape, max_model_len)
    it = Deployment(
        shape, dtype, kv_dtype or dtype, device, engine, n_sequences, length, answer_tokens, tensor_parallel
    )
    folder = checkpoint if isinstance(checkpoint, Path) and checkpoint.is_dir() else None
    parts = [weights_part(it, folder), *(batch_parts(it) if engine == "transformers" else server_parts(it))]
    if framework_bytes is not None:
        parts[-1] = Part("framework", framework_bytes, "interpreter and libraries, as measured", "measured")
    return MemoryPlan(it, tuple(parts), (*notes, *_warnings(it)))


def _length(shape: ModelShape, asked: int | None) -> int:
    length = shape.config.max_position_embeddings if asked is None else asked
    if length is None:
        raise ConfigError("the configuration does not say how long a sequence may be; give max_model_len")
    return length


def _warnings(it: Deployment) -> tuple[str, ...]:
    positions = it.shape.config.max_position_embeddings
    notes = []
    if positions is not None and it.max_model_len > positions:
        notes.append(f"{it.max_model_len} tokens are more than the {positions} positions that the model was made for")
    if it.device == "cuda":
        notes.append("activations and framework on a GPU were not measured when this was written")
    if it.engine == "vllm" and any(window is not None for window in it.shape.windows):
        notes.append("windowed layers: a server may keep a step's tokens beyond the window for a while")
    return tuple(notes)
