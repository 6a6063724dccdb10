"""Put the measured quickstart table into the README, between its markers.

usage: python tools/readme.py          rewrite README.md from docs/results/quickstart.json
       python tools/readme.py --check  exit 1 when the README shows something else
"""

import json
import re
import sys
from pathlib import Path

from workbench.cli.quickstart_table import COLUMNS, closing_lines, rows_of

ROOT = Path(__file__).resolve().parent.parent
MARKED = re.compile(r"(<!-- quickstart -->\n).*?(<!-- /quickstart -->)", re.DOTALL)


def table() -> str:
    """The README's table and its two sentences, from the committed result."""
    document = json.loads((ROOT / "docs" / "results" / "quickstart.json").read_text(encoding="utf-8"))
    head = [f"| {' | '.join(COLUMNS)} |", "|---|---:|---|---:|---:|---:|"]
    body = [f"| {' | '.join(row)} |" for section in rows_of(document) for row in section]
    lines = [f"*{line}*  " for line in closing_lines(document)[:2]]
    return "\n".join([*head, *body, "", *lines]) + "\n"


def main() -> int:
    """Rewrite, or compare with `--check`."""
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    wanted = MARKED.sub(lambda found: found[1] + table() + found[2], text)
    if "--check" in sys.argv[1:]:
        return int(wanted != text)
    page.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
