"""Tune on one split, choose on a second, report on a third that nothing touched; a paraphrase group is never divided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.core import ConfigError
from workbench.core.hashing import sha256_text
from workbench.tuning.matrix import OutcomeMatrix

MIN_GROUPS = 30
"""Fewer independent groups cannot be divided into three parts that say anything."""
GOLDEN = 0.6180339887498949

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers of the three parts.

    Args:
        tune: predictors are fitted on it.
        choose: thresholds and the policy are chosen on it.
        report: nothing but the final report touches it.
    """

    tune: Rows
    choose: Rows
    report: Rows

    def sizes(self) -> dict[str, int]:
        """Prompts in each part."""
        return {"tune": len(self.tune), "choose": len(self.choose), "report": len(self.report)}


def three_way_split(
    matrix: OutcomeMatrix, seed: int = 0, shares: tuple[float, float, float] = (0.4, 0.2, 0.4)
) -> Split:
    """The split by prompt group, stratified by task.

    Groups are ordered by task, within a task by a hash of seed and group. Walking through that order in golden-ratio steps
    spreads the parts evenly, so that each task is divided in the asked shares to within a group or two.

    Raises:
        ConfigError: fewer than `MIN_GROUPS` groups.
    """
    task_of: dict[str, str] = {}
    for group, task in zip(matrix.groups, matrix.queries.tasks, strict=True):
        task_of.setdefault(group, task or "")
    if len(task_of) < MIN_GROUPS:
        raise ConfigError(
            f"{len(task_of)} independent prompts (groups) are too few to tune, choose and report on separate ones; "
            f"at least {MIN_GROUPS} are needed, some hundreds for narrow intervals"
        )
    order = sorted(task_of, key=lambda group: (task_of[group], sha256_text(f"{seed}\x00{group}")))
    offset = int(sha256_text(f"split {seed}")[:8], 16) / 2**32
    position = (offset + GOLDEN * np.arange(len(order))) % 1.0
    part_of_group = dict(zip(order, np.searchsorted(np.cumsum(shares[:2]), position, "right").tolist(), strict=True))
    parts = np.fromiter((part_of_group[group] for group in matrix.groups), np.intp, len(matrix))
    return Split(*(np.flatnonzero(parts == part) for part in range(3)))
