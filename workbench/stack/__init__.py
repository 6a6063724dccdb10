"""The path of one request, and the configuration that draws it."""

from workbench.stack.config import StackConfig

__all__ = ["StackConfig"]
