"""The path of one request, and the configuration that draws it."""

from workbench.stack.config import StackConfig
from workbench.stack.metrics import Histogram, StackMetrics
from workbench.stack.response import Response, StreamPiece
from workbench.stack.stack import Stack

__all__ = ["Histogram", "Response", "Stack", "StackConfig", "StackMetrics", "StreamPiece"]
