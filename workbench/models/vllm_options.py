"""From a card to the command line of `vllm serve`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from workbench.core import ConfigError
from workbench.core.price import Strict
from workbench.core.validation import parse
from workbench.models.card import ModelCard
from workbench.models.family import checkpoint_source, context_window
from workbench.models.vllm_environment import VLLMEnvironment

LOOPBACK = "127.0.0.1"
DEFAULT_KV_CACHE_GIB = 1.0
OWN_FLAGS = {
    "--host": "options.host",
    "--port": "options.port",
    "--api-key": "api_key: env:NAME (a secret on the command line can be read by every user of the machine)",
    "--served-model-name": "the model's name in the configuration",
    "--model": "the card's model",
    "--dtype": "the card's dtype",
    "--max-model-len": "options.max_model_len",
    "--kv-cache-memory-bytes": "options.kv_cache_gib",
    "--gpu-memory-utilization": "options.gpu_memory_utilization",
    "--enforce-eager": "options.enforce_eager",
}
CARRIED_OVER = ("revision", "chat_template", "chat_template_kwargs")


class VLLMOptions(Strict):
    """Options of the kind `vllm`. Those of the server hold where it is started here, not where `base_url` names one that runs."""

    environment: Annotated[
        str | None, Field(description="folder of vLLM's environment; null: WORKBENCH_VLLM, .venv-vllm, PATH")
    ] = None
    host: Annotated[str, Field(description="address to listen on; others than loopback are open to the network")] = (
        LOOPBACK
    )
    port: Annotated[int | None, Field(ge=1, le=65535, description="null: a free one")] = None
    kv_cache_gib: Annotated[
        float | None,
        Field(gt=0, description="memory of the KV cache; null: 1 GiB on a processor, what utilisation leaves on a GPU"),
    ] = None
    gpu_memory_utilization: Annotated[
        float | None,
        Field(gt=0, le=1, description="share of the device's memory that vLLM may take; null: its own default"),
    ] = None
    max_model_len: Annotated[
        int | None, Field(gt=0, description="prompt and answer together; null: the card's context_window")
    ] = None
    enforce_eager: Annotated[
        bool | None, Field(description="no compilation and no CUDA graphs; null: so on a processor (starts sooner)")
    ] = None
    revision: Annotated[str | None, Field(description="branch, tag or commit of a hub checkpoint")] = None
    chat_template: Annotated[str | None, Field(description="Jinja template for a checkpoint that has none")] = None
    chat_template_kwargs: Annotated[dict[str, Any], Field(description="variables of the chat template")] = {}
    extra_args: Annotated[tuple[str, ...], Field(description="further arguments of `vllm serve`")] = ()
    ready_timeout_s: Annotated[float, Field(gt=0, description="longest wait until the server answers")] = 600.0
    log: Annotated[
        Path | None, Field(description="file for the server's output; null: one in the temporary folder")
    ] = None
    stream: Annotated[bool, Field(description="stream inside complete() too, so that the first token is timed")] = True
    extra_body: Annotated[dict[str, Any], Field(description="further fields of every request")] = {}


def vllm_options(name: str, card: ModelCard) -> VLLMOptions:
    """The checked options of a card; of a `transformers` card those that mean the same to vLLM.

    Raises:
        ConfigError: the card names no checkpoint that vLLM could serve, or an option is wrong.
    """
    options = dict(card.options)
    if card.kind == "transformers":
        options = {key: value for key, value in options.items() if key in CARRIED_OVER}
    elif card.kind != "vllm":
        raise ConfigError(
            f"model {name!r} is of the kind {card.kind!r}, which is not a checkpoint that vLLM could serve here; "
            "name a model of the kind vllm or transformers (reference:NAME, a folder or a hub id)"
        )
    checked = parse(VLLMOptions, options, f"options of model {name!r}")
    _check_extra(name, checked.extra_args)
    return checked


def _check_extra(name: str, extra: tuple[str, ...]) -> None:
    for argument in extra:
        flag = argument.partition("=")[0].replace("_", "-")
        if flag in OWN_FLAGS:
            raise ConfigError(
                f"options of model {name!r}: extra_args may not hold {flag}; give it as {OWN_FLAGS[flag]}"
            )


def serve_command(
    environment: VLLMEnvironment, name: str, card: ModelCard, options: VLLMOptions, port: int
) -> list[str]:
    """The program and its arguments. Sampling is what a request says, as in transformers: generation_config.json's defaults stay out."""
    source = checkpoint_source(card.model)
    return [
        str(environment.executable),
        "serve",
        source,
        *("--host", options.host, "--port", str(port)),
        *("--served-model-name", name, "--dtype", card.dtype),
        *("--generation-config", "vllm"),
        "--enable-prompt-tokens-details",  # cached tokens are reported
        *_memory(environment, options),
        *_window(source, card, options),
        *(("--enforce-eager",) if _is_eager(environment, options) else ()),
        *(("--revision", options.revision) if options.revision else ()),
        *(("--chat-template", options.chat_template) if options.chat_template else ()),
        *_template_variables(options),
        *options.extra_args,
    ]


def serve_environ(card: ModelCard, environment: VLLMEnvironment, key: str | None) -> dict[str, str]:
    """The environment of the server: this one's, without what would lead its Python astray, quiet, with the key if there is one."""
    left_out = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VLLM_CPU_KVCACHE_SPACE", "VLLM_API_KEY", "OMP_NUM_THREADS"}
    environ = {name: value for name, value in os.environ.items() if name not in left_out}
    environ |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
    environ["PATH"] = f"{environment.executable.parent}{os.pathsep}{environ.get('PATH', '')}"
    if Path(checkpoint_source(card.model)).is_dir():
        environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    kind, _, number = card.device.partition(":")
    if kind == "cuda" and number:
        environ["CUDA_VISIBLE_DEVICES"] = number
    if key:
        environ["VLLM_API_KEY"] = key
    return environ


def _memory(environment: VLLMEnvironment, options: VLLMOptions) -> list[str]:
    """The KV cache as bytes: the CPU build otherwise asks for 92 % of all memory and refuses to start where others use some."""
    kv_cache_gib = options.kv_cache_gib
    if kv_cache_gib is None and environment.is_cpu and options.gpu_memory_utilization is None:
        kv_cache_gib = DEFAULT_KV_CACHE_GIB
    arguments = [] if kv_cache_gib is None else ["--kv-cache-memory-bytes", str(int(kv_cache_gib * 2**30))]
    if options.gpu_memory_utilization is not None:
        arguments += ["--gpu-memory-utilization", f"{options.gpu_memory_utilization:g}"]
    return arguments


def _window(source: str, card: ModelCard, options: VLLMOptions) -> list[str]:
    """An option is taken at its word; the card's window is cut to what the checkpoint can, as transformers does."""
    known = [card.context_window, context_window(Path(source)) if Path(source).is_dir() else None]
    window = options.max_model_len or (card.context_window and min(each for each in known if each))
    return ["--max-model-len", str(window)] if window else []


def _is_eager(environment: VLLMEnvironment, options: VLLMOptions) -> bool:
    return environment.is_cpu if options.enforce_eager is None else options.enforce_eager


def _template_variables(options: VLLMOptions) -> list[str]:
    variables = options.chat_template_kwargs
    return ["--default-chat-template-kwargs", json.dumps(variables)] if variables else []
