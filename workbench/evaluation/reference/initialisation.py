"""Initial weights that start with the circuit for copying in place: a previous-token head and two induction heads.

From a random start these models need millions of tokens before any copying forms, and every kind that quotes its prompt
waits for it. The first two layers therefore start as the known circuit (Olsson et al. 2022, "In-context learning and
induction heads"), in the spirit of mimetic initialisation (Trockman and Kolter 2023). Nothing is frozen.

Layer 0, head 0 attends one token back and writes what it finds into a subspace of its own. Layer 1, heads 0 and 1 look
for positions whose *previous* token equals the current one and copy the token there.

Measured at width 128, three layers, on bare recall and echo: loss per answer token after 125 steps 1.62 when planted
(with somewhat larger constants), 2.24 with embeddings of the same length only, 2.55 with the usual small embeddings
(nats, one seed).
"""

from __future__ import annotations

import torch
from transformers import LlamaForCausalLM

EMBEDDING_LENGTH = 1.1
CONSTANT = 0.5
"""Length of the component all embeddings share; it lets a head ask the same question at every position."""
LOCALITY = 1.6
"""Query and key weight of the previous-token head per rotary frequency: larger is sharper."""
WRITTEN = 0.225
"""Weight with which the previous token is written: about as long as an embedding."""
MATCHING = 2.4
COPYING = 0.5


def plant_copying(model: LlamaForCausalLM, seed: int) -> None:
    """Write the circuit into a freshly initialised model of at least two layers and two heads, in place."""
    config = model.config
    width, head = config.hidden_size, config.head_dim
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(width, width, generator=generator))
    constant, token = basis[:, 0], basis[:, 1 : 1 + head].T
    start = min(1 + head, width - head)
    written = basis[:, start : start + head]
    with torch.no_grad():
        embedding = model.model.embed_tokens.weight
        embedding.sub_(torch.outer(embedding @ constant, constant))
        embedding.mul_(EMBEDDING_LENGTH / embedding.norm(dim=1, keepdim=True).clamp_min(1e-6))
        embedding.add_(CONSTANT * constant)
        frequencies = model.model.rotary_emb.inv_freq[: head // 2]
        _plant_previous_token(model.model.layers[0].self_attn, constant, token, written, frequencies)
        _plant_induction(model.model.layers[1].self_attn, token, written, basis)


def _plant_previous_token(
    attention: torch.nn.Module,
    constant: torch.Tensor,
    token: torch.Tensor,
    written: torch.Tensor,
    frequencies: torch.Tensor,
) -> None:
    """A constant query, and a key turned by one position: their product peaks one token back."""
    head = token.shape[0]
    is_fast = (frequencies > 0.05).float()
    query = torch.cat([is_fast, torch.zeros_like(frequencies)])
    key = torch.cat([is_fast * frequencies.cos(), is_fast * frequencies.sin()])
    attention.q_proj.weight[:head] = LOCALITY * torch.outer(query, constant)
    attention.k_proj.weight[:head] = LOCALITY * torch.outer(key, constant)
    attention.v_proj.weight[:head] = token
    attention.o_proj.weight[:, :head] = WRITTEN * written


def _plant_induction(
    attention: torch.nn.Module, token: torch.Tensor, written: torch.Tensor, basis: torch.Tensor
) -> None:
    """Match on the slow rotary dimensions, which hardly turn within a prompt: half of each head."""
    head = token.shape[0]
    quarter = head // 4
    slow = [*range(quarter, 2 * quarter), *range(3 * quarter, 4 * quarter)]
    for number in range(2):
        chosen = slice(number * head // 2, (number + 1) * head // 2)
        rows = slice(number * head, (number + 1) * head)
        query, key = torch.zeros_like(token), torch.zeros_like(token)
        query[slow], key[slow] = MATCHING * token[chosen], MATCHING * written.T[chosen]
        attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key
        copied = basis[:, number * head : (number + 1) * head]
        attention.v_proj.weight[rows] = copied.T
        attention.o_proj.weight[:, rows] = COPYING * copied
