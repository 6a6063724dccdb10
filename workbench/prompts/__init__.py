"""What the model receives: templates, roles, examples, context window."""

from workbench.prompts.template import Example, TemplateConfig

__all__ = ["Example", "TemplateConfig"]
