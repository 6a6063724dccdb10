"""Estimates of each model's quality, cost and latency on a request, before it is answered."""

from workbench.routing.predictors.learned import EMBEDDING_KINDS, LearnedPredictor, make_predictor, predictor_kinds
from workbench.routing.predictors.predictor import Predictor, QualityEstimator, State, TextEmbedder

__all__ = [
    "EMBEDDING_KINDS",
    "LearnedPredictor",
    "Predictor",
    "QualityEstimator",
    "State",
    "TextEmbedder",
    "make_predictor",
    "predictor_kinds",
]
