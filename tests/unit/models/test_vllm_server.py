import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.core import ConfigError, Unavailable
from workbench.models import ModelCard
from workbench.models.vllm_server import VLLMServer
from workbench.models.vllm_watchdog import session_pids
from workbench.testing import fake_vllm_environment, save_tiny_checkpoint

OUTLIVED = """
import os, signal, sys
from workbench.models import ModelCard
from workbench.models.vllm_server import VLLMServer
server = VLLMServer("m", ModelCard(kind="vllm", model=sys.argv[1], options={"environment": sys.argv[2]}))
server.start()
server.wait_until_ready()
print(server.pid, flush=True)
if sys.argv[3] == "SIGKILL":
    os.kill(os.getpid(), signal.SIGKILL)
elif sys.argv[3] == "raise":
    raise RuntimeError("somebody forgot to stop it")
"""
WAITING = """
import asyncio, sys
from workbench.models import ModelCard, load_model
async def main():
    options = {"environment": sys.argv[2], "log": sys.argv[3]}
    load_model("m", ModelCard(kind="vllm", model=sys.argv[1], options=options))
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"), context_window=512)


@pytest.fixture
def server(checkpoint, tmp_path):
    def make(how="well", **known) -> VLLMServer:
        options = {"environment": str(fake_vllm_environment(tmp_path / "env", how)), **known.pop("options", {})}
        return VLLMServer(
            "m", ModelCard(kind="vllm", model=str(checkpoint), options=options, **known.pop("card", {})), **known
        )

    return make


def test_it_is_up_inside_the_with_block_and_gone_after_it(server):
    with server() as running:
        pids = running.pids()
        assert running.is_alive()
        assert running.url == f"http://127.0.0.1:{running.port}/v1"
        assert pids[0] == running.pid == os.getpgid(pids[1])
        assert len(pids) == 2  # the server and its engine
    assert running.pids() == []
    assert not running.is_alive()
    running.stop()


def test_its_report_is_what_the_log_says(server, tmp_path):
    log = tmp_path / "logs" / "m.log"
    with server(log=log) as running:
        report = running.report
    assert running.log_path == log
    assert (report.version, report.kv_cache_gib, report.kv_cache_tokens) == ("0.32.0+cpu", 1.0, 174_720)
    assert report.max_concurrency == 341.25
    assert report.start_s > 0
    assert report.weights_gib is None


def test_a_log_of_an_earlier_server_is_kept_and_not_read(server, tmp_path):
    log = tmp_path / "m.log"
    log.write_text("Model loading took 5.0 GiB memory\n")
    with server(log=log) as running:
        assert running.report.weights_gib is None
    assert log.read_text().startswith("Model loading took 5.0 GiB")


def test_one_that_dies_at_the_start_is_told_with_its_reason(server):
    running = server("dies")
    with pytest.raises(Unavailable, match=r"ended before it was ready \(exit code 7\)") as said, running:
        pass
    assert str(running.log_path) in str(said.value)
    assert str(said.value).endswith("says:\n    ValueError: No available memory for the cache blocks.")
    assert running.pids() == []


def test_one_that_never_answers_is_given_up_and_ended(server):
    running = server("silent", options={"ready_timeout_s": 0.5})
    with pytest.raises(Unavailable, match=r"not ready after 0.5 s \(options.ready_timeout_s\)"), running:
        pass
    assert running.pids() == []


@pytest.mark.parametrize("how", ["stubborn", "orphans"])
def test_nothing_is_left_of_one_that_will_not_stop_in_order(server, how, monkeypatch):
    monkeypatch.setattr("workbench.models.vllm_server.STOP_PATIENCE_S", 0.3)
    with server(how) as running:
        assert len(running.pids()) == 2
    assert running.pids() == []


def test_one_that_died_by_itself_is_told_and_its_children_are_ended(server):
    running = server()
    running.start()
    running.wait_until_ready()
    os.kill(running.pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match=r"ended by itself \(killed by signal 9\)"):
        running.wait_until_ended()
    assert running.pids() != []  # the engine
    running.stop()
    assert running.pids() == []


@pytest.mark.parametrize("ending", ["SIGKILL", "raise", "end"])
def test_it_never_outlives_the_process_that_started_it(checkpoint, tmp_path, until, ending):
    environment = fake_vllm_environment(tmp_path / "env")
    done = subprocess.run(
        [sys.executable, "-c", OUTLIVED, str(checkpoint), str(environment), ending],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    session = int(done.stdout)
    until(lambda: session_pids(session) == [])


def test_one_ctrl_c_ends_the_waiting_inside_an_event_loop_too(checkpoint, tmp_path, processes, until):
    environment = fake_vllm_environment(tmp_path / "env", "silent")
    log = tmp_path / "log"
    command = [sys.executable, "-c", WAITING, str(checkpoint), str(environment), str(log)]
    process = processes.start(command, stdout=subprocess.DEVNULL)
    until(lambda: (log.exists() and log.stat().st_size > 0) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert said.rstrip().endswith("KeyboardInterrupt")


def test_one_that_is_forgotten_is_ended(server):
    running = server()
    running.start()
    session = running.pid
    del running
    gc.collect()
    assert session_pids(session) == []


def test_the_key_is_handed_over_in_the_environment_and_not_on_the_command_line(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    with server(card={"api_key": "env:MY_KEY"}) as running:
        assert "s3cret" not in " ".join(running.command)
        assert "s3cret" not in running.log()
        assert running._asked("POST", "/v1/chat/completions", {"model": "m", "messages": [{"content": "x"}]}) == 200
        running._key = "wrong"
        assert running._asked("POST", "/v1/chat/completions", {"model": "m", "messages": [{"content": "x"}]}) == 401


def test_a_key_that_is_not_set_is_bad_input(server, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match="MY_KEY is not set"):
        server(card={"api_key": "env:MY_KEY"})


def test_a_port_in_use_is_bad_input(server):
    with server() as running:
        options = {"port": running.port, "environment": str(running.environment.executable)}
        with pytest.raises(ConfigError, match=rf"port {running.port}: another process uses it"):
            VLLMServer("n", running.card.model_copy(update={"options": options}))


def test_a_log_that_cannot_be_written_is_bad_input(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot start vLLM"), server(log=tmp_path / "file" / "m.log"):
        pass


def test_a_program_that_cannot_be_run_is_bad_input_and_leaves_no_watchdog(server):
    running = server()
    running.environment.executable.chmod(0o644)
    with pytest.raises(ConfigError, match="cannot start vLLM: Permission denied"):
        running.start()
    running.stop()


def test_a_server_that_runs_already_is_not_started(server):
    with pytest.raises(ConfigError, match="runs already, at http://x/v1"):
        server(card={"base_url": "http://x/v1"})


def test_a_gpu_that_the_build_cannot_use_is_bad_input(server):
    with pytest.raises(ConfigError, match=r"device is cuda, and vLLM 0.32.0\+cpu .* computes on the processor"):
        server(card={"device": "cuda"})


def test_what_is_known_only_after_the_start_says_so(server):
    running = server()
    for ask in (lambda: running.pid, lambda: running.log_path):
        with pytest.raises(RuntimeError, match="call start"):
            ask()
    assert running.pids() == []
    assert not running.is_alive()
