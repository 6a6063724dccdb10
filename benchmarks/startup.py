"""How long the package takes to import and the command line to help, beside a bare interpreter. Writes benchmarks/results/startup.json."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from workbench.core.environment import environment
from workbench.core.files import write_json

REPEATS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import workbench": [sys.executable, "-c", "import workbench"],
    "workbench --help": [str(Path(sys.executable).with_name("workbench")), "--help"],
}
LIMIT_S = {"import workbench": 0.15, "workbench --help": 0.4}


def main() -> None:
    """Interleave the commands, so that a busy moment of the machine meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, command in COMMANDS.items():
            start_s = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start_s)
    rows = {
        name: {"median_s": statistics.median(s), "max_s": max(s), "limit_s": LIMIT_S.get(name)}
        for name, s in seconds.items()
    }
    result = {**environment(), "repeats": REPEATS, "commands": rows, "torch_imported": loads_torch()}
    write_json(Path(__file__).parent / "results" / "startup.json", result)
    print(json.dumps(rows, indent=2))


def loads_torch() -> bool:
    """Whether registering all verbs of the command line loads torch."""
    code = "import workbench.cli.main as m, sys; m._register_verbs(); print('torch' in sys.modules)"
    return (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        == "True"
    )


if __name__ == "__main__":
    main()
