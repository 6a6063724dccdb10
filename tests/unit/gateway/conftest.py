"""A gateway around a real stack of scripted models, in process and on a loopback port."""

import contextlib
import threading

import httpx
import pytest

from workbench.gateway import Gateway, bind, url_of
from workbench.gateway.server import QuietServer
from workbench.models import ModelCard
from workbench.stack import Stack, StackConfig
from workbench.testing import ScriptedModel


def stack_of(tmp_path, models, **sections):
    data = {
        "schema_version": 1,
        "name": "quickstart",
        "models": {name: ModelCard(kind="scripted", model=name, region="local") for name in models},
        "choose": {"policy": {"kind": "fixed", "model": next(iter(models))}},
        **sections,
    }
    return Stack.from_config(StackConfig.from_data(data, "test"), base_dir=tmp_path, models=models, profiles={})


@pytest.fixture
def make_stack(tmp_path):
    """A stack whose model `tiny` gives these replies."""

    def make(replies=lambda request: "the answer is four", *, model=None, **sections):
        return stack_of(tmp_path, {"tiny": model or ScriptedModel("tiny", replies)}, **sections)

    return make


@pytest.fixture
def client(make_stack):
    """A function: a client of a gateway in process around a stack with these sections."""

    def connect(*args, gateway=None, **sections):
        app = Gateway(make_stack(*args, **sections), gateway).app()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://gateway")

    return connect


@pytest.fixture
def served():
    """A context: the URL of a stack served on a loopback port."""

    @contextlib.contextmanager
    def serving(stack):
        import uvicorn

        listener, ready = bind("127.0.0.1", 0), threading.Event()
        config = uvicorn.Config(Gateway(stack).app(), log_level="warning", lifespan="on", timeout_graceful_shutdown=5)
        server = QuietServer(config, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(300)
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join(300)
            assert not thread.is_alive()

    return serving
