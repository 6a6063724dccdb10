"""What a checkpoint's `config.json` says about its size, read without its weights and without any library that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from workbench.core import ConfigError
from workbench.core.files import read_json
from workbench.core.validation import parse

Count = Annotated[int, Field(gt=0)]


class CheckpointConfig(BaseModel):
    """The keys of a `config.json` that decide how much memory a model takes; the many others are not read.

    The names are those of the transformers library, which checkpoints of other tools follow.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    model_type: str
    hidden_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    vocab_size: Count
    intermediate_size: Count | None = None
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    max_position_embeddings: Count | None = None
    tie_word_embeddings: bool | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    dtype: Annotated[str | None, Field(validation_alias=AliasChoices("dtype", "torch_dtype"))] = None
    quantization_config: dict[str, Any] | None = None
    # which layers see only the nearest tokens
    sliding_window: Count | None = None
    use_sliding_window: bool | None = None
    max_window_layers: int | None = None
    sliding_window_pattern: Annotated[
        Count | None, Field(validation_alias=AliasChoices("sliding_window_pattern", "_sliding_window_pattern"))
    ] = None
    layer_types: list[str] | None = None
    # latent attention (DeepSeek)
    kv_lora_rank: Count | None = None
    q_lora_rank: Count | None = None
    qk_nope_head_dim: Count | None = None
    qk_rope_head_dim: Count | None = None
    v_head_dim: Count | None = None
    # mixtures of experts
    num_experts: Annotated[
        Count | None, Field(validation_alias=AliasChoices("num_experts", "num_local_experts", "n_routed_experts"))
    ] = None
    num_experts_per_tok: Count = 1
    moe_intermediate_size: Count | None = None
    n_shared_experts: int | None = None
    shared_expert_intermediate_size: int | None = None
    first_k_dense_replace: int = 0
    moe_layer_freq: int = 1
    decoder_sparse_step: int = 1
    mlp_only_layers: list[int] = []

    @property
    def width_of_heads(self) -> int:
        """Numbers a head; the hidden width shared out evenly where the file does not say."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def kv_heads(self) -> int:
        """Heads that keep keys and values; as many as attention heads where the file does not say (no grouping)."""
        return self.num_key_value_heads or self.num_attention_heads


def read_checkpoint_config(where: Mapping[str, Any] | Path) -> tuple[CheckpointConfig, dict[str, Any], tuple[str, ...]]:
    """A configuration from its parsed JSON, its file, or its folder.

    Returns:
        The keys that matter, the whole JSON of the language model, and what a reader must know.

    Raises:
        ConfigError: no such file, not JSON, or a key that every model needs is missing.
    """
    if isinstance(where, Path):
        path = where / "config.json" if where.is_dir() else where
        values, name = read_json(path, "checkpoint configuration"), str(path)
    else:
        values, name = dict(where), "checkpoint configuration"
    if not isinstance(values, dict):
        raise ConfigError(f"{name} must hold a JSON object, found {type(values).__name__}")
    text, notes = _language_part(values)
    return parse(CheckpointConfig, text, name), text, notes


def _language_part(values: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Models with pictures or sound keep the language model's keys in `text_config`."""
    inner = values.get("text_config")
    if not isinstance(inner, dict):
        return values, ()
    outside = ("dtype", "torch_dtype", "quantization_config", "tie_word_embeddings")
    merged = {**{key: values[key] for key in outside if key in values}, **inner}
    return merged, ("only the language model is counted; towers for pictures or sound come on top",)
