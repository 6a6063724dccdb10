"""`workbench verify`: does the live server keep what the release promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import counter, print_json, print_table

if TYPE_CHECKING:
    from workbench.release import Verification

EXIT_FAILS = 3
ERRORS_SHOWN = 3
INSIDE = {True: "yes", False: "NO", None: "unknown"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify")(verify)


def verify(
    release: Annotated[str, typer.Argument(help="Folder of a release, or models:/NAME@champion.")],
    url: Annotated[
        str | None, typer.Option(help="A running server; default: one is started and stopped.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Most prompts; default: the whole report split.", show_default=False)
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Requests at a time; latency is claimed for 1.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Send the untouched split through the live server and compare with the release's evidence.

    Exit code 3 when the live choices, score, cost or latency are not as predicted. The verdict is "incomplete" (exit code 0) when all that
    could be checked is, and the release said that some claim cannot be checked live.

    Example: workbench verify releases/quickstart
    """
    from workbench.cli.release import load_release
    from workbench.release import VerifyConfig
    from workbench.release import verify as run_verify

    loaded = load_release(release)
    config = VerifyConfig(limit=limit, concurrency=concurrency)
    with counter("live requests") as progress:
        verification = run_verify(loaded, url=url, config=config, progress=progress)
    if as_json:
        print_json(verification.to_json())
    else:
        _print(verification, loaded.config.name)
    if verification.verdict == "fails":
        raise typer.Exit(EXIT_FAILS)


def _print(verification: Verification, name: str) -> None:
    document = verification.to_json()
    rows = [
        [c.name, c.predicted, f"{c.ci[0]:.4g} to {c.ci[1]:.4g}", c.live, INSIDE[c.inside]] for c in verification.checks
    ]
    print_table(
        f"Release {name}, {document['n']} live requests", ["claim", "predicted", "promised", "live", "inside"], rows
    )
    for check in verification.checks:
        if check.because:
            print(f"{check.name}: {check.because}.")
    for failed in verification.errors[:ERRORS_SHOWN]:
        print(f"error at {failed.prompt_id}: {failed.error}")
    print(
        f"{document['n_errors']} errors, {document['n_fallbacks']} answers by a fallback, "
        f"{document['n_scores_changed']} answers graded otherwise than recorded."
    )
    print(_answer(verification))


def _answer(verification: Verification) -> str:
    if verification.verdict == "fails":
        return "FAILS: live traffic is not as promised."
    if verification.verdict == "holds":
        return "HOLDS: live traffic is as promised."
    made = " and ".join(check.name for check in verification.checks if check.inside)
    names = " and ".join(check.name for check in verification.unchecked)
    return f"INCOMPLETE: {made} as promised; {names} not checked. Create the release again with what is missing to check all."
