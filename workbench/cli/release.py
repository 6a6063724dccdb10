"""`workbench release create | show`: a tuned configuration with its evidence, as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.output import counter, print_json, print_table, stderr

if TYPE_CHECKING:
    from workbench.release import Release


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(help="A tuned configuration with its evidence: create, show.", no_args_is_help=True)
    verbs.command("create")(create)
    verbs.command("show")(show)
    app.add_typer(verbs, name="release")


def create(
    sweep_run: Annotated[str, typer.Argument(help="MLflow run id of a sweep, as `workbench sweep` prints it.")],
    out: Annotated[Path, typer.Option(help="Folder to be made.")],
    name: Annotated[str, typer.Option(help="What the stack and the registered model are called.")] = "quickstart",
    lab: Annotated[
        Path | None, typer.Option(help="Cards of the models; default: those of the recording.", show_default=False)
    ] = None,
    register_it: Annotated[
        bool, typer.Option("--register/--no-register", help="Make it the champion in the MLflow registry.")
    ] = True,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a release that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure the chosen configuration's latency, write down what it claims, and seal it in a folder.

    Example: workbench release create 3f0c… --out releases/quickstart
    """
    from workbench.models import load_lab
    from workbench.release import Candidate, create_release
    from workbench.tracking import init, register_release, sweep_folder

    tracking = init()
    with stderr.status("reading the sweep"):
        folder = sweep_folder(sweep_run, tracking)
        candidate = Candidate.load(folder, load_lab(lab).models if lab else None)
    with counter("latency pilot") as progress:
        release = create_release(candidate, out, name=name, run_id=sweep_run, replace=replace, progress=progress)
    version = register_release(out, name, sweep_run, tracking) if register_it else None
    document = {**_document(release), "version": version}
    if as_json:
        print_json(document)
        return
    _print(document)
    if version is not None:
        print(f"Registered as {name}, version {version}, alias champion.")
    print(f"Next: workbench verify {out}")


def show(
    release: Annotated[str, typer.Argument(help="Folder of a release, or models:/NAME@champion.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """What a release claims, and that its files are as they were made.

    Example: workbench release show releases/quickstart
    """
    document = _document(load_release(release))
    if as_json:
        print_json(document)
    else:
        _print(document)


def load_release(named: str) -> Release:
    """The release in a folder, or the champion of a registered name (`models:/NAME@champion`)."""
    from workbench.release import Release

    prefix, suffix = "models:/", "@champion"
    if named.startswith(prefix):
        from workbench.tracking import champion

        return Release.load(champion(named.removeprefix(prefix).removesuffix(suffix)))
    return Release.load(Path(named))


def _document(release: Release) -> dict[str, Any]:
    evidence = release.evidence
    claims = [
        {"name": c.name, "estimate": c.estimate, "ci": list(c.ci), "n": c.n, "unit": c.unit, "method": c.method}
        for c in evidence.claims
    ]
    policy = release.config.choose.policy
    return {
        "folder": str(release.folder),
        "name": release.config.name,
        "config_sha256": release.config.sha256(),
        "models": sorted(release.config.models),
        "policy": policy.model if policy.kind == "fixed" else evidence.chosen.get("policy"),
        "verdict": evidence.verdict,
        "because": evidence.because,
        "claims": claims,
        "n_report": release.report.height,
        "provenance": evidence.provenance,
    }


def _print(document: dict[str, Any]) -> None:
    rows = [
        [c["name"], c["estimate"], f"{c['ci'][0]:.4g} to {c['ci'][1]:.4g}", c["n"], c["unit"]]
        for c in document["claims"]
    ]
    title = f"Release {document['name']} in {document['folder']}: policy {document['policy']}"
    print_table(title, ["claim", "predicted", "95 %", "n", "unit"], rows)
    for claim in document["claims"]:
        print(f"{claim['name']}: {claim['method']}.")
    made = document["provenance"]
    print(
        f"Made {made['date']} by version {made['version']} (commit {made['commit'] or 'unknown'}) from run {made['run_id']}."
    )
