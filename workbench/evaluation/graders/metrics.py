"""The graders as Hugging Face `evaluate` metrics: no download, nothing written to disk.

Imported only when asked for, because `evaluate` takes seconds to load; recording uses the per-item functions directly.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from workbench.core import ConfigError
from workbench.evaluation.graders.registry import GRADERS, GraderSpec


class GraderMetric(evaluate.Metric):  # type: ignore[misc]
    """One grader over lists of predictions and references: the mean, and the score of each item in order.

    Args:
        spec: name, or name with options, as in a suite ("numeric:tolerance=0.01").

    Example:
        >>> GraderMetric("exact").compute(predictions=["yes", "no"], references=["yes", "yes"])
        {'mean': 0.5, 'scores': [1.0, 0.0]}
    """

    def __init__(self, spec: str | GraderSpec) -> None:
        self.spec = GraderSpec.parse(spec)
        if self.spec.is_judge:
            raise ConfigError("a judge asks a model and is no metric over texts; use workbench.evaluation.JudgeGrader")
        self._grade = GRADERS.load(self.spec.name)
        super().__init__(config_name=self.spec.name, keep_in_memory=True, experiment_id="workbench")

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=(self._grade.__doc__ or "").split("\n\n")[0],
            citation="",
            inputs_description=self._grade.__doc__ or "",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        pairs = zip(predictions, references, strict=True)
        scores = [self._grade(said, expected, **self.spec.options) for said, expected in pairs]
        return {"mean": float(np.mean(scores)), "scores": scores}


def metric(spec: str | GraderSpec) -> GraderMetric:
    """The metric of a grader, by name and options."""
    return GraderMetric(spec)
