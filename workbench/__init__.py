"""The LLM Architecture Workbench: which model handles a request, what it costs, what validates it, how failures are caught.

Importing the package is quiet and quick: no network, files, printing, environment reads or heavy libraries.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
