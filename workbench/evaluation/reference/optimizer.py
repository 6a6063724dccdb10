"""Muon for the matrices, AdamW for the rest, one schedule for both.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024): momentum, then an
orthogonalised update by five Newton-Schulz steps. Equal shapes are stacked, so a step is a few batched products.
"""

from __future__ import annotations

import math
from typing import Any

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
MOMENTUM = 0.95
WEIGHT_DECAY = 0.05


def orthogonalise(gradients: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Nearest semi-orthogonal matrices, roughly; shape (matrices, rows, columns) in and out."""
    a, b, c = NEWTON_SCHULZ
    is_tall = gradients.size(-2) > gradients.size(-1)
    x = gradients.mT if is_tall else gradients
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.mT if is_tall else x).to(gradients.dtype)


class Muon:
    """Muon over matrices grouped by shape."""

    def __init__(self, matrices: list[torch.nn.Parameter]) -> None:
        self._groups: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
        for matrix in matrices:
            self._groups.setdefault(tuple(matrix.shape), []).append(matrix)
        self._momentum = {
            shape: torch.zeros(len(group), *shape, device=group[0].device) for shape, group in self._groups.items()
        }

    def step(self, learning_rate: float) -> None:
        """One update from the gradients at hand, which are forgotten afterwards."""
        with torch.no_grad():
            for shape, group in self._groups.items():
                gradients = torch.stack([p.grad for p in group if p.grad is not None])
                momentum = self._momentum[shape]
                momentum.lerp_(gradients, 1 - MOMENTUM)
                update = orthogonalise(gradients.lerp(momentum, MOMENTUM))
                scale = learning_rate * max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, direction in zip(group, update, strict=True):
                    parameter.mul_(1 - learning_rate * WEIGHT_DECAY).add_(direction, alpha=-scale)
                    parameter.grad = None

    def state(self) -> dict[tuple[int, ...], torch.Tensor]:
        """The momentum buffers, for a resumable run."""
        return self._momentum

    def load(self, state: dict[tuple[int, ...], torch.Tensor]) -> None:
        """Take over saved momentum buffers."""
        for shape, buffer in state.items():
            self._momentum[shape].copy_(buffer)


class FamilyOptimizer:
    """Both optimizers behind one `step`."""

    def __init__(self, model: torch.nn.Module, muon_lr: float, adam_lr: float) -> None:
        named = list(model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "layers" in name]
        self._others = [p for name, p in named if not (p.ndim == 2 and "layers" in name)]
        self._muon, self._muon_lr, self._adam_lr = Muon(matrices), muon_lr, adam_lr
        self._adam = torch.optim.AdamW(self._others, lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    def step(self, factor: float) -> None:
        """Clip, update with the peak rates times `factor`, and forget the gradients."""
        torch.nn.utils.clip_grad_norm_(self._others, 1.0)
        for group in self._adam.param_groups:
            group["lr"] = self._adam_lr * factor
        self._muon.step(self._muon_lr * factor)
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        return {"adam": self._adam.state_dict(), "muon": self._muon.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        self._adam.load_state_dict(state["adam"])
        self._muon.load(state["muon"])


def schedule(step: int, steps: int, warm_up: int = 60, flat_until: float = 0.4) -> float:
    """Factor on the peak rates, 0..1: linear warm-up, flat, then cosine to 3 %."""
    warmth = min(1.0, (step + 1) / min(warm_up, max(1, steps // 4)))
    progress = step / steps
    if progress <= flat_until:
        return warmth
    return warmth * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (progress - flat_until) / (1 - flat_until))))
