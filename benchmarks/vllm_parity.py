"""Do transformers and vLLM give the same answers from the same checkpoint? The whole reference family, greedy, the same prompts.

Both sides answer through the package: the kind `transformers` in this process, the kind `vllm` through a managed server. For every answer:
is the text the same, are the token counts, how far are the log-probabilities apart. Where two answers differ, the first differing token is
looked at: the gap between the two candidates in transformers, beside the differences that the two engines' arithmetic makes anyway. A gap
within those is a tie that rounding decides. Beside it latency and throughput at one and at eight requests in flight.

`base` is also served in bfloat16, as a measure of what another number format costs.

Writes benchmarks/results/vllm_parity.json and docs/results/vllm_parity.md; `--only NAME` measures one model and keeps the others' rows.
"""

import argparse
import asyncio
import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from workbench.core import Completion, Request, Sampling, SystemClock
from workbench.core.environment import environment
from workbench.core.files import read_json, write_json, write_text
from workbench.evaluation import Suite
from workbench.evaluation.statistics import wilson_interval
from workbench.models import Model, ModelCard, load_model
from workbench.models.family import read_family
from workbench.models.generation import Watch, generate_rows

ROOT = Path(__file__).parent
RESULTS = ROOT / "results" / "vllm_parity.json"
PAGE = ROOT.parent / "docs" / "results" / "vllm_parity.md"
IN_FLIGHT = 8
NEAR = 0.1  # nats


def main() -> None:
    options = parse_options()
    suite = Suite.reference(n_per_task=options.per_task)
    requests = list(suite.requests(Sampling(max_tokens=options.max_tokens, logprobs=True)))
    settings = {"per_task": options.per_task, "max_tokens": options.max_tokens, "suite": suite.hash}
    for name, dtype in runs(options.only):
        row = asyncio.run(compared(name, dtype, requests))
        keep(settings, row)
        print(json.dumps({key: value for key, value in row.items() if key != "differences"}))
    write_text(PAGE, page(read_json(RESULTS)))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-task", type=int, default=20, help="prompts of each of the 24 kinds")
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--only", help="one model, e.g. base or base:bfloat16")
    return parser.parse_args()


def runs(only: str | None) -> list[tuple[str, str]]:
    names = [member.name for member in read_family().models]
    everything = [*((name, "float32") for name in names), ("base", "bfloat16")]
    if only is None:
        return everything
    name, _, dtype = only.partition(":")
    return [run for run in everything if run == (name, dtype or "float32")]


async def compared(name: str, dtype: str, requests: list[Request]) -> dict:
    """One model: transformers in float32 beside vLLM in `dtype`."""
    known = {"model": f"reference:{name}", "context_window": 512, "batch_size": IN_FLIGHT}
    hf = load_model(name, ModelCard(kind="transformers", options={"threads": 1}, **known))
    vllm = load_model(name, ModelCard(kind="vllm", dtype=dtype, **known))
    try:
        ours, theirs = await hf.complete_batch(requests), await vllm.complete_batch(requests)
        tokens = Tokens(hf, vllm, requests)
        differing = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a.text != b.text]
        by_token, gaps = tokens.differences_and_gaps()
        return {
            "model": name,
            "vllm_dtype": dtype,
            "n": len(requests),
            **agreement(ours, theirs),
            "leading_space": tokens.share_with_leading_space(),
            "answer_logprob": answer_logprobs(ours, theirs),
            "token_logprob": {"n": by_token.size, **quantiles(by_token)},
            "ties": ties(gaps, by_token, len(requests)),
            **explained(tokens, differing, by_token),
            "speed": {"transformers": await speed(hf, requests), "vllm": await speed(vllm, requests)},
            "server": {"version": vllm.server.report.version, "start_s": vllm.server.report.start_s},
        }
    finally:
        await hf.close()
        await vllm.close()


def agreement(ours: list[Completion], theirs: list[Completion]) -> dict:
    def share(is_same) -> dict:
        n_same = sum(is_same(a, b) for a, b in zip(ours, theirs, strict=True))
        return {"n": n_same, "share": n_same / len(ours), "ci": list(wilson_interval(n_same, len(ours)))}

    counts = ("prompt_tokens", "completion_tokens")
    return {
        "same_text": share(lambda a, b: a.text == b.text),
        "same_usage": share(lambda a, b: all(getattr(a.usage, c) == getattr(b.usage, c) for c in counts)),
        "same_usage_where_text_is": share(
            lambda a, b: a.text != b.text or all(getattr(a.usage, c) == getattr(b.usage, c) for c in counts)
        ),
        "same_finish_reason": share(lambda a, b: a.finish_reason == b.finish_reason),
    }


