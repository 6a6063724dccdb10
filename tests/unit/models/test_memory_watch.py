import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from workbench.core.nvml import Nvml
from workbench.models.memory_proc import CallPeaks, ProcessMemory, process_tree
from workbench.models.memory_watch import MemoryWatch

MIB_PER_GIB = 1024
NO_GPU = "no GPU here"


def process(proc, pid, rss_kib, peak_kib, pss_kib=None, parent=0):
    """A process as Linux shows it, in a folder."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "status").write_text(f"Name:\tx\nVmHWM:\t {peak_kib} kB\nVmRSS:\t {rss_kib} kB\n")
    (folder / "stat").write_text(f"{pid} (a (b) c) S {parent} 1 1")
    if pss_kib is not None:
        (folder / "smaps_rollup").write_text(f"00-ff ---p [rollup]\nRss: {rss_kib} kB\nPss:    {pss_kib} kB\n")


class Gauge:
    """A peak that a test moves; setting it back takes it to what is used now."""

    def __init__(self):
        self.now = self.peak = 0

    def use(self, kib):
        self.now, self.peak = kib, max(self.peak, kib)

    def peak_kib(self):
        return self.peak

    def reset_peak(self):
        self.peak = self.now
        return True


def test_a_calls_peak_is_its_own_and_not_an_earlier_ones():
    gauge = Gauge()
    peaks = CallPeaks(gauge)
    first = peaks.begin()
    gauge.use(900)
    gauge.use(300)
    assert peaks.end(first) == 900 / 2**20
    second = peaks.begin()
    gauge.use(400)
    assert peaks.end(second) == 400 / 2**20


def test_a_call_that_begins_inside_another_does_not_take_its_peak_away():
    gauge = Gauge()
    peaks = CallPeaks(gauge)
    outer = peaks.begin()
    gauge.use(900)
    gauge.use(100)
    inner = peaks.begin()
    gauge.use(200)
    assert peaks.end(inner) == 200 / 2**20
    assert peaks.end(outer) == 900 / 2**20


def test_a_system_that_tells_no_peak_makes_it_unknown():
    peaks = CallPeaks(SimpleNamespace(peak_kib=lambda: None, reset_peak=lambda: False))
    assert peaks.end(peaks.begin()) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux keeps and resets peaks")
def test_memory_that_is_given_back_stays_in_the_peak_until_it_is_reset():
    mine = ProcessMemory(os.getpid())
    peaks = CallPeaks(mine)
    call = peaks.begin()
    block = bytearray(os.urandom(1)) * 200_000_000
    del block
    assert peaks.end(call) > mine.resident_kib() / 2**20 + 0.15


def test_processes_add_up_and_shared_pages_count_once_in_the_proportional_peak(tmp_path):
    process(tmp_path, 11, rss_kib=1000, peak_kib=1500, pss_kib=700)
    process(tmp_path, 12, rss_kib=2000, peak_kib=2500, pss_kib=1600)
    with MemoryWatch([11, 12], every_s=None, proc=tmp_path, nvml=NO_GPU) as watch:
        process(tmp_path, 11, rss_kib=1000, peak_kib=1800, pss_kib=900)
    use = watch.result()
    assert use.before_gib == 3000 / 2**20
    assert use.rss_peak_gib == (1800 + 2500) / 2**20
    assert use.pss_peak_gib == use.memory_gib == (900 + 1600) / 2**20
    assert use.n_samples == 2


def test_a_process_that_ended_keeps_its_last_reading(tmp_path):
    process(tmp_path, 11, rss_kib=1000, peak_kib=1500, pss_kib=700)
    with MemoryWatch([11], every_s=None, proc=tmp_path, nvml=NO_GPU) as watch:
        for file in (tmp_path / "11").iterdir():
            file.unlink()
    assert watch.result().rss_peak_gib == 1500 / 2**20


def test_what_is_not_readable_is_null_with_its_reason(tmp_path):
    process(tmp_path, 11, rss_kib=1000, peak_kib=1500)
    with MemoryWatch([11, 99], every_s=None, proc=tmp_path, nvml=NO_GPU) as watch:
        pass
    use = watch.result()
    assert use.pss_peak_gib is None
    assert "smaps_rollup" in use.reasons["pss_peak_gib"]
    assert use.reasons["gpu_peak_gib"] == NO_GPU
    assert "another process" in use.reasons["torch_peak_gib"]
    assert "rss_peak_gib" not in use.reasons or "set back" in use.reasons["rss_peak_gib"]


def test_a_process_that_is_not_there_has_no_memory_and_no_zero(tmp_path):
    with MemoryWatch([99], every_s=None, proc=tmp_path, nvml=NO_GPU) as watch:
        pass
    assert watch.result().memory_gib is None
    assert watch.result().reasons["rss_peak_gib"]


def test_the_gpu_memory_of_the_watched_processes_alone_is_counted():
    shown = [SimpleNamespace(pid=11, usedGpuMemory=3 * 2**30), SimpleNamespace(pid=77, usedGpuMemory=2**30)]
    library = SimpleNamespace(NVMLError=RuntimeError, nvmlDeviceGetComputeRunningProcesses=lambda gpu: shown)
    with MemoryWatch([11], every_s=None, nvml=Nvml(library, {"gpu0": 0})) as watch:
        shown[0].usedGpuMemory = 5 * 2**30
    assert watch.result().gpu_peak_gib == watch.result().memory_gib == 5.0


def test_a_container_that_hides_process_numbers_makes_gpu_memory_unknown():
    library = SimpleNamespace(NVMLError=RuntimeError, nvmlDeviceGetComputeRunningProcesses=lambda gpu: [])
    with MemoryWatch(every_s=None, nvml=Nvml(library, {"gpu0": 0})) as watch:
        pass
    assert watch.result().gpu_peak_gib is None
    assert "container" in watch.result().reasons["gpu_peak_gib"]


def test_torchs_peak_is_told_apart_from_the_weights_that_were_there_before():
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        reset_peak_memory_stats=lambda: None,
        memory_allocated=lambda: 2 * 2**30,
        max_memory_allocated=lambda: 3 * 2**30,
        max_memory_reserved=lambda: 4 * 2**30,
    )
    with MemoryWatch(every_s=None, nvml=NO_GPU, torch=SimpleNamespace(cuda=cuda)) as watch:
        pass
    use = watch.result()
    assert (use.torch_before_gib, use.torch_peak_gib, use.torch_reserved_gib) == (2.0, 3.0, 4.0)


def test_a_server_is_its_whole_tree_of_processes(tmp_path):
    for pid, parent in ((1, 0), (10, 1), (11, 10), (12, 10), (13, 11), (20, 1)):
        process(tmp_path, pid, 1, 1, parent=parent)
    assert process_tree(10, tmp_path) == [10, 11, 12, 13]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_real_child_process_is_found_and_measured(processes):
    child = processes.start([sys.executable, "-c", "print('up', flush=True); input()"], stdin=subprocess.PIPE)
    assert child.stdout.readline() == "up\n"
    assert child.pid in process_tree(os.getpid())
    with MemoryWatch([child.pid], every_s=0.01, nvml=NO_GPU) as watch:
        pass
    assert 0.001 < watch.result().memory_gib < 1
