"""Where the files that ship with the package are: the repository's `data/`, or `workbench/_data` of an installed wheel."""

from __future__ import annotations

from pathlib import Path

from workbench.core.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """The folder of shipped files."""
    repository = PACKAGE.parent / "data"
    return repository if (repository / "hardware.yaml").is_file() else PACKAGE / "_data"


def data_path(name: str) -> Path:
    """A shipped file or folder, e.g. `hardware.yaml` or `reference/tiny`.

    Raises:
        ConfigError: it is not there; says where it was looked for.
    """
    path = data_folder() / name
    if not path.exists():
        raise ConfigError(
            f"{name} is missing from the shipped data ({data_folder()}); reinstall or check out the package again"
        )
    return path
