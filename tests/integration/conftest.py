"""A vLLM server of the reference family's base model, started once for all tests that need one."""

from collections.abc import Iterator

import pytest

from workbench.core import ConfigError
from workbench.models import ModelCard
from workbench.models.vllm_environment import find_environment
from workbench.models.vllm_server import VLLMServer


@pytest.fixture(scope="session")
def vllm_environment():
    """Skips where vLLM is not installed; in CI that is a failure (`make integration` builds the environment)."""
    try:
        return find_environment()
    except ConfigError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def vllm_base(vllm_environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    """A managed server of `reference:base`: `.url`, `.log_path`, `.pid`, `.pids()`, `.report`; requests name the model "base"."""
    card = ModelCard(kind="vllm", model="reference:base", context_window=512)
    log = tmp_path_factory.mktemp("vllm") / "base.log"
    with VLLMServer("base", card, log=log) as server:
        assert len(server.pids()) >= 3  # API server, engine, worker
        yield server
    assert server.pids() == []