def answer_logprobs(ours: list[Completion], theirs: list[Completion]) -> dict:
    """Of whole answers with the same text."""
    gaps = [abs(a.logprob - b.logprob) for a, b in zip(ours, theirs, strict=True) if a.text == b.text]
    return {"n": len(gaps), **quantiles(np.array(gaps))}


def quantiles(values: np.ndarray) -> dict:
    return {"p50": float(np.quantile(values, 0.5)), "p99": float(np.quantile(values, 0.99)), "max": float(values.max())}


@dataclass
class Tokens:
    """The same prompts token by token: vLLM's greedy answers with their log-probabilities, and what transformers says of these tokens."""

    hf: Model
    vllm: Model
    requests: list[Request]

    def __post_init__(self) -> None:
        self.prompts = [prompt.token_ids for prompt in self.hf._prompts(self.requests)]
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            self.answers = list(pool.map(self._ask, self.requests))

    def _ask(self, request: Request) -> dict:
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        body = {"model": self.vllm.name, "messages": messages, "max_tokens": request.sampling.max_tokens}
        body |= {"temperature": 0, "logprobs": True, "top_logprobs": 2, "return_token_ids": True}
        url, headers = f"{self.vllm.server.url}/chat/completions", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as response:
            choice = json.load(response)["choices"][0]
        return {
            "token_ids": choice["token_ids"],
            "logprobs": [token["logprob"] for token in choice["logprobs"]["content"]],
            "text": choice["message"]["content"],
        }

    def share_with_leading_space(self) -> float:
        return float(np.mean([answer["text"][:1].isspace() for answer in self.answers]))

    @torch.inference_mode()
    def scores(self, prompt: list[int], answer: list[int]) -> torch.Tensor:
        """log p (n_answer, vocabulary) by transformers in float32 of every place of an answer."""
        logits = self.hf._opened.model(torch.tensor([prompt + answer])).logits[0].float()
        return torch.log_softmax(logits[len(prompt) - 1 : -1], dim=-1)

    def differences_and_gaps(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every token of vLLM's answers: |log p by vLLM - log p by transformers|, and how far transformers' best token is ahead."""
        found, gaps = [], []
        for prompt, answer in zip(self.prompts, self.answers, strict=True):
            ids, scores = torch.tensor(answer["token_ids"]), self.scores(prompt, answer["token_ids"])
            ours = scores.gather(1, ids[:, None])[:, 0].numpy()
            found.append(np.abs(ours - np.array(answer["logprobs"])))
            best = scores.topk(2, dim=-1).values
            gaps.append((best[:, 0] - best[:, 1]).numpy())
        return np.concatenate(found), np.concatenate(gaps)

    def first_difference(self, index: int) -> dict:
        """Where transformers' answer leaves vLLM's, and by how much transformers prefers its own token there."""
        prompt, theirs = self.prompts[index], self.answers[index]["token_ids"]
        watch = Watch(SystemClock())
        ours = generate_rows(self.hf._opened, [prompt], [self.requests[index].sampling], watch)[0].token_ids
        at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
        if at is None:
            return {"at": None, "gap": 0.0, "tokens": [], "because": "the same when asked alone: the batch decided"}
        scores = self.scores(prompt, ours[: at + 1])[at]
        gap = float(scores[ours[at]] - scores[theirs[at]])
        words = [self.hf._opened.tokenizer.decode([token]) for token in (ours[at], theirs[at])]
        return {"at": at, "gap": gap, "tokens": words}


def ties(gaps: np.ndarray, by_token: np.ndarray, n_answers: int) -> dict:
    """The closest tie, and at least how many answers rounding should turn: a gap turns if it is smaller than what moves it.

    tokens x share of gaps below 0.1 / 0.1 x twice the mean difference of a token between the engines. A lower estimate: undecided tokens,
    which are the ones that can turn, move more than the mean.
    """
    density = float(np.mean(gaps < NEAR)) / NEAR
    turned = gaps.size / n_answers * density * 2 * float(by_token.mean())
    return {"smallest_gap": float(gaps.min()), "density_at_0": density, "expected_turned_answers": turned * n_answers}


def explained(tokens: Tokens, differing: list[int], by_token: np.ndarray) -> dict:
    """How many of the differing answers part at a near tie: the gap is within twice the largest difference that arithmetic makes.

    Each engine may move each of the two candidates by up to that difference.
    """
    noise = 2 * float(by_token.max())
    found = [{"prompt": tokens.requests[index].prompt, **tokens.first_difference(index)} for index in differing]
    n_ties = sum(abs(each["gap"]) <= noise for each in found)
    return {
        "differing": len(found),
        "near_ties": n_ties,
        "near_tie_gap": noise,
        "explained": n_ties / len(found) if found else None,
        "differences": found[:20],
    }


async def speed(model: Model, requests: list[Request], n_alone: int = 60) -> dict:
    """Seconds of one request at a time, streamed; tokens a second with eight in flight (transformers: in batches of eight)."""
    every = max(1, len(requests) // n_alone)
    alone = [[delta async for delta in model.stream(request)][-1].completion for request in requests[::every]]
    start_s = time.perf_counter()
    together = await model.complete_batch(requests)
    took_s = time.perf_counter() - start_s
    return {
        "alone": {
            "n": len(alone),
            "latency_p50_s": float(np.median([answer.timing.latency_s for answer in alone])),
            "ttft_p50_s": float(np.median([answer.timing.ttft_s for answer in alone])),
            "tokens_per_s": sum(a.usage.completion_tokens for a in alone) / sum(a.timing.latency_s for a in alone),
        },
        "eight": {
            "n": len(together),
            "tokens_per_s": sum(answer.usage.completion_tokens for answer in together) / took_s,
            "answers_per_s": len(together) / took_s,
        },
    }


def keep(settings: dict, row: dict) -> None:
    """Into the results file at once, so that an interrupted run keeps what it has."""
    before = read_json(RESULTS) if RESULTS.exists() else {}
    rows = before.get("rows", []) if before.get("settings") == settings else []
    rows = [each for each in rows if (each["model"], each["vllm_dtype"]) != (row["model"], row["vllm_dtype"])]
    order = {run: at for at, run in enumerate(runs(None))}
    rows = sorted([*rows, {"date": environment()["date"], **row}], key=lambda r: order[r["model"], r["vllm_dtype"]])
    write_json(RESULTS, {**environment(), "settings": settings, "rows": rows})


def page(results: dict) -> str:
    """The table, made of the results file alone."""
    rows, hardware = results["rows"], results["hardware"]
    lines = [
        "# The same checkpoints in transformers and in vLLM",
        "",
        f"{rows[0]['n']} prompts of the reference suite (test split, {results['settings']['per_task']} of each kind), greedy, at most "
        f"{results['settings']['max_tokens']} tokens, transformers in float32 in this process against vLLM {rows[0]['server']['version']} "
        f"through its server, on {hardware['cpu']} ({hardware['cores']} cores, one thread each). Made {results['date']} by "
        "`python benchmarks/vllm_parity.py`.",
        "",
        "| model | vLLM in | same text | 95 % | same token counts | answer log p apart: p99, max | token log p apart: p99, max "
        "| closest tie met | a near tie is below | differ | of these near ties |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        same, answer, token = row["same_text"], row["answer_logprob"], row["token_logprob"]
        ties = "–" if row["explained"] is None else f"{row['near_ties']} of {row['differing']}"
        lines.append(
            f"| {row['model']} | {row['vllm_dtype']} | {same['n']} of {row['n']} ({same['share']:.1%}) "
            f"| {same['ci'][0]:.1%}–{same['ci'][1]:.1%} "
            f"| {row['same_usage']['share']:.1%} | {answer['p99']:.1e}, {answer['max']:.1e} | {token['p99']:.1e}, {token['max']:.1e} "
            f"| {row['ties']['smallest_gap']:.1e} | {row['near_tie_gap']:.1e} "
            f"| {row['differing']} | {ties} |"
        )
    lines += [
        "",
        "*Same text*: equal character by character after white space at the start is dropped, which both backends do (vLLM's server "
        f"keeps the space that {rows[0]['leading_space']:.0%} of the answers begin with). *Log p* in nats; of whole answers with the same "
        "text, and of every token of vLLM's answers as transformers scores it. *Near tie*: at the first differing token transformers "
        "prefers its own by no more than twice the largest difference of a token's log p between the two engines, so that rounding "
        "decides. *Closest tie met*: the least that the best token was ahead of the second, over all tokens. Where that is more than a "
        "near tie, no answer can differ, and none does.",
        "",
        "## Speed",
        "",
        "| model | vLLM in | latency p50 alone, ms | first token p50 alone, ms | tokens/s alone | tokens/s, eight in flight |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        a, b = row["speed"]["transformers"], row["speed"]["vllm"]
        lines.append(
            f"| {row['model']} | {row['vllm_dtype']} | {1000 * a['alone']['latency_p50_s']:.0f}, {1000 * b['alone']['latency_p50_s']:.0f} "
            f"| {1000 * a['alone']['ttft_p50_s']:.0f}, {1000 * b['alone']['ttft_p50_s']:.0f} "
            f"| {a['alone']['tokens_per_s']:.0f}, {b['alone']['tokens_per_s']:.0f} "
            f"| {a['eight']['tokens_per_s']:.0f}, {b['eight']['tokens_per_s']:.0f} |"
        )
    lines += [
        "",
        "Pairs are transformers, vLLM. Eight in flight: transformers answers in batches of eight and waits for the longest of each; "
        "vLLM takes requests as they come. At these sizes both measure Python more than arithmetic, and the machine was shared with other "
        "work: do not read one engine as faster than the other from this table.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
