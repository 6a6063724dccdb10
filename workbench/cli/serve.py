"""`workbench serve`: a release as an OpenAI-compatible server."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.output import print_json, stderr


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("serve")(serve)


def serve(
    release: Annotated[str, typer.Argument(help="Folder of a release, or models:/NAME@champion.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 picks a free one.")] = 8000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document when ready: the URL.")] = False,
) -> None:
    """Answer OpenAI's chat protocol with the stack of a release, until Ctrl-C.

    Example: workbench serve releases/quickstart --port 8000
    """
    import sys

    from workbench.cli.release import load_release
    from workbench.gateway import Gateway, bind, url_of
    from workbench.gateway import serve as run_server
    from workbench.stack import Stack

    listener = bind(host, port)
    url = url_of(listener)
    loaded = load_release(release)
    with stderr.status("loading models"):
        stack = Stack.from_config(loaded.config, base_dir=loaded.folder)

    def ready() -> None:
        if as_json:
            print_json({"url": url, "name": loaded.config.name})
            sys.stdout.flush()
        stderr.print(
            f"{loaded.config.name} answers at {url}/v1 (health: {url}/healthz, metrics: {url}/metrics); Ctrl-C stops it"
        )

    run_server(Gateway(stack).app(), listener, ready=ready)
    stderr.print("stopped")
