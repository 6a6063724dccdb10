"""`workbench release create | show`: a tuned configuration with its evidence, as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.output import counter, print_json, print_table, stderr
from workbench.core.files import check_folder

if TYPE_CHECKING:
    from workbench.release import Candidate, Evidence, Release

GIVE = {
    "score": "create it with --suite FILE (right answers and graders), or with --grader NAME where the Outcomes hold the answers",
    "cost_usd_per_1k": "create it with --lab FILE, where these models have a price",
}


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(help="A tuned configuration with its evidence: create, show.", no_args_is_help=True)
    verbs.command("create")(create)
    verbs.command("show")(show)
    app.add_typer(verbs, name="release")


def create(
    sweep_run: Annotated[str, typer.Argument(help="MLflow run id of a sweep, as `workbench sweep` prints it.")],
    out: Annotated[Path, typer.Option(help="Folder to be made.")],
    name: Annotated[
        str | None,
        typer.Option(help="What the stack and the registered model are called; the folder's name.", show_default=False),
    ] = None,
    lab: Annotated[
        Path | None, typer.Option(help="Cards of the models; default: those of the recording.", show_default=False)
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="Suite with right answers and graders, for Outcomes that have none.", show_default=False),
    ] = None,
    grader: Annotated[
        str | None,
        typer.Option(
            help="Grader for prompts that name none, e.g. exact or numeric:tolerance=0.01.", show_default=False
        ),
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

    check_folder(out.resolve().parent, "--out")
    name = name or out.resolve().name
    tracking = init()
    with stderr.status("reading the sweep"):
        folder = sweep_folder(sweep_run, tracking)
        candidate = _gradable(Candidate.load(folder, load_lab(lab).models if lab else None), suite, grader)
    with counter("latency pilot") as progress:
        release = create_release(candidate, out, name=name, run_id=sweep_run, replace=replace, progress=progress)
    version = register_release(out, name, sweep_run, tracking) if register_it else None
    document = {**_document(release), "version": version}
    if as_json:
        for note in document["notes"]:
            stderr.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
        print_json(document)
        return
    _print(document)
    if version is not None:
        print(f"Registered as {name}, version {version}, alias champion.")
    print(f"Next: workbench verify {out}")


def _gradable(candidate: Candidate, suite: str | None, grader: str | None) -> Candidate:
    from workbench.evaluation import Suite
    from workbench.release.checkable import with_grader, with_suite

    if suite is not None:
        return with_suite(candidate, Suite.load(suite, grader=grader))
    return candidate if grader is None else with_grader(candidate, grader)


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
        {
            "name": c.name,
            "estimate": c.estimate,
            "ci": list(c.ci),
            "n": c.n,
            "unit": c.unit,
            "method": c.method,
            "unchecked_because": c.unchecked_because,
        }
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
        "notes": _notes(evidence),
        "n_report": release.report.height,
        "provenance": evidence.provenance,
    }


def _notes(evidence: Evidence) -> list[str]:
    """A line for each claim that `verify` will not be able to check, with what would change that."""
    return [
        f"{claim.name} cannot be checked live: {claim.unchecked_because}; {GIVE[claim.name]}"
        for claim in evidence.claims
        if claim.unchecked_because is not None
    ]


def _print(document: dict[str, Any]) -> None:
    rows = [
        [c["name"], c["estimate"], f"{c['ci'][0]:.4g} to {c['ci'][1]:.4g}", c["n"], c["unit"]]
        for c in document["claims"]
    ]
    title = f"Release {document['name']} in {document['folder']}: policy {document['policy']}"
    print_table(title, ["claim", "predicted", "95 %", "n", "unit"], rows)
    for claim in document["claims"]:
        print(f"{claim['name']}: {claim['method']}.")
    for note in document["notes"]:
        print(f"Note: {note}.")
    made = document["provenance"]
    print(
        f"Made {made['date']} by version {made['version']} (commit {made['commit'] or 'unknown'}) from run {made['run_id']}."
    )
