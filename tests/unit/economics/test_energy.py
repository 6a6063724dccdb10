from types import SimpleNamespace

import pytest

from workbench.core.nvml import open_nvml
from workbench.economics.energy import NoMeter, open_meter
from workbench.economics.energy_nvml import NvmlMeter
from workbench.economics.energy_rapl import open_rapl
from workbench.testing import FakeClock


class FakeNvml:
    """A pynvml with two GPUs whose counters a test sets. `refused` names functions that are not supported."""

    class NVMLError(Exception):
        pass

    def __init__(self, refused=(), fails=False):
        self.energy_mj, self.power_mw = [1000, 2000], [100_000, 50_000]
        self.refused, self.fails = set(refused), fails

    def nvmlInit(self):
        if self.fails:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self):
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        if index > 1:
            raise self.NVMLError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return 1

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu):
        self._check("energy")
        return self.energy_mj[gpu]

    def nvmlDeviceGetPowerUsage(self, gpu):
        self._check("power")
        return self.power_mw[gpu]

    def _check(self, what):
        if what in self.refused:
            raise self.NVMLError("Not Supported")


def zone(powercap, folder, name, uj, range_uj=1_000_000):
    path = powercap / folder
    path.mkdir(parents=True)
    (path / "name").write_text(name + "\n")
    (path / "energy_uj").write_text(f"{uj}\n")
    (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return path / "energy_uj"


def test_packages_and_their_memory_are_counted_and_their_parts_are_not(tmp_path):
    package = zone(tmp_path, "intel-rapl:0", "package-0", 100)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 50)
    for folder, name in (("intel-rapl:0:0", "core"), ("intel-rapl:1", "psys"), ("intel-rapl-mmio:0", "package-0")):
        zone(tmp_path, folder, name, 7)
    meter = open_rapl(tmp_path)
    package.write_text("3700\n")
    memory.write_text("3650\n")
    assert meter.covers == ("package-0", "dram-0")
    assert meter.read_wh() == pytest.approx(7200 / 3.6e9)


def test_a_counter_that_wraps_around_goes_on(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 900, range_uj=1000)
    meter = open_rapl(tmp_path)
    read = []
    for uj in (950, 30, 40, 20):  # 50, wrapped 80, 10, wrapped 980
        counter.write_text(str(uj))
        read.append(round(meter.read_wh() * 3.6e9))
    assert read == [50, 130, 140, 1120]


def test_without_powercap_the_reason_says_so(tmp_path):
    reason = open_rapl(tmp_path / "none")
    assert "virtual machine" in reason


def test_a_counter_that_may_not_be_read_is_a_reason_and_the_others_count(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    broken = zone(tmp_path, "intel-rapl:1", "package-1", 1)
    broken.write_text("not a number")
    meter = open_rapl(tmp_path)
    assert meter.covers == ("package-0",)
    assert "package-1 cannot be read" in meter.reason


def test_permission_denied_names_the_file_and_what_to_do(tmp_path):
    class Refusing(type(tmp_path)):
        def read_text(self, *args, **kwargs):
            if self.name == "energy_uj":
                raise PermissionError(13, "Permission denied")
            return super().read_text(*args, **kwargs)

    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    reason = open_rapl(Refusing(tmp_path))
    assert "energy_uj" in reason
    assert "chmod" in reason


def test_a_counter_that_vanishes_makes_the_reading_unknown(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    meter = open_rapl(tmp_path)
    counter.unlink()
    assert meter.read_wh() is None


def test_gpu_energy_is_the_difference_of_the_counters():
    nvml = FakeNvml()
    meter = NvmlMeter.opened(open_nvml(nvml), FakeClock())
    nvml.energy_mj = [1000 + 1_800_000, 2000 + 1_800_000]
    assert meter.covers == ("gpu0", "gpu1")
    assert meter.read_wh() == pytest.approx(1.0)
    assert meter.method == "NVML energy counter"


def test_a_gpu_counter_that_starts_anew_never_takes_energy_back():
    nvml = FakeNvml()
    meter = NvmlMeter.opened(open_nvml(nvml, "0"), FakeClock())
    nvml.energy_mj[0] = 500
    assert meter.read_wh() == pytest.approx(500 / 3.6e6)


def test_a_gpu_without_a_counter_has_its_power_added_up_and_says_so():
    nvml, clock = FakeNvml(refused=["energy"]), FakeClock()
    meter = NvmlMeter.opened(open_nvml(nvml, "0"), clock, sample_every_s=None)
    clock.advance(1800)
    nvml.power_mw[0] = 300_000
    assert meter.read_wh() == pytest.approx(0.5 * (100 + 300) / 2)
    assert "power sampled" in meter.method


def test_a_gpu_that_tells_neither_is_a_reason():
    reason = NvmlMeter.opened(open_nvml(FakeNvml(refused=["energy", "power"])), FakeClock())
    assert "neither energy nor power" in reason
    assert "Not Supported" in reason


def test_a_gpu_that_is_lost_makes_the_reading_unknown():
    nvml = FakeNvml()
    meter = NvmlMeter.opened(open_nvml(nvml), FakeClock())
    nvml.refused.add("energy")
    assert meter.read_wh() is None


def test_only_visible_gpus_are_counted():
    assert list(open_nvml(FakeNvml(), "1").gpus) == ["gpu1"]
    assert list(open_nvml(FakeNvml(), "GPU-abc").gpus) == ["GPU-abc"]
    assert "no GPU is visible" in open_nvml(FakeNvml(), "")
    assert "Invalid Argument" in open_nvml(FakeNvml(), "7")
    assert "neither a number nor a UUID" in open_nvml(FakeNvml(), "first")


def test_processor_and_gpu_add_up(tmp_path):
    counter, nvml = zone(tmp_path, "intel-rapl:0", "package-0", 0, range_uj=10**12), FakeNvml()
    meter = open_meter(powercap=tmp_path, nvml=nvml, environ={})
    counter.write_text(str(int(3.6e9)))
    nvml.energy_mj[1] += 3_600_000
    assert meter.read_wh() == pytest.approx(2.0)
    assert meter.covers == ("gpu0", "gpu1", "package-0")
    assert meter.reason is None


def test_what_a_meter_does_not_cover_is_said(tmp_path):
    meter = open_meter(powercap=tmp_path / "none", nvml=FakeNvml(), environ={"CUDA_VISIBLE_DEVICES": "0"})
    assert meter.covers == ("gpu0",)
    assert "RAPL" in meter.reason


def test_a_machine_without_counters_has_a_meter_that_says_why(tmp_path):
    meter = open_meter(powercap=tmp_path / "none", nvml=FakeNvml(fails=True), environ={})
    assert isinstance(meter, NoMeter)
    assert meter.read_wh() is None
    assert "Driver Not Loaded" in meter.reason
    assert "RAPL" in meter.reason


def test_a_sum_without_one_of_its_meters_is_unknown(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = open_meter(powercap=tmp_path, nvml=FakeNvml(), environ={})
    counter.unlink()
    assert meter.read_wh() is None


def test_power_is_sampled_in_the_background_until_the_meter_is_closed():
    import threading

    sampled = threading.Event()
    nvml = FakeNvml(refused=["energy"])
    nvml.nvmlDeviceGetPowerUsage = lambda gpu: sampled.set() or 1000
    meter = NvmlMeter.opened(open_nvml(nvml, "0"), SimpleNamespace(monotonic_s=lambda: 0.0), sample_every_s=0.001)
    sampled.clear()
    assert sampled.wait(300)
    meter.close()
