"""The only writer of the committed notebooks: source in, executed notebook out, and the check that the two agree.

usage: python tools/notebooks.py build [NAME ...]    execute notebooks/NAME.py and write notebooks/NAME.ipynb
       python tools/notebooks.py check [NAME ...]    sources, stamps and outputs agree; every notebook runs with small parameters

`build` stamps the source's SHA-256 into the notebook: an edit of the source without a new execution is then caught, which comparing
cells alone would not do (jupytext keeps old outputs).
"""

import argparse
import ast
import hashlib
import os
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
LARGEST_BYTES = 500_000


def main() -> int:
    """Parse the command line and run; 0 when all is well, 1 with one line a finding otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["build", "check"])
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    sources = [NOTEBOOKS / f"{name}.py" for name in arguments.names] or sorted(NOTEBOOKS.glob("[0-9]*.py"))
    findings = [finding for source in sources for finding in (build if arguments.verb == "build" else check)(source)]
    sys.stderr.write("".join(f"{finding}\n" for finding in findings))
    sys.stderr.write(f"{len(sources)} notebooks, {len(findings)} findings\n")
    return 1 if findings else 0


def build(source: Path) -> list[str]:
    """Execute with the parameters as written and put the result beside the source; findings of the source come first."""
    import jupytext
    import nbformat

    findings = style_findings(source)
    if findings:
        return findings
    target = source.with_suffix(".ipynb")
    notebook = jupytext.read(source)
    if target.exists():
        notebook = jupytext.combine.combine_inputs_with_outputs(notebook, nbformat.read(target, as_version=4))
    executed = execute(notebook, {})
    _clean(executed, source)
    with tempfile.NamedTemporaryFile("w", dir=NOTEBOOKS, suffix=".part", delete=False) as beside:
        nbformat.write(executed, beside)
    Path(beside.name).chmod(0o644)
    Path(beside.name).replace(target)
    return check_written(source)


def execute(notebook, parameters):
    """The notebook, executed by papermill from the repository's root; raises at the first failing cell."""
    import nbformat
    import papermill

    os.environ.setdefault("TQDM_DISABLE", "1")
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "in.ipynb", Path(folder) / "out.ipynb"
        nbformat.write(notebook, before)
        papermill.execute_notebook(
            before, after, parameters=parameters, cwd=ROOT, progress_bar=False, kernel_name="python3"
        )
        return nbformat.read(after, as_version=4)


def _clean(notebook, source: Path) -> None:
    """Keep tags, ids, outputs and the kernel; drop timings and paths; stamp the source's hash."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "workbench": {"source": source.name, "source_sha256": _sha256(source)}}
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check(source: Path) -> list[str]:
    """Style, agreement with the written notebook, and a run with the small parameters of notebooks/smoke.yaml."""
    import jupytext

    findings = style_findings(source) + check_written(source)
    smoke = yaml.safe_load((NOTEBOOKS / "smoke.yaml").read_text()).get(source.stem)
    if smoke is None:
        return [*findings, f"{source.name}: no small parameters in notebooks/smoke.yaml"]
    try:
        execute(jupytext.read(source), smoke)
    except Exception as error:
        findings.append(f"{source.name}: fails with small parameters: {error}")
    return findings


def check_written(source: Path) -> list[str]:
    """Findings in the notebook beside the source: missing, stale, failed, not run in order, too large."""
    import nbformat

    target = source.with_suffix(".ipynb")
    if not target.exists():
        return [f"{target.name} is missing: make notebooks"]
    notebook = nbformat.read(target, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    findings = []
    if notebook.metadata.get("workbench", {}).get("source_sha256") != _sha256(source):
        findings.append(f"{target.name} shows an older {source.name}: make notebooks")
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        findings.append(f"{target.name}: cells were not run once each, in order")
    if any(output.output_type == "error" for cell in code for output in cell.outputs):
        findings.append(f"{target.name}: a cell failed")
    if target.stat().st_size > LARGEST_BYTES:
        findings.append(f"{target.name} has {target.stat().st_size} bytes, at most {LARGEST_BYTES} are wanted")
    return findings


def style_findings(source: Path) -> list[str]:
    """Findings in the source: logic in cells, not exactly one H1, no parameters cell, no check of the claim."""
    text = source.read_text(encoding="utf-8")
    logic = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    ]
    titles = sum(line.startswith("# # ") for line in text.splitlines())
    findings = [
        f"{source.name}, line {node.lineno}: logic belongs in the package, found {node.name!r}" for node in logic
    ]
    if titles != 1:
        findings.append(f"{source.name}: exactly one first-level heading is wanted, found {titles}")
    if 'tags=["parameters"]' not in text:
        findings.append(f"{source.name}: no parameters cell")
    if "\nassert " not in text:
        findings.append(f"{source.name}: no cell asserts the claim")
    return findings


if __name__ == "__main__":
    sys.exit(main())
