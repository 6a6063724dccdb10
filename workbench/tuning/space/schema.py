"""The JSON Schema of a space file, for editors and other tools: `python -m workbench.tuning.space.schema` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from workbench.core.files import write_text
from workbench.tuning.space.file import SpaceConfig

PUBLISHED = Path("docs/schemas/space.schema.json")


def space_schema() -> str:
    """The schema as indented JSON text, with a newline at its end."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SpaceConfig.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    write_text(Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED, space_schema())
