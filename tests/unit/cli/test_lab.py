import socket
import sys
import time
from pathlib import Path

import pytest

from workbench.cli.lab import HOST, Server, free_port
from workbench.core import ConfigError, StoreError

PARENT = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; print('child', flush=True); time.sleep(600)"])
subprocess.run([sys.executable, "-m", "http.server", sys.argv[1], "--bind", "127.0.0.1"])
"""


def server(port, code, folder):
    command = (sys.executable, "-c", code, str(port))
    return Server("the thing", command, f"http://{HOST}:{port}", "/", {}, folder)


def test_a_free_port_is_taken_as_wanted_and_a_taken_one_is_passed_over():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) > port
    assert free_port(port) == port
    assert free_port(port, but=port) > port


def test_what_is_no_port_is_refused():
    with pytest.raises(ConfigError, match="no free port from 70000 on"):
        free_port(70000)


def test_a_server_is_waited_for_and_ended_with_its_children(tmp_path):
    port = free_port(18080)
    with server(port, PARENT, tmp_path).running() as running:
        running.wait_until_ready()
        group = running.process.pid
    assert running.has_ended()
    for _ in range(100):  # a killed process leaves when the kernel gets to it
        if not (left := lives_in(group)):
            break
        time.sleep(0.1)
    assert not left


def lives_in(group: int) -> list[Path]:
    return [entry for entry in Path("/proc").glob("[0-9]*") if is_in_group(entry, group)]


def is_in_group(process: Path, group: int) -> bool:
    try:
        state, _, its_group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(its_group) == group and state != "Z"


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path):
    with (
        server(free_port(18080), "raise SystemExit('the config is wrong')", tmp_path).running() as running,
        pytest.raises(StoreError, match="the thing did not start: the config is wrong"),
    ):
        running.wait_until_ready()
