"""What the model receives: templates, roles, examples, context window."""

from workbench.prompts.composer import Composed, compose, fit
from workbench.prompts.template import Example, TemplateConfig

__all__ = ["Composed", "Example", "TemplateConfig", "compose", "fit"]
