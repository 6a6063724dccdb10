"""How many parameters a model has and how many bytes it keeps for a token, computed from its configuration.

The counts are sums over the matrices that each architecture has; the tests hold them against the models that the transformers
library builds from the same configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.core import ConfigError, MissingExtra
from workbench.core.naming import did_you_mean
from workbench.models.memory_config import CheckpointConfig


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a `model_type` adds to the plain decoder (norm, attention, norm, gated MLP).

    Args:
        qkv_bias, out_bias: biases of the attention's projections; None: as `attention_bias` says.
        qk_norms: whether each head's queries and keys are normed.
        norms: norms a layer.
        is_tied: whether output head and embedding are one matrix where the file does not say.
        window_every: every n-th layer sees everything, the others a window; 0: as the file says.
    """

    qkv_bias: bool | None = False
    out_bias: bool | None = False
    qk_norms: bool = False
    norms: int = 2
    is_tied: bool = False
    window_every: int = 0


ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture(qkv_bias=None, out_bias=None),
    "mistral": Architecture(),
    "mixtral": Architecture(),
    "qwen2": Architecture(qkv_bias=True),
    "qwen2_moe": Architecture(qkv_bias=True),
    "qwen3": Architecture(qkv_bias=None, out_bias=None, qk_norms=True),
    "qwen3_moe": Architecture(qkv_bias=None, out_bias=None, qk_norms=True),
    "phi3": Architecture(),
    "gemma": Architecture(qkv_bias=None, out_bias=None, is_tied=True),
    "gemma2": Architecture(qkv_bias=None, out_bias=None, norms=4, is_tied=True, window_every=2),
    "gemma3_text": Architecture(qkv_bias=None, out_bias=None, qk_norms=True, norms=4, is_tied=True, window_every=6),
    "deepseek_v2": Architecture(),
    "deepseek_v3": Architecture(),
}
WINDOWED = ("sliding_attention", "chunked_attention")
KNOWN_LAYERS = ("full_attention", *WINDOWED)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What decides a model's memory.

    Args:
        config: the configuration it comes from.
        n_parameters: tied matrices once.
        matrix_parameters: those of `n_parameters` that tensor parallelism splits (all but norms and biases).
        is_tied: whether output head and embedding are one matrix.
        windows: tokens that each layer keeps; None keeps all.
        how_counted: "formula" or "built" (by the transformers library, without memory for weights).
    """

    config: CheckpointConfig
    n_parameters: int
    matrix_parameters: int
    is_tied: bool
    windows: tuple[int | None, ...]
    how_counted: str = "formula"

    @property
    def is_latent(self) -> bool:
        """Whether keys and values are kept as one compressed vector (multi-head latent attention)."""
        return self.config.kv_lora_rank is not None

    def kv_numbers(self, *, tensor_parallel: int = 1, is_compressed: bool = True) -> int:
        """Numbers that one layer keeps for one token on one device: 2 x kv_heads x head_dim.

        Latent attention keeps kv_lora_rank + qk_rope_head_dim, on every device, where the engine keeps it compressed; the transformers
        library does not, it keeps heads x (qk_nope + qk_rope + v).

        Example:
            >>> config = CheckpointConfig(model_type="llama", hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
            ...     num_attention_heads=32, num_key_value_heads=8, vocab_size=128256)
            >>> shape = shape_of(config, {})
            >>> shape.kv_numbers(), shape.kv_numbers(tensor_parallel=4)
            (2048, 512)
        """
        config = self.config
        if config.kv_lora_rank is None:
            return 2 * max(1, config.kv_heads // tensor_parallel) * config.width_of_heads
        rope = config.qk_rope_head_dim or 0
        if is_compressed:
            return config.kv_lora_rank + rope
        return config.num_attention_heads * ((config.qk_nope_head_dim or 0) + rope + (config.v_head_dim or 0))


def shape_of(config: CheckpointConfig, values: Mapping[str, Any]) -> ModelShape:
    """The shape of a model.

    Args:
        config: the keys that matter.
        values: the whole configuration, for architectures that only the transformers library knows.

    Raises:
        ConfigError: layers that keep something else than keys and values, or an architecture that nobody here knows.
    """
    _check_layers(config)
    known = ARCHITECTURES.get(config.model_type)
    if known is None:
        return _built(config, values)
    is_tied = known.is_tied if config.tie_word_embeddings is None else config.tie_word_embeddings
    embedding = config.vocab_size * config.hidden_size * (1 if is_tied else 2)
    layers = [_layer(config, known, index) for index in range(config.num_hidden_layers)]
    matrices = embedding + sum(matrix for matrix, _ in layers)
    vectors = config.hidden_size + sum(vector for _, vector in layers)
    return ModelShape(config, matrices + vectors, matrices, is_tied, _windows(config, known))


def _layer(config: CheckpointConfig, known: Architecture, index: int) -> tuple[int, int]:
    """Parameters of a layer: in matrices, in vectors (norms, biases)."""
    attention = _latent_attention(config) if config.kv_lora_rank else _attention(config, known)
    mlp = _experts(config) if _has_experts(config, index) else _mlp(config, config.intermediate_size)
    return attention[0] + mlp[0], attention[1] + mlp[1] + known.norms * config.hidden_size


def _attention(config: CheckpointConfig, known: Architecture) -> tuple[int, int]:
    hidden, head = config.hidden_size, config.width_of_heads
    queries, keys = config.num_attention_heads * head, config.kv_heads * head
    qkv_bias = config.attention_bias if known.qkv_bias is None else known.qkv_bias
    out_bias = config.attention_bias if known.out_bias is None else known.out_bias
    vectors = qkv_bias * (queries + 2 * keys) + out_bias * hidden + known.qk_norms * 2 * head
    return hidden * (2 * queries + 2 * keys), vectors


def _latent_attention(config: CheckpointConfig) -> tuple[int, int]:
    """Queries and keys-values through low-rank bottlenecks. Source: DeepSeek-V2 (arXiv 2405.04434), section 2.1."""
    hidden, heads, rank = config.hidden_size, config.num_attention_heads, config.kv_lora_rank or 0
    nope, rope, value = (_needed(config, key) for key in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    q_rank = config.q_lora_rank
    queries = heads * (nope + rope)
    ask = hidden * queries if q_rank is None else (hidden + queries) * q_rank
    keep = hidden * (rank + rope) + rank * heads * (nope + value)
    biases = config.attention_bias * ((q_rank or 0) + rank + rope + hidden)
    return ask + keep + heads * value * hidden, (q_rank or 0) + rank + biases


def _has_experts(config: CheckpointConfig, index: int) -> bool:
    if config.num_experts is None or index < config.first_k_dense_replace or index in config.mlp_only_layers:
        return False
    return index % config.moe_layer_freq == 0 and (index + 1) % config.decoder_sparse_step == 0


def _experts(config: CheckpointConfig) -> tuple[int, int]:
    """Routed experts, the router, and what every token passes (shared experts; Qwen's has a gate of its own)."""
    width = config.moe_intermediate_size or config.intermediate_size or 0
    hidden, experts = config.hidden_size, config.num_experts or 0
    routed = 3 * hidden * width * experts + hidden * experts
    shared = 3 * hidden * width * (config.n_shared_experts or 0)
    gated = config.shared_expert_intermediate_size or 0
    return routed + shared + 3 * hidden * gated + (hidden if gated else 0), 0


def _mlp(config: CheckpointConfig, width: int | None) -> tuple[int, int]:
    width = width or _needed(config, "intermediate_size")
    return 3 * config.hidden_size * width, config.mlp_bias * (2 * width + config.hidden_size)


def _windows(config: CheckpointConfig, known: Architecture) -> tuple[int | None, ...]:
    """Tokens that each layer keeps: `layer_types` where the file has them, else the architecture's own pattern."""
    layers, window = range(config.num_hidden_layers), config.sliding_window
    if config.layer_types is not None:
        return tuple(window if kind in WINDOWED else None for kind in config.layer_types)
    if window is None or config.use_sliding_window is False:
        return (None,) * len(layers)
    if config.model_type.startswith("qwen"):
        first = config.num_hidden_layers if config.max_window_layers is None else config.max_window_layers
        asked = config.use_sliding_window is True
        return tuple(window if asked and index >= first else None for index in layers)
    every = config.sliding_window_pattern or known.window_every
    return tuple(None if every and (index + 1) % every == 0 else window for index in layers)


def _check_layers(config: CheckpointConfig) -> None:
    others = sorted(set(config.layer_types or ()) - set(KNOWN_LAYERS))
    if others:
        raise ConfigError(
            f"layers of the kind {', '.join(others)} ({config.model_type}) keep a state that is not keys and values of each token; "
            "its size is not predicted here: measure it with --measure, or ask the engine that serves it"
        )
    if config.layer_types is not None and len(config.layer_types) != config.num_hidden_layers:
        raise ConfigError(
            f"layer_types has {len(config.layer_types)} entries for {config.num_hidden_layers} layers (num_hidden_layers)"
        )


def _needed(config: CheckpointConfig, key: str) -> int:
    value: int | None = getattr(config, key)
    if value is None:
        raise ConfigError(f"the configuration of a {config.model_type} needs {key}; it is missing")
    return value


def _built(config: CheckpointConfig, values: Mapping[str, Any]) -> ModelShape:
    """Let the transformers library build the model without memory for its weights, and count."""
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as exc:
        raise MissingExtra(f"counting the parameters of a {config.model_type!r}", "hf") from exc
    try:
        with torch.device("meta"):
            kept = {key: value for key, value in values.items() if key != "model_type"}
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config.model_type, **kept))
    except Exception as exc:  # whatever a library says to a configuration that it does not know
        raise ConfigError(
            f"unknown model_type {config.model_type!r}: {did_you_mean(config.model_type, ARCHITECTURES)}; the transformers library "
            f"cannot build it either ({type(exc).__name__})"
        ) from exc
    parameters = list(model.parameters())
    matrices = sum(p.numel() for p in parameters if p.dim() > 1)
    is_tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    windows = _windows(config, Architecture())
    return ModelShape(config, sum(p.numel() for p in parameters), matrices, is_tied, windows, "built")
