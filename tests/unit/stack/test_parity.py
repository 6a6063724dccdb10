"""What a sweep would decide for a batch is what the stack decides for each live request."""

import numpy as np

from workbench.core import Request
from workbench.routing import CostAware, Policy, Queries, make_predictor

N = 40
WORDS = ("sort", "add", "translate", "list", "count")


async def test_live_decisions_are_those_of_the_batch(lab):
    rng = np.random.default_rng(7)
    prompts = [" ".join(rng.choice(WORDS, size=rng.integers(1, 60))) for _ in range(N)]
    tasks = [str(rng.choice(["add", "sort"])) for _ in range(N)]
    scores = rng.random((N, 2)) + np.array([[float(task == "sort"), float(task == "add")] for task in tasks])
    costs = np.tile([0.001, 0.002], (N, 1))
    queries = Queries.of(prompts, tasks)
    predictor = make_predictor("task-mean").fit(queries, scores, costs, np.ones((N, 2)))
    policy = Policy(("base", "tiny"), predictor, CostAware(exchange=1.0))
    policy.save(lab.folder / "policy")

    compose = {"default": {"system": "Be short.", "template": "Question: {prompt} Answer:"}}
    stack = lab.stack(choose={"policy": {"kind": "learned", "artifact": "policy"}}, compose=compose)
    live = [(await stack.run(Request.from_prompt(p, task=t))).decision for p, t in zip(prompts, tasks, strict=True)]

    assert live == policy.decide(queries)
    assert {decision.model for decision in live} == {"base", "tiny"}
