"""What the documentation says can be done: its Python blocks run, the commands it names exist, its links lead somewhere."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page.relative_to(ROOT).as_posix(), body)
        for page in PAGES
        for found, body in FENCE.findall(page.read_text(encoding="utf-8"))
        if found == language
    ]


@pytest.mark.parametrize("page", sorted({page for page, _ in blocks("python")}))
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """A page's blocks in order, each seeing what the ones before it defined, as a reader would."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__docs__"}
    for of_page, body in blocks("python"):
        if of_page == page:
            exec(compile(body, page, "exec"), names)


def commands() -> list[str]:
    lines = (line for language in ("bash", "console") for _, body in blocks(language) for line in body.splitlines())
    return sorted({line.strip().removeprefix("$ ") for line in lines if re.match(r"\s*(\$ )?workbench ", line)})


@pytest.mark.parametrize("command", commands())
def test_commands_in_the_documentation_exist_with_their_options(command):
    from workbench.cli.main import _register_verbs, app

    _register_verbs()
    words = command.split("#")[0].split()[1:]
    verbs = []
    for word in words:
        if word.startswith("-") or not re.fullmatch(r"[a-z-]+", word) or len(verbs) == 2:
            break
        verbs.append(word)
    help_text = ""
    for depth in (len(verbs), 1):
        result = CliRunner().invoke(app, [*verbs[:depth], "--help"])
        if result.exit_code == 0:
            help_text = result.output
            break
    assert help_text, f"no such verb: {command}"
    options = {word.split("=")[0] for word in words if word.startswith("--")}
    assert not [option for option in options if option not in help_text], command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    names = {re.match(r"[A-Za-z0-9._-]+", line)[0] for line in lines} - {"llm-workbench"}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert not [name for name in sorted(names) if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w])", page)]


def test_the_readme_shows_the_committed_quickstart():
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "tools/readme.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, "README.md differs from docs/results/quickstart.json: python tools/readme.py"
