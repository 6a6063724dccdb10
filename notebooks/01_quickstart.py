# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which of five models should answer which request, and does production behave as predicted?
#
# Five small models, trained from scratch by this project, differ in size and in what they are good at. Asking the best of them
# everything is the obvious policy. This notebook measures whether choosing per request beats it, by how much and with what
# certainty, puts the winner behind a server, and checks there that the promise holds. The answer stands in the table at the end;
# every number in it is measured on this machine while you watch.

# %% [markdown]
# **You need** two CPU cores and about three minutes. No GPU, no key, no network. The same calls take your own models (`lab.yaml`)
# and your own prompts (a file with `prompt`, `answer`, `task`).

# %% tags=["parameters"]
n_per_task: int = 40  # prompts of each kind of task, before the split
seed: int = 0  # of the prompts, the split and the resampling
answer_tokens: int = 48  # most tokens of an answer
folder: str = "runs/notebook_01"  # where the run is written

# %%
from pathlib import Path

import polars as pl
from IPython.display import display
from matplotlib_inline.backend_inline import set_matplotlib_formats

from workbench.core import Sampling
from workbench.evaluation import Suite, record, summarise
from workbench.models import load_lab, load_model
from workbench.release import Candidate, create_release, verify
from workbench.tracking import init, log_sweep, provenance, register_release, sweep_folder
from workbench.tuning import sweep
from workbench.tuning.figures import frontier_figure, task_figure

set_matplotlib_formats("png")
out = Path(folder)

# %% [markdown]
# ## Record: what every model really does
#
# Generations are expensive, decisions are arithmetic: each answer is measured once (score, tokens, seconds, operations, cost) and
# every policy is then evaluated offline over those rows. The suite is generated; no test instance, in any wording, was trained on.

# %%
suite = Suite.reference("both", n_per_task=n_per_task, seed=seed)
suite.table().select("task", "prompt", "answer").group_by("task", maintain_order=True).first().head(8)

# %%
lab = load_lab()
models = {name: load_model(name, card) for name, card in lab.models.items()}
outcomes = record(suite, models, out / "outcomes", sampling=Sampling(max_tokens=answer_tokens), seed=seed, fresh=True)

# %% [markdown]
# Cost is compute, priced by a hardware profile (`data/hardware.yaml`): at this size seconds mostly measure Python. Both are recorded.

# %%
pl.DataFrame([summary.to_dict() for summary in summarise(outcomes)]).select(
    "model", "n", "score", "score_ci", "cost_usd_per_1k"
)

# %% [markdown]
# ## Tune: every threshold, exactly
#
# A predictor estimates the score $q_{ij}$ and the cost $c_{ij}$ of model $j$ on request $i$; the policy takes
# $\arg\max_j\, q_{ij} - \lambda\, c_{ij}$. A request changes its model only at finitely many $\lambda$, the slopes of the upper hull of its
# points $(c_{ij}, q_{ij})$, so realised score and cost at *every* $\lambda$ come from one sort and one running sum: no grid. Predictors are fitted on one
# split, predictor and $\lambda$ are chosen on a second, and what is reported comes from a third that nothing touched.

# %%
result = sweep(outcomes, seed=seed)
result.document["verdict"], result.document["because"]

# %%
display(frontier_figure(result))

# %% [markdown]
# Points below or right of the curve are models used for everything. If the chosen point were not clear of them, the verdict would be
# *do not route*, and that would be the release.

# %%
display(task_figure(result))

# %% [markdown]
# The trivial baselines stand beside the policies. A router that does not beat the random mix of the same cost, or the length of the
# prompt, is not worth its code. The plain oracle is flattered by lucky answers; the cross-fitted one, where it can be computed, is not.

# %%
baselines = pl.DataFrame([{"baseline": name, **line} for name, line in result.document["baselines"].items()])
baselines.select("baseline", "score", "score_ci", "cost_usd_per_1k")

# %%
pl.DataFrame(
    [{"policy": name, "aiq": line["aiq"], **line["picked"]} for name, line in result.document["policies"].items()]
).select("policy", "aiq", "score", "score_ci", "cost_usd_per_1k")

# %%
run_id = log_sweep(result, outcomes_path=out / "outcomes", experiment="quickstart")

# %% [markdown]
# ## Release: the configuration and what it promises
#
# Recording answers in batches says little about live latency, so the stack itself is asked, one request after another, on prompts
# outside the report split; the spread between blocks of time makes the interval.

# %%
release = create_release(
    Candidate.load(sweep_folder(run_id, init())), out / "release", name="quickstart", run_id=run_id, replace=True
)
pl.DataFrame(
    [
        {"claim": c.name, "predicted": c.estimate, "low": c.ci[0], "high": c.ci[1], "unit": c.unit}
        for c in release.evidence.claims
    ]
)

# %%
version = register_release(release.folder, "quickstart", run_id, init())

# %% [markdown]
# ## Serve and verify: does production hold it?
#
# A server is started from the release, the untouched split goes through it over HTTP, and every live decision is compared with the
# sweep's: it is the same policy object, so they must agree on all requests, not on most.

# %%
verification = verify(release)
pl.DataFrame([check.to_json() for check in verification.checks]).select("name", "predicted", "ci", "live", "inside")

# %% [markdown]
# ## The claim, asserted

# %%
assert verification.parity == 1.0, "a live decision differed from the sweep's"
assert verification.verdict == "holds", [check.because for check in verification.checks]

# %% [markdown]
# ## Where it fails
#
# These are synthetic-task models: their scores say nothing about real language models. What carries over is the machinery and the
# shape of the trade-off: specialists make routing pay, and without them it mostly would not. Kinds of task that no model can do stay
# unsolved by any router. The price of compute is a profile's, not your invoice. Latency is claimed for one request at a time.

# %% [markdown]
# ## Provenance

# %%
provenance(data_hash=outcomes.data_hash, seed=seed, run_id=run_id)
