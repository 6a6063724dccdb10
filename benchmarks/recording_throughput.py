"""Recording through the package beside the bare `generate` loop: the same batches on the same model in the same process.

Both sides take turns, and which goes first alternates, so that a busy minute of the machine meets both. The yardstick does what a
hand-written loop must: chat template, tokenizer, `generate`, decoding, all answers at hand at the end. The package's side is the
whole of `record`: the same and grading, pricing, a synced journal, hashes, parquet and the manifest.

Writes benchmarks/results/recording_throughput.json. Ratios are yardstick over package, so 1 is equal and less is slower.
"""

import argparse
import asyncio
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from workbench.core import Sampling
from workbench.core.environment import environment
from workbench.core.files import write_json
from workbench.evaluation import Outcomes, Suite, record
from workbench.evaluation.plan import Load, RecordConfig, planned_batches, request_of
from workbench.evaluation.statistics import clustered_mean
from workbench.evaluation.weights import weights_hash
from workbench.models import ModelCard, load_model

RESULTS = Path(__file__).parent / "results" / "recording_throughput.json"
TARGET = 0.95


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    card = ModelCard(kind="transformers", model=options.model, batch_size=options.batch_size)
    model = load_model("measured", card)
    suite = Suite.reference(n_per_task=options.per_task)
    config = RecordConfig(sampling=Sampling(max_tokens=options.max_tokens))
    batches = list(planned_batches(suite, config, Load("batch", card.batch_size)))
    prompts = [[request_of(cell, config, card).prompt for cell in batch] for batch in batches]
    loop = BareLoop(model._opened, options.max_tokens)  # the very weights that the package uses

    loop.answer(prompts[0])  # warm both sides up
    asyncio.run(model.complete_batch([request_of(cell, config, card) for cell in batches[0]]))
    pairs = []
    for turn in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            sides = {
                "bare": lambda: [loop.answer(batch) for batch in prompts],
                "package": lambda out=folder: record(suite, {"measured": model}, Path(out), sampling=config.sampling),
            }
            order = list(sides) if turn % 2 == 0 else list(sides)[::-1]
            pair = {side: timed(sides[side]) for side in order}
            again = timed(lambda out=folder: record(suite, {"measured": model}, Path(out), sampling=config.sampling))
            pairs.append({**pair, "resumed_when_done": again})
            check_same_answers(Outcomes.read(Path(folder)), batches, loop)
        print(f"turn {turn + 1}: " + ", ".join(f"{side} {took['wall_s']:.2f} s" for side, took in pair.items()))
    report(options, suite, pairs)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reference:base", help="as in a card: reference:NAME, folder or hub id")
    parser.add_argument("--per-task", type=int, default=20)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


class BareLoop:
    """The yardstick: a hand-written loop over batches."""

    def __init__(self, checkpoint, max_tokens: int) -> None:
        self.model, self.tokenizer = checkpoint.model, checkpoint.tokenizer
        self.tokenizer.padding_side = "left"
        self.settings = {"max_new_tokens": max_tokens, "do_sample": False, "pad_token_id": checkpoint.pad_id}
        self.settings["eos_token_id"] = list(checkpoint.end_ids)
        self.answers: dict[str, str] = {}

    @torch.inference_mode()
    def answer(self, prompts: list[str]) -> None:
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = [self.tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in chats]
        inputs = self.tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt").to(
            self.model.device
        )
        output = self.model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], **self.settings
        )
        said = self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        self.answers.update(zip(prompts, said, strict=True))


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Wall seconds, and processor seconds of all threads, which a busy machine disturbs less."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}


def check_same_answers(outcomes: Outcomes, batches: list, loop: BareLoop) -> None:
    """A race between different work says nothing."""
    recorded = dict(outcomes.frame.select("prompt_id", "answer").rows())
    cells = [cell for batch in batches for cell in batch]
    differing = [
        c.item.prompt_id for c in cells if recorded[c.item.prompt_id].strip() != loop.answers[c.item.prompt].strip()
    ]
    if differing:
        raise SystemExit(f"{len(differing)} of {len(cells)} answers differ from the bare loop's, e.g. {differing[0]}")


def ratio(pairs: list[dict], clock: str) -> dict:
    """Geometric mean of bare / package over turns with a t interval on the logarithms; beside it the quickest turn of each."""
    logs = [math.log(pair["bare"][clock] / pair["package"][clock]) for pair in pairs]
    found = clustered_mean(logs, range(len(logs)))
    best = min(pair["bare"][clock] for pair in pairs) / min(pair["package"][clock] for pair in pairs)
    return {"ratio": math.exp(found.value), "ci": [math.exp(e) for e in found.ci], "n": found.n, "best_turns": best}


def report(options: argparse.Namespace, suite: Suite, pairs: list[dict]) -> None:
    n = len(suite)
    best = {side: min(pair[side]["wall_s"] for pair in pairs) for side in pairs[0]}
    result = {
        **environment(),
        "settings": vars(options),
        "weights_hash": weights_hash(ModelCard(kind="transformers", model=options.model)),
        "n_prompts": n,
        "formula": "geometric mean over turns of seconds(bare) / seconds(package); t interval on the logarithms, 95 %; "
        "best_turns: the quickest of each",
        "target": TARGET,
        "throughput": {"wall": ratio(pairs, "wall_s"), "cpu": ratio(pairs, "cpu_s")},
        "answers_per_s_best_turn": {side: n / best[side] for side in ("bare", "package")},
        "resumed_when_done_s": best["resumed_when_done"],
        "turns": pairs,
    }
    write_json(RESULTS, result)
    print(json.dumps({"throughput": result["throughput"], "target": TARGET, "written": str(RESULTS)}, indent=2))


if __name__ == "__main__":
    main()
