"""A local checkpoint in memory: weights, tokenizer, and what can be known from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
import transformers
from pydantic import Field
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from workbench.core import ConfigError
from workbench.core.price import Strict
from workbench.core.validation import parse
from workbench.models.card import ModelCard
from workbench.models.family import checkpoint_source


class TransformersOptions(Strict):
    """Options of the kind `transformers`."""

    revision: Annotated[
        str | None, Field(description="branch, tag or commit of a hub checkpoint; null: its default")
    ] = None
    attn_implementation: Annotated[str | None, Field(description="eager, sdpa, …; null: the library's choice")] = None
    chat_template: Annotated[str | None, Field(description="Jinja template for a checkpoint that has none")] = None
    chat_template_kwargs: Annotated[
        dict[str, Any], Field(description="variables of the chat template, e.g. enable_thinking: false")
    ] = {}
    threads: Annotated[
        int | None,
        Field(ge=1, description="processor threads, for all models of the process; null: the library's choice"),
    ] = None


@dataclass(frozen=True)
class Checkpoint:
    """A model and its tokenizer, ready to generate.

    Args:
        model: the causal language model, in evaluation mode on its device.
        tokenizer: with a chat template.
        options: of the card.
        context_window: tokens, prompt and answer together; None when neither card nor checkpoint says.
        flop_per_token: forward pass; see `flop_per_token`.
        end_ids: tokens that end an answer.
        pad_id: what rows of unequal length are filled with.
        longest_token: characters of the longest token: a text has at least its length over this many tokens.
    """

    model: Any
    tokenizer: Any
    options: TransformersOptions
    context_window: int | None
    flop_per_token: float
    end_ids: tuple[int, ...]
    pad_id: int
    longest_token: int


def open_checkpoint(name: str, card: ModelCard) -> Checkpoint:
    """Load what `card.model` names: `reference:NAME`, a folder, or a hub id.

    Raises:
        ConfigError: missing, damaged, of another kind, or without a chat template.
    """
    options = parse(TransformersOptions, card.options, f"options of model {name!r}")
    source = checkpoint_source(card.model)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    tokenizer, model = _load(name, source, card, options)
    end_ids = _end_ids(model, tokenizer)
    _forget_sampling_defaults(model)
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        options=options,
        context_window=_context_window(card, model),
        flop_per_token=card.flop_per_token or flop_per_token(model),
        end_ids=end_ids,
        pad_id=end_ids[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        longest_token=max(map(len, tokenizer.get_vocab())),
    )


def flop_per_token(model: Any) -> float:
    """FLOPs of one token's forward pass: 2 x (parameters - input embedding + output head).

    A multiplication and an addition a weight; looking a token up costs nothing; a head tied to the embedding counts once. The scores of
    attention are left out (below 5 % for contexts shorter than the width times 6).
    """
    parameters: int = sum(parameter.numel() for parameter in model.parameters())
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    looked_up = 0 if head is embedding else embedding.numel()
    return 2.0 * float(parameters - looked_up)


def _load(name: str, source: str, card: ModelCard, options: TransformersOptions) -> tuple[Any, Any]:
    transformers.utils.logging.disable_progress_bar()
    pinned = {"revision": options.revision} if options.revision else {}
    attention = {"attn_implementation": options.attn_implementation} if options.attn_implementation else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **pinned)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, card.dtype), **pinned, **attention)
        model = model.to(card.device).eval()
    except (
        Exception
    ) as exc:  # OSError, ValueError, RuntimeError, SafetensorError: whatever a checkpoint may be wrong in
        raise ConfigError(f"model {name!r}: cannot load {source!r}: {_first_line(exc)}") from exc
    tokenizer.chat_template = options.chat_template or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise ConfigError(
            f"model {name!r}: the tokenizer of {source} has no chat template; use an instruction-tuned checkpoint "
            "or give one in options.chat_template"
        )
    return tokenizer, model


def _end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The checkpoint's own end tokens; a chat model often has several."""
    ids = model.generation_config.eos_token_id
    ids = tokenizer.eos_token_id if ids is None else ids
    if ids is None:
        raise ConfigError("the checkpoint names no end-of-text token (eos_token_id); add it to generation_config.json")
    return tuple(ids) if isinstance(ids, list | tuple) else (int(ids),)


def _forget_sampling_defaults(model: Any) -> None:
    """A request says how it is drawn; a temperature or penalty of generation_config.json must not slip in."""
    model.generation_config = GenerationConfig()


def _context_window(card: ModelCard, model: Any) -> int | None:
    known = [card.context_window, getattr(model.config, "max_position_embeddings", None)]
    windows = [window for window in known if window]
    return min(windows) if windows else None


def _first_line(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__
