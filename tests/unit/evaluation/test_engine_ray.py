"""The Ray engine without a cluster: what is refused at once, and how errors travel. Clusters: tests/integration/test_ray.py."""

import socket
import sys

import pytest

from workbench.core import ClusterError, ConfigError, ContextOverflow, MissingExtra, NotCertifiable
from workbench.evaluation import make_engine
from workbench.evaluation.engine import WorkerNeeds


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "workbench.evaluation.engine_ray", raising=False)
    with pytest.raises(MissingExtra, match=r"llm-workbench\[ray\]"):
        make_engine("ray")


@pytest.mark.parametrize("address", ["nonsense", "a:b:c", "host:port", ""])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ConfigError, match="no address of a Ray cluster; allowed are auto, HOST:PORT"):
        make_engine("ray", address)


def test_an_address_where_nobody_answers_is_an_error_at_once(monkeypatch):
    from workbench.evaluation import engine_ray

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(engine_ray, "_host_and_port", lambda address: ("127.0.0.1", port))
    with pytest.raises(ClusterError, match=f"nobody answers at 127.0.0.1:{port}.*ray start --head"):
        make_engine("ray", "somewhere:1")


@pytest.mark.parametrize("values", [{"cpus": 0}, {"cpus": -1}, {"gpus": -1}, {"most_workers": 0}])
def test_needs_that_cannot_be_are_refused(values):
    with pytest.raises(ConfigError, match="more than 0 cores"):
        WorkerNeeds(**values)


def test_an_error_that_cannot_be_pickled_travels_as_its_description():
    from workbench.evaluation.engine_ray import RemoteError, _portable

    portable = _portable(ContextOverflow(model="tiny", prompt_tokens=9, context_window=4))
    assert isinstance(portable, RemoteError)
    assert str(portable).startswith("ContextOverflow: model 'tiny': the prompt has 9 tokens")


def test_an_error_that_can_be_pickled_travels_as_it_is():
    from workbench.evaluation.engine_ray import _portable

    error = NotCertifiable("no")
    assert _portable(error) is error


def test_a_description_keeps_its_exit_code_on_the_way():
    from ray import cloudpickle

    from workbench.evaluation.engine_ray import RemoteError

    copy = cloudpickle.loads(cloudpickle.dumps(RemoteError("x", 3)))
    assert (str(copy), copy.exit_code) == ("x", 3)


def test_a_worker_of_another_version_says_so():
    from workbench.evaluation.engine_ray import _by_value

    state, message = _by_value()(None, None, "99.0")
    assert state == "unfit"
    assert "this machine 99.0; install the same version on all" in message
