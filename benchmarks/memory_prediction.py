"""Predicted memory beside measured memory: the reference family and larger models with random weights, each in a process of its own.

Three parts, each kept in benchmarks/results/memory_prediction.json when it is done, the table of all in docs/results/memory.md:

    family   the five shipped checkpoints, a batch of 32 prompts of the suite
    random   Llamas of 80 to 340 million parameters made on the fly, so that weights and cache and not the libraries decide;
             the constants of the heap were chosen on shapes a, b and c; shapes d and e and their batches are held out
    vllm     the shipped checkpoints in vLLM's server: tokens that fit its cache beside what it reports. Servers that another
             benchmark started will do: --log FILE, once for each, reads what they said instead of starting any

What is predicted uses the configuration alone; the interpreter and its libraries are measured in the same process before the model is
loaded, because they are not the model's. The ratio above that baseline is given too.
"""

import argparse
import math
import re
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from workbench.core.environment import environment
from workbench.core.files import read_json, write_json, write_text
from workbench.evaluation import Suite
from workbench.models import ModelCard
from workbench.models.family import family_folder, read_family
from workbench.models.memory import predict_memory
from workbench.models.memory_parts import HEAP_SHARES
from workbench.models.memory_trial import prompts_of_length, try_memory

ROOT = Path(__file__).parent
RESULTS = ROOT / "results" / "memory_prediction.json"
PAGE = ROOT.parent / "docs" / "results" / "memory.md"
TARGET = 0.10
GIB, MIB = 2**30, 2**20
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
SHAPES = {  # hidden, MLP, layers, heads, key-value heads, vocabulary, tied
    "a": (768, 2048, 12, 12, 12, 32000, True),
    "b": (1024, 2816, 16, 16, 4, 8000, True),
    "c": (512, 1376, 24, 8, 8, 16000, True),
    "d": (1024, 4096, 18, 16, 8, 32000, False),
    "e": (640, 1728, 20, 10, 2, 50000, True),
}
CALIBRATED_ON = ("a", "b", "c")
CALIBRATION_BATCHES = (
    (1, 512, 16),
    (8, 128, 32),
    (32, 64, 8),
    (32, 192, 16),
    (4, 704, 4),
    (16, 24, 64),
)  # rows, prompt, answer
HELD_OUT_BATCHES = ((2, 900, 8), (12, 200, 24), (24, 96, 40), (64, 48, 12))


