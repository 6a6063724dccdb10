"""The parts of a model's memory, each with its formula. Constants name the measurement that they come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.models.memory_shape import ModelShape
from workbench.models.memory_weights import stored_weights

Engine = Literal["transformers", "vllm"]
Origin = Literal["computed", "calibrated", "measured", "assumed"]
MIB = 2**20
BYTES_PER_NUMBER: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1}
BLOCK_TOKENS: Mapping[str, int] = {"cpu": 128, "cuda": 16}
"""Tokens of a block of vLLM's cache, its defaults (version 0.32)."""
BATCHED_TOKENS = 2048
"""Most prompt tokens that a server computes at once: vLLM's floor for `max_num_batched_tokens`."""
LIVE_WIDTHS = (4, 3)
"""Arrays alive at once inside a layer: 4 of the hidden width, 3 of the MLP's. Seen with every block given back at once (see
docs/memory_and_energy.md), where prediction and measurement agree within 2 %."""
LOGIT_COPIES = 2
"""float32 copies of the scores beside the model's own, while the next token is chosen."""
HEAP_SHARES = (1.0, 0.5)
"""What glibc's heap keeps beyond what lives, as shares of the prompts' cache and of the prefill's activations: caches settle in holes
that activations leave, and the next layer's activations need new ones. Fitted on two models, reported on others in
docs/results/memory.md."""
FRAMEWORK_MIB: Mapping[tuple[str, str], tuple[float, Origin, str]] = {
    ("transformers", "cpu"): (398.0, "measured", "Python 3.11, torch 2.13 (CPU build), transformers 5.23, tokenizer; Linux x86-64"),
    ("transformers", "cuda"): (500.0, "assumed", "CUDA context and kernels on the GPU, not measured here"),
    ("vllm", "cpu"): (1500.0, "assumed", "vLLM's API server and engine processes"),
    ("vllm", "cuda"): (1000.0, "assumed", "CUDA context, kernels and captured graphs on the GPU, not measured here"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One reason for memory.

    Args:
        name: weights, kv_cache, activations, allocator or framework.
        n_bytes: how much, on one device.
        formula: how it was computed, with its numbers.
        origin: computed from the configuration, calibrated on other models, measured, or assumed.
    """

    name: str
    n_bytes: int
    formula: str
    origin: Origin = "computed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model as it will run.

    Args:
        shape: the model.
        dtype: of weights and arithmetic.
        kv_dtype: of the key-value cache.
        device: cpu or cuda.
        engine: transformers (a batch in this process) or vllm (a server).
        n_sequences: at the same time.
        max_model_len: tokens of a sequence, prompt and answer together.
        answer_tokens: those of them that are generated.
        tensor_parallel: devices that share the model.

    Raises:
        ConfigError: a value that cannot be; says what is allowed.
    """

    shape: ModelShape
    dtype: str
    kv_dtype: str
    device: str
    engine: Engine
    n_sequences: int
    max_model_len: int
    answer_tokens: int = 0
    tensor_parallel: int = 1

    def __post_init__(self) -> None:
        _known("dtype", self.dtype, [name for name in BYTES_PER_NUMBER if name != "fp8"])
        _known("kv_dtype", self.kv_dtype, BYTES_PER_NUMBER)
        _known("device", self.device, BLOCK_TOKENS)
        _known("engine", self.engine, ["transformers", "vllm"])
        for name in ("n_sequences", "max_model_len", "tensor_parallel"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, found {getattr(self, name)}")
        if not 0 <= self.answer_tokens < self.max_model_len:
            raise ConfigError(
                f"answer_tokens must leave room for a prompt in {self.max_model_len}, found {self.answer_tokens}"
            )
        self._check_engine()

    def _check_engine(self) -> None:
        heads = self.shape.config.num_attention_heads
        if self.engine == "transformers" and self.tensor_parallel > 1:
            raise ConfigError(
                "the transformers backend runs on one device; use engine vllm for tensor_parallel above 1"
            )
        if self.engine == "transformers" and self.kv_dtype != self.dtype:
            raise ConfigError(
                f"the transformers backend keeps its cache in {self.dtype}; use engine vllm for {self.kv_dtype}"
            )
        if heads % self.tensor_parallel:
            raise ConfigError(
                f"{heads} attention heads cannot be shared by {self.tensor_parallel} devices; give a divisor"
            )

    @property
    def layer_kv_bytes(self) -> int:
        """Bytes that one layer keeps for one token on one device."""
        is_compressed = self.engine == "vllm"
        numbers = self.shape.kv_numbers(tensor_parallel=self.tensor_parallel, is_compressed=is_compressed)
        return numbers * BYTES_PER_NUMBER[self.kv_dtype]

    def kv_bytes(self, n_tokens: int, block_tokens: int = 1) -> int:
        """Bytes for one sequence of that many tokens: every layer keeps its window, in whole blocks."""
        kept = (n_tokens if window is None else min(n_tokens, window) for window in self.shape.windows)
        return sum(math.ceil(tokens / block_tokens) * block_tokens * self.layer_kv_bytes for tokens in kept)


def weights_part(it: Deployment, folder: Path | None) -> Part:
    """Parameters x bytes, from the files' headers where they are there, shared out over the devices.

    Raises:
        ConfigError: quantised, and the files that would tell its size are not there.
    """
    shape, each, parallel = it.shape, BYTES_PER_NUMBER[it.dtype], it.tensor_parallel
    stored = None if folder is None else stored_weights(folder, is_tied=shape.is_tied)
    tied = ", output head tied to the embedding" if shape.is_tied else ""
    if stored is not None and (stored.other_bytes or stored.n_floating != shape.n_parameters):
        n_bytes = math.ceil(stored.bytes_as(each) / parallel)
        return Part(
            "weights", n_bytes, f"{stored.n_tensors} tensors of the weight files, {it.dtype}{tied}{_over(parallel)}"
        )
    if stored is None and shape.config.quantization_config:
        raise ConfigError(
            "the checkpoint is quantised and its weight files are not at hand, so their size is not known; give the folder with "
            "the *.safetensors, or remove quantization_config to plan for full weights"
        )
    vectors = shape.n_parameters - shape.matrix_parameters
    n_bytes = (math.ceil(shape.matrix_parameters / parallel) + vectors) * each
    return Part("weights", n_bytes, f"{shape.n_parameters:,} parameters x {each} B{tied}{_over(parallel)}")


def batch_parts(it: Deployment) -> list[Part]:
    """A batch in this process: what lives at the worse of two moments, prefill or the last token; then heap and libraries.

    In prefill every token of the batch passes a layer together; afterwards the cache is longest, one layer of it is copied, and each
    sequence has its scores over the vocabulary.
    """
    prompt, rows = it.max_model_len - it.answer_tokens, it.n_sequences
    prefill = [_cache(it, prompt), _prefill(it, rows * prompt, f"{rows} x {prompt}")]
    last = [_cache(it, it.max_model_len), _last_token(it)]
    worse = max(prefill, last, key=lambda parts: sum(part.n_bytes for part in parts))
    heap = [] if it.device == "cuda" else [_heap(*prefill)]
    return [*worse, *heap, framework_part(it)]


def _cache(it: Deployment, n_tokens: int, block: int = 1) -> Part:
    n_bytes = it.n_sequences * it.kv_bytes(n_tokens, block)
    tokens = f"{n_tokens} tokens" + (f" in blocks of {block}" if block > 1 else "")
    per_token = f"{it.layer_kv_bytes} B x {len(it.shape.windows)} layers{_windows(it.shape)}"
    return Part("kv_cache", n_bytes, f"{it.n_sequences} sequences x {tokens} x {per_token}")


def _prefill(it: Deployment, n_tokens: int, which: str) -> Part:
    return Part("activations", n_tokens * layer_bytes(it), f"{which} tokens in a layer x {layer_bytes(it)} B")


def _last_token(it: Deployment) -> Part:
    a_score = BYTES_PER_NUMBER[it.dtype] + 4 * LOGIT_COPIES
    one_layer = it.n_sequences * it.max_model_len * it.layer_kv_bytes
    scores = it.n_sequences * it.shape.config.vocab_size * a_score
    formula = (
        f"{it.n_sequences} x {it.shape.config.vocab_size} scores x {a_score} B, and a second copy of one layer's cache"
    )
    return Part("activations", scores + one_layer, formula)


def _heap(cache: Part, activations: Part) -> Part:
    of_cache, of_activations = HEAP_SHARES
    n_bytes = round(of_cache * cache.n_bytes + of_activations * activations.n_bytes)
    formula = f"{of_cache:g} x the prompts' cache ({cache.n_bytes:,} B) + {of_activations:g} x prefill ({activations.n_bytes:,} B)"
    return Part("allocator", n_bytes, f"holes in the heap: {formula}", "calibrated")


def server_parts(it: Deployment) -> list[Part]:
    """A server: blocks for every sequence at full length, one step's activations or scores, its processes."""
    step = min(it.n_sequences * it.max_model_len, max(BATCHED_TOKENS, it.n_sequences))
    a_score = BYTES_PER_NUMBER[it.dtype] + 4 * LOGIT_COPIES
    scores = it.n_sequences * it.shape.config.vocab_size * a_score
    formula = f"{it.n_sequences} x {it.shape.config.vocab_size} scores x {a_score} B"
    live = max(_prefill(it, step, f"a step of {step}"), Part("activations", scores, formula), key=lambda p: p.n_bytes)
    return [_cache(it, it.max_model_len, BLOCK_TOKENS[it.device]), live, framework_part(it)]


def layer_bytes(it: Deployment) -> int:
    """Bytes alive a token inside a layer: the larger of MLP and attention. Split over devices as the matrices are."""
    config, (hidden, mlp) = it.shape.config, LIVE_WIDTHS
    expert = config.moe_intermediate_size or config.intermediate_size or 0
    wide = max(config.intermediate_size or 0, expert * (config.num_experts_per_tok if config.num_experts else 1))
    heads = config.num_attention_heads * config.width_of_heads
    inside = max(mlp * wide, 4 * heads + 4 * config.kv_heads * config.width_of_heads - 2 * config.hidden_size)
    return math.ceil((hidden * config.hidden_size + inside / it.tensor_parallel) * BYTES_PER_NUMBER[it.dtype])


def framework_part(it: Deployment) -> Part:
    """Interpreter and libraries: a constant of the engine and the device."""
    mib, origin, what = FRAMEWORK_MIB[it.engine, it.device]
    return Part("framework", round(mib * MIB), what, origin)


def _over(parallel: int) -> str:
    return f", over {parallel} devices" if parallel > 1 else ""


def _windows(shape: ModelShape) -> str:
    windows = [window for window in shape.windows if window is not None]
    return f", {len(windows)} of them at most {windows[0]} tokens" if windows else ""


def _known(what: str, value: str, known: Mapping[str, object] | list[str]) -> None:
    if value not in known:
        raise ConfigError(f"unknown {what} {value!r}: {did_you_mean(value, known)}")
