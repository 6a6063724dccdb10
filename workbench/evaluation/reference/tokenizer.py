"""One byte-level BPE for the whole family, learned from the training stream, and the encoding of conversations.

Digits are single tokens. Contents are preceded by one space, answers included: a word copied from the prompt is then
the same token in the answer.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from workbench.evaluation.reference import lexicon
from workbench.evaluation.reference.conversations import Conversation, draw_conversation, mixture_for
from workbench.evaluation.reference.wordings import (
    FOLLOW_UPS,
    JSON_WORDINGS,
    PREFIXES,
    SUFFIXES,
    SYSTEM_PROMPTS,
    WORDINGS,
    seen_wordings,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD_ID, BOS_ID, EOS_ID = 0, 1, 2
SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<|user|>", "<|assistant|>", "<|system|>")
VOCABULARY_SIZE = 1792
MAX_POSITIONS = 512
CHAT_TEMPLATE = (
    "{{ '<bos>' }}{% for m in messages %}{{ '<|' + m['role'] + '|> ' + (m['content'] | trim) }}"
    "{% if m['role'] == 'assistant' %}{{ '<eos>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def _corpus(n_conversations: int, seed: int) -> list[str]:
    """Training conversations plus every trained sentence and word, so that rare words get a token of their own."""
    rng, mixture = Random(f"tokenizer-{seed}"), mixture_for(("text", "math"))
    lines = [f" {m['content']}" for _ in range(n_conversations) for m in draw_conversation(mixture, rng).messages()]
    sentences = [w for task in WORDINGS for w in seen_wordings(task)]
    sentences += [*PREFIXES, *SUFFIXES, *FOLLOW_UPS, *SYSTEM_PROMPTS, *JSON_WORDINGS]
    words = [*lexicon.NAMES, *lexicon.CITIES, *lexicon.JOBS, *lexicon.PETS, *lexicon.PLACES, *lexicon.ITEMS]
    words += [*lexicon.MONTHS, *lexicon.POSITIVE, *lexicon.NEGATIVE, *sum(lexicon.TOPICS.values(), ())]
    words += re.findall(r"[A-Za-z]+", re.sub(r"\{\w+\}", "", " ".join(sentences)))
    return lines + [f" {text}" for text in sentences] * 5 + [f" {word}" for word in words] * 50


def train_tokenizer(n_conversations: int = 10_000, seed: int = 0) -> PreTrainedTokenizerFast:
    """The tokenizer, the same for the same arguments."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_corpus(n_conversations, seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        model_max_length=MAX_POSITIONS,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def encode_conversation(tokenizer: PreTrainedTokenizerFast, conversation: Conversation) -> tuple[list[int], list[bool]]:
    """Token ids as the chat template gives them, and which of them are answers (eos included)."""
    pieces: list[tuple[str, bool]] = [("<bos>", False)]
    if conversation.system:
        pieces.append((f"<|system|> {conversation.system}", False))
    for question, answer in conversation.turns:
        pieces += [(f"<|user|> {question}<|assistant|>", False), (f" {answer}<eos>", True)]
    ids: list[int] = []
    is_answer: list[bool] = []
    for encoding, (_, flag) in zip(
        tokenizer.backend_tokenizer.encode_batch([text for text, _ in pieces], add_special_tokens=False),
        pieces,
        strict=True,
    ):
        ids += encoding.ids
        is_answer += [flag] * len(encoding.ids)
    return ids, is_answer
