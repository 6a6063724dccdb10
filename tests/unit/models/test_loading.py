import subprocess
import sys

import pytest

from workbench.core import ConfigError, MissingExtra
from workbench.models import MODEL_KINDS, ModelCard, load_model
from workbench.testing import ScriptedModel


def test_an_unknown_kind_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown model kind 'transformer': did you mean 'transformers'"):
        load_model("m", ModelCard(kind="transformer", model="x"))


def test_a_kind_of_ones_own_is_one_line(monkeypatch):
    monkeypatch.setattr(MODEL_KINDS, "_entries", dict(MODEL_KINDS._entries))
    monkeypatch.setattr("workbench.testing.echo", lambda name, card, clock: ScriptedModel(name, []), raising=False)
    MODEL_KINDS.add("echo", "workbench.testing:echo")
    assert isinstance(load_model("m", ModelCard(kind="echo", model="x")), ScriptedModel)


def test_a_missing_library_says_the_command_that_installs_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "workbench.models.openai_compatible", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtra, match=r"pip install 'llm-workbench\[api\]'"):
        load_model("m", ModelCard(kind="openai-compatible", model="x", base_url="http://127.0.0.1/v1"))


def test_naming_models_loads_no_heavy_library():
    heavy = "{'torch', 'transformers', 'openai', 'aiohttp', 'anthropic', 'polars', 'starlette', 'uvicorn'}"
    code = f"import sys, workbench.models, workbench.testing, workbench.embedding, workbench.economics; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
