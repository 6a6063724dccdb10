"""`workbench models memory`: what a model will need before it is loaded, and, on request, what it needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from workbench.cli.output import print_json, print_table, stderr

if TYPE_CHECKING:
    from workbench.models import ModelCard
    from workbench.models.memory import MemoryPlan
    from workbench.models.memory_parts import Engine
    from workbench.models.memory_trial import MemoryTrial

GIB = 2**30


def memory(
    model: Annotated[
        str,
        typer.Argument(metavar="NAME_OR_FOLDER", help="Model of the lab, checkpoint folder, or path of a config.json."),
    ],
    lab: Annotated[
        Path | None, typer.Option(help="Lab file; without it lab.yaml here, without that the reference family.")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(help="Tokens of a sequence, prompt and answer together; default: all the model allows."),
    ] = None,
    sequences: Annotated[
        int | None, typer.Option(help="Sequences at the same time; default: the card's batch.")
    ] = None,
    answer: Annotated[int, typer.Option(help="Those tokens of a sequence that are generated; 0: the worst case.")] = 0,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; default: the card's.")] = None,
    kv_dtype: Annotated[str | None, typer.Option(help="Type of the key-value cache, fp8 too; default: dtype.")] = None,
    engine: Annotated[str, typer.Option(help="transformers (in this process) or vllm (a server).")] = "transformers",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: the card's.")] = None,
    tensor_parallel: Annotated[int, typer.Option(help="Devices that share the model (vllm).")] = 1,
    device_gib: Annotated[
        float | None, typer.Option(min=0.0, help="Memory of one device: also says what is left for the cache (vllm).")
    ] = None,
    utilisation: Annotated[float, typer.Option(help="Share of the device that a server may take.")] = 0.9,
    measure: Annotated[
        bool, typer.Option("--measure", help="Also answer such a batch in a process of its own, and compare.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Weights, key-value cache and activations of a model, each with its formula. Exits 3 when it does not fit --device-gib.

    Example: workbench models memory base --context 512 --sequences 32
    """
    from workbench.models.memory import predict_memory

    where, card = _find(model, lab)
    plan = predict_memory(
        where,
        dtype=dtype or (card.dtype if card else "float32"),
        max_model_len=card.context_window if context is None and card else context,
        n_sequences=(card.batch_size if card else 1) if sequences is None else sequences,
        answer_tokens=answer,
        kv_dtype=kv_dtype,
        device=device or (card.device.partition(":")[0] if card else "cpu"),
        tensor_parallel=tensor_parallel,
        engine=cast("Engine", engine),
    )
    pool_gib = None if device_gib is None else plan.kv_pool_gib(device_gib, utilisation)
    document = {"model": model, **plan.to_dict(), "pool": _pool(plan, device_gib, utilisation, pool_gib)}
    trial = _measured(model, where, card, plan) if measure else None
    document["measured"] = None if trial is None else _compared(plan, trial)
    print_json(document) if json else _show(model, document)
    if pool_gib is not None and pool_gib < plan.part("kv_cache") / GIB:
        raise typer.Exit(3)


def _find(model: str, lab: Path | None) -> tuple[Path, ModelCard | None]:
    """The checkpoint of a name or path, and the card where there is one."""
    from workbench.core import ConfigError
    from workbench.models import load_lab

    given = Path(model).expanduser()
    if given.exists():
        return given, None
    if "/" in model or given.suffix == ".json":
        raise ConfigError(
            f"no checkpoint folder or config.json at {model}; save the model's config.json here and give its path"
        )
    card = load_lab(lab).card(model)
    return _checkpoint(model, card), card


def _checkpoint(name: str, card: ModelCard) -> Path:
    from workbench.core import ConfigError
    from workbench.models.family import PREFIX, reference_checkpoint

    if card.model.startswith(PREFIX):
        return reference_checkpoint(card.model.removeprefix(PREFIX))
    folder = Path(card.model).expanduser()
    if folder.is_dir():
        return folder
    raise ConfigError(
        f"the checkpoint of {name!r} ({card.model}) is not a folder here; give the path of its config.json instead of its name"
    )


def _pool(plan: MemoryPlan, device_gib: float | None, utilisation: float, pool_gib: float | None) -> Any:
    if device_gib is None or pool_gib is None:
        return None
    fits = pool_gib >= plan.part("kv_cache") / GIB
    tokens = plan.kv_capacity_tokens(max(pool_gib, 0.0))
    formula = "utilisation x device - weights - activations - framework"
    return {
        "device_gib": device_gib,
        "utilisation": utilisation,
        "pool_gib": pool_gib,
        "capacity_tokens": tokens,
        "fits": fits,
        "formula": formula,
    }


def _measured(name: str, where: Path, card: ModelCard | None, plan: MemoryPlan) -> MemoryTrial:
    """A batch of the plan's size in a process of its own; prompts of one word, repeated, as long as the plan's."""
    from workbench.core import ConfigError
    from workbench.models import ModelCard
    from workbench.models.memory_trial import prompts_of_length, try_memory

    it = plan.deployment
    if it.engine != "transformers":
        raise ConfigError("--measure runs the transformers engine; for a server watch its processes (MemoryWatch)")
    used = card or ModelCard(kind="transformers", model=str(where))
    used = used.model_copy(update={"dtype": it.dtype, "device": it.device, "model": str(where), "context_window": None})
    answer = it.answer_tokens or 1
    stderr.print(f"answering {it.n_sequences} prompts of about {it.max_model_len - answer} tokens with {name} …")
    return try_memory(used, prompts_of_length(where, it.max_model_len - answer, it.n_sequences), answer)


def _compared(plan: MemoryPlan, trial: MemoryTrial) -> dict[str, Any]:
    """The plan beside the measurement; the framework is this machine's own in both, so the ratios say something about the model."""
    from dataclasses import asdict

    model_bytes = plan.total_bytes - plan.part("framework")
    measured = trial.peak_bytes - trial.framework_bytes
    return {
        **asdict(trial),
        "predicted_bytes": model_bytes + trial.framework_bytes,
        "ratio": (model_bytes + trial.framework_bytes) / trial.peak_bytes,
        "ratio_above_framework": model_bytes / measured if measured > 0 else None,
    }


def _show(model: str, document: dict[str, Any]) -> None:
    rows = [[part["name"], part["gib"], part["origin"], part["formula"]] for part in document["parts"]]
    size = f"{document['n_sequences']} sequences of {document['max_model_len']} tokens"
    title = f"{model}: {size}, {document['engine']} on {document['device']}"
    print_table(title, ["part", "GiB", "origin", "formula"], [*rows, ["total", document["memory_gib"], "", ""]])
    for note in document["notes"]:
        stderr.print(f"note: {note}")
    pool, measured = document["pool"], document["measured"]
    if pool is not None:
        verdict = "fits" if pool["fits"] else "does not fit"
        typer.echo(
            f"{pool['pool_gib']:.2f} GiB of {pool['device_gib']:g} are left for the cache ({pool['formula']}): "
            f"{pool['capacity_tokens']:,} tokens; this {verdict}"
        )
    if measured is not None:
        typer.echo(
            f"measured: {measured['peak_bytes'] / GIB:.3f} GiB, {measured['framework_bytes'] / GIB:.3f} of them without the model; "
            f"predicted / measured {measured['ratio']:.3f}"
        )