def main() -> None:
    options = parse_options()
    parts = {"family": family_rows, "random": random_rows, "vllm": vllm_rows}
    if options.log:
        keep("vllm", (logged_row(Path(log)) for log in options.log))
    for name in [] if options.log else [options.part] if options.part else parts:
        keep(name, parts[name](options.only))
    write_text(PAGE, page(read_json(RESULTS)))
    print(f"written: {RESULTS}, {PAGE}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["family", "random", "vllm"], help="one part; the others stay as they were")
    parser.add_argument(
        "--log", action="append", help="log of a vLLM server of the reference family, for the part vllm"
    )
    parser.add_argument("--only", help="one model of the part, e.g. base or d; the other rows stay")
    return parser.parse_args()


def family_rows(only: str | None):
    items = list(Suite.reference(n_per_task=2))
    items.sort(key=lambda item: -len(item.prompt))
    prompts = [item.prompt for item in items[:32]]
    for member in read_family().models:
        if only in (None, member.name):
            card = ModelCard(kind="transformers", model=f"reference:{member.name}", options={"threads": 1})
            yield compared(member.name, family_folder() / member.folder, card, prompts, 32, "held out")


def random_rows(only: str | None):
    for name, shape in SHAPES.items():
        if only not in (None, name):
            continue
        fitted = name in CALIBRATED_ON
        batches, use = (CALIBRATION_BATCHES, "calibration") if fitted else (HELD_OUT_BATCHES, "held out")
        with tempfile.TemporaryDirectory() as scratch:
            folder = save_llama(Path(scratch), shape)
            card = ModelCard(kind="transformers", model=str(folder), options={"threads": 1})
            for rows, prompt_tokens, answer_tokens in batches:
                prompts = prompts_of_length(folder, prompt_tokens, rows)
                yield compared(name, folder, card, prompts, answer_tokens, use)


def compared(name, folder: Path, card: ModelCard, prompts: list[str], answer_tokens: int, use: str) -> dict:
    """One batch, predicted for its longest prompt and the answer it was allowed, and measured."""
    trial = try_memory(card, prompts, answer_tokens)
    plan = predict_memory(
        folder,
        max_model_len=trial.prompt_tokens + answer_tokens,
        answer_tokens=answer_tokens,
        n_sequences=len(prompts),
        framework_bytes=trial.framework_bytes,
    )
    parts = {part.name: part.n_bytes for part in plan.parts}
    above = plan.total_bytes - trial.framework_bytes
    row = {
        "model": name,
        "use": use,
        "n_parameters": plan.deployment.shape.n_parameters,
        "n_sequences": len(prompts),
        "prompt_tokens": trial.prompt_tokens,
        "answer_tokens_allowed": answer_tokens,
        "predicted": parts,
        "predicted_bytes": plan.total_bytes,
        "measured": asdict(trial),
        "measured_bytes": trial.peak_bytes,
        "ratio": plan.total_bytes / trial.peak_bytes,
        "ratio_above_framework": above / (trial.peak_bytes - trial.framework_bytes),
        "ratio_without_allocator": (plan.total_bytes - parts["allocator"]) / trial.peak_bytes,
    }
    print(
        f"{name} {len(prompts)} x {trial.prompt_tokens}: {row['ratio']:.3f}, above the framework {row['ratio_above_framework']:.3f}"
    )
    return row


def save_llama(folder: Path, shape: tuple) -> Path:
    """A Llama of that shape with random weights and the reference tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    names = (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
    )
    sizes = dict(zip((*names, "tie_word_embeddings"), shape, strict=True))
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(**sizes, max_position_embeddings=2048, eos_token_id=2, bos_token_id=1, pad_token_id=0)
    )
    model.save_pretrained(folder)
    for file in TOKENIZER:
        shutil.copy(family_folder() / "base" / file, folder / file)
    return folder


def vllm_rows(only: str | None):
    from workbench.models.memory_watch import MemoryWatch
    from workbench.models.vllm_server import VLLMServer

    for member in read_family().models:
        if only not in (None, member.name):
            continue
        card = ModelCard(
            kind="vllm", model=f"reference:{member.name}", context_window=512, options={"kv_cache_gib": 1.0}
        )
        with VLLMServer(member.name, card) as server:
            pids = server.pids()
            with MemoryWatch(pids, every_s=None) as watch:
                use, report = watch.result(), server.report
        held = {"server_rss_gib": use.rss_peak_gib, "server_pss_gib": use.pss_peak_gib, "processes": len(pids)}
        yield {**vllm_row(member.name, "float32", report), **held}


def logged_row(log: Path) -> dict:
    """What a server of a family member said when it started."""
    from workbench.models.vllm_log import read_report

    text = log.read_text(encoding="utf-8", errors="replace")
    report = read_report(text)
    folder, dtype = re.search(r"'model_tag': '([^']+)'", text), re.search(r"'dtype': '(\w+)'", text)
    if folder is None or dtype is None or report.kv_cache_tokens is None:
        raise SystemExit(f"{log} is not the log of a server that became ready")
    return vllm_row(Path(folder[1]).name, dtype[1], report)


def vllm_row(name: str, dtype: str, report) -> dict:
    plan = predict_memory(family_folder() / name, engine="vllm", max_model_len=512, dtype=dtype)
    predicted = plan.kv_capacity_tokens(report.kv_cache_gib)
    print(f"{name} {dtype}: {predicted:,} tokens predicted, {report.kv_cache_tokens:,} reported")
    return {
        "model": name,
        "dtype": dtype,
        "kv_cache_gib": report.kv_cache_gib,
        "predicted_tokens": predicted,
        "reported_tokens": report.kv_cache_tokens,
        "ratio": predicted / report.kv_cache_tokens,
        "predicted_weights_bytes": plan.part("weights"),
        "reported_weights_gib": report.weights_gib,
        "server_rss_gib": None,
        "server_pss_gib": None,
        "version": report.version,
    }


def keep(part: str, rows) -> None:
    """Each row goes to disk when it is measured, in place of the same model's and batch's earlier one."""
    for row in rows:
        document = read_json(RESULTS) if RESULTS.exists() else {}
        mine = [old for old in document.get(part, []) if key(old) != key(row)]
        document |= {**environment(), "target": TARGET, "heap_shares": list(HEAP_SHARES), part: [*mine, row]}
        write_json(RESULTS, document)


def key(row: dict) -> tuple:
    return row["model"], row.get("dtype"), row.get("n_sequences"), row.get("answer_tokens_allowed")


def page(document: dict) -> str:
    return "\n".join([*head(document), *transformers_tables(document), *vllm_table(document)]) + "\n"


def head(document: dict) -> list[str]:
    hardware, versions = document["hardware"], document["versions"]
    made = f"{hardware['cpu']}, {hardware['cores']} cores, torch {versions.get('torch')}, transformers {versions.get('transformers')}"
    cache, live = HEAP_SHARES
    return [
        "# Memory, predicted and measured",
        "",
        verdict(document),
        "",
        f"Made by `python benchmarks/memory_prediction.py` on {made}, {document['date']}. Every row is a process of its own; float32, "
        "one thread, processor only. **No GPU was at hand: the GPU side is computed and tested with stand-ins, never measured.** "
        "Predicted and measured are the highest resident set (`VmHWM`) while a batch is answered.",
        "",
        "- *framework*: interpreter and libraries after a toy model has answered; measured, the same in both columns.",
        "- *weights, cache, live*: computed from `config.json`; no constant is fitted.",
        f"- *heap*: what glibc's allocator keeps beyond what lives: {cache:g} x the prompts' cache + {live:g} x prefill activations. Two "
        "constants, chosen by hand on 18 batches of shapes a, b and c (the calibration rows of the table). Repetitions "
        "of one batch differ by 3 % of the total.",
        "- *read*: ratio without an untied embedding. A float32 file is mapped, not copied, and of it only the rows of the prompts' "
        "words are ever read (shape d: 125 MiB predicted, one row read). The plan keeps it: what is read is up to the prompts.",
        "- *batch*: sequences x prompt tokens + answer tokens allowed.",
        "- *ratio*: predicted over measured; *above*: without the framework on both sides; *no heap*: without the fitted part.",
        "",
    ]


def unread_bytes(row: dict) -> int:
    """An untied embedding of a model with random weights, of which the one-word prompts read a row or two."""
    hidden, *_, vocabulary, is_tied = SHAPES.get(row["model"], (0, 0, True))
    return 0 if is_tied else hidden * vocabulary * 4


def verdict(document: dict) -> str:
    family, held = document.get("family", []), [row for row in document.get("random", []) if row["use"] == "held out"]
    worst = max((abs(row["ratio"] - 1) for row in family), default=math.nan)
    inside, above = (sum(abs(row[name] - 1) <= TARGET for row in held) for name in ("ratio", "ratio_above_framework"))
    farthest = max((abs(row["ratio"] - 1) for row in held), default=math.nan)
    read = sum(abs((r["predicted_bytes"] - unread_bytes(r)) / r["measured_bytes"] - 1) <= TARGET for r in held)
    return (
        f"The reference family's peak is predicted within {worst:.1%} of the measured one (target {TARGET:.0%}); for models of this size "
        "nearly all of it is Python and torch, which are measured and not predicted. Models with random weights say more: of "
        f"{len(held)} held-out batches {inside} are within {TARGET:.0%} (farthest {farthest:.1%}; {read} when an embedding that was never "
        f"read is left out), {above} also without the libraries."
    )


def rows_of(document: dict) -> list[dict]:
    return [*document.get("family", []), *document.get("random", [])]


def transformers_tables(document: dict) -> list[str]:
    lines = []
    for part, title in (("family", "Reference family, transformers"), ("random", "Random weights, transformers")):
        lines += [f"## {title}", "", *table(document.get(part, [])), ""]
    return lines


def table(rows: list[dict]) -> list[str]:
    titles = [
        "model",
        "parameters",
        "use",
        "batch",
        "framework",
        "weights",
        "cache",
        "live",
        "heap",
        "predicted MiB",
        "measured MiB",
        "ratio",
        "read",
        "above",
        "no heap",
    ]
    lines = ["| " + " | ".join(titles) + " |", "|---" * 3 + "|---:" * (len(titles) - 3) + "|"]
    for row in sorted(
        rows,
        key=lambda r: (r["n_parameters"] if r["use"] == "held out" and r["model"] not in SHAPES else 0, r["model"]),
    ):
        parts = row["predicted"]
        batch = f"{row['n_sequences']} x {row['prompt_tokens']}+{row['answer_tokens_allowed']}"
        sizes = [mib(parts[name]) for name in ("framework", "weights", "kv_cache", "activations", "allocator")]
        totals = [mib(row["predicted_bytes"]), mib(row["measured_bytes"])]
        ratios = [f"{row[name]:.3f}" for name in ("ratio", "ratio_above_framework", "ratio_without_allocator")]
        ratios.insert(1, f"{(row['predicted_bytes'] - unread_bytes(row)) / row['measured_bytes']:.3f}")
        cells = [row["model"], f"{row['n_parameters'] / 1e6:.1f} M", row["use"], batch, *sizes, *totals, *ratios]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def vllm_table(document: dict) -> list[str]:
    lines = ["## vLLM's cache", ""]
    rows = sorted(document.get("vllm", []), key=lambda row: (row["predicted_weights_bytes"], row["model"]))
    if not rows:
        return [*lines, "Not measured yet."]
    titles = [
        "model",
        "type",
        "cache GiB",
        "tokens predicted",
        "tokens reported",
        "ratio",
        "weights MiB",
        "server PSS GiB",
    ]
    lines += ["| " + " | ".join(titles) + " |", "|---" * 2 + "|---:" * (len(titles) - 2) + "|"]
    for row in rows:
        held = "–" if row["server_pss_gib"] is None else f"{row['server_pss_gib']:.2f}"
        tokens = [f"{row['predicted_tokens']:,}", f"{row['reported_tokens']:,}", f"{row['ratio']:.4f}"]
        cells = [
            row["model"],
            row["dtype"],
            f"{row['kv_cache_gib']}",
            *tokens,
            mib(row["predicted_weights_bytes"]),
            held,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    told = "vLLM's CPU build does not report its weights: predictions only. Of its processes nothing but the cache is predicted."
    return [*lines, "", told]


def mib(n_bytes: float) -> str:
    return f"{n_bytes / MIB:,.1f}"


if __name__ == "__main__":
    main()
