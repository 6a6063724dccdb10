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
# # Among thousands of settings, which one may be released, and how much of its score is luck?
#
# Answers are recorded once; then a threshold, a cascade and a space with several parameters are swept over them. The best of many settings looks better than it is, so one part of the
# prompts proposes, a second chooses, and a third that nothing touched judges. The verdict table near the end is the answer: what pays, what does not, and how many prompts an
# open question would need.

# %% [markdown]
# **You need** two CPU cores and about four minutes. No GPU, no key, no network. `workbench sweep OUTCOMES`, `workbench cascade OUTCOMES` and `workbench sweep OUTCOMES --space FILE` do the
# same from a shell.

# %% tags=["parameters"]
n_per_task: int = 40  # prompts of each kind of task, before the split
answer_tokens: int = 48  # most tokens of an answer
space_file: str = "notebooks/spaces/two_weights.yaml"  # what may vary beside one threshold
n_trials: int = 1000  # configurations that the search may try
seeds: list = [0, 1, 2, 3, 4]  # other splits of the same prompts; the first one is released
n_bootstrap: int = 2000  # resamples behind each interval
experiment: str = "notebook_05"  # in MLflow
folder: str = "runs/notebook_05"  # where the run is written

# %%
from pathlib import Path

import polars as pl
from IPython.display import display
from matplotlib_inline.backend_inline import set_matplotlib_formats

from workbench.core import Sampling
from workbench.evaluation import Suite, record
from workbench.models import load_lab, load_model
from workbench.release import Candidate, create_release
from workbench.routing import load_policy
from workbench.tracking import init, log_sweep, provenance, sweep_folder
from workbench.tuning import OutcomeMatrix, cascade_sweep, sweep
from workbench.tuning.figures import frontier_figure
from workbench.tuning.routing_figures import cascades_figure
from workbench.tuning.selection_tables import (
    only_models,
    optimism_table,
    policies_table,
    runs_table,
    saved_agreement,
    seeds_table,
    verdict_table,
)
from workbench.tuning.space import load_space, space_sweep
from workbench.tuning.space.figures import front_figure

set_matplotlib_formats("png")
pl.Config.set_fmt_str_lengths(120)
pl.Config.set_tbl_cols(-1)
pl.Config.set_tbl_width_chars(400)
pl.Config.set_tbl_hide_column_data_types(True)
out, seed = Path(folder), seeds[0]

# %% [markdown]
# ## Record once
#
# One answer at a time, with log-probabilities: seconds add up in a cascade, and a space may weigh them.

# %%
suite = Suite.reference("both", n_per_task=n_per_task, seed=seed)
models = {name: load_model(name, card) for name, card in load_lab().models.items()}
outcomes = record(
    suite,
    models,
    out / "outcomes",
    sampling=Sampling(max_tokens=answer_tokens, logprobs=True),
    concurrency=1,
    seed=seed,
    fresh=True,
)

# %% [markdown]
# ## One threshold: exactly, all of it
#
# $$j(i) = \arg\max_j\; q_{ij} - \lambda\, c_{ij}$$
#
# A request changes its model at the slopes of the upper hull of its points $(c_{ij}, q_{ij})$ and nowhere else. All slopes of all requests, sorted once and summed once, are realised score and
# cost at *every* λ.

# %%
one = sweep(outcomes, seed=seed, n_bootstrap=n_bootstrap)
display(frontier_figure(one))

# %% [markdown]
# Who reads several intervals side by side reads the best of several: `ci_for_all` holds for all lines together (Bonferroni). The trivial predictors are lines too. Where the task label
# does as well as the default, the default has shown nothing that a table of labels would not do.

# %%
policies_table(one.document)

# %% [markdown]
# ## A cascade: exactly, too
#
# A request moves up only where the threshold passes the confidence of the answer it stopped at: again one sort and one sum.

# %%
cascade = cascade_sweep(outcomes, ["tiny", "base"], "logprob", seed=seed, n_bootstrap=n_bootstrap)
display(cascades_figure({"tiny → base, log-probability": cascade}))

# %% [markdown]
# ## Several parameters: searched, then judged
#
# Two weights, or a floor for each task, have no single order to walk along. Optuna proposes (seeded, several goals at once), each proposal is scored on held-out predictions of the tune split by
# the arithmetic of the objective, the front goes to the choose split, and the one chosen there is judged: a single look at the report split, which needs no correction for the many before it. The
# space is a file:

# %%
print(Path(space_file).read_text())

# %%
space = space_sweep(outcomes, load_space(Path(space_file)), n_trials=n_trials, seed=seed, n_bootstrap=n_bootstrap)
display(front_figure(space))

# %%
space.document["looked_at"]

# %% [markdown]
# Did the further parameters bring anything? Chosen configuration minus the plain sweep's, paired, on the report split. Unless one of these intervals lies on the good side of 0 and the other does
# not lie on the bad side, the plain sweep stays.

# %%
space.document["over_plain"]

# %% [markdown]
# ## What luck adds
#
# The chosen setting on each split. `optimism` is what the choose split promised beyond what the report split found; it is noisy in both directions, and its mean over many sweeps is what one pays
# for choosing.

# %%
documents = {"one threshold": one.document, "cascade": cascade.document, "space": space.document}
optimism_table(documents)

# %% [markdown]
# ## Another split
#
# The same answers, divided otherwise. Nothing is chosen by this table. A verdict that comes and goes with the seed is not one.

# %%
by_seed = seeds_table(OutcomeMatrix.from_outcomes(outcomes), seeds)
by_seed

# %% [markdown]
# ## When the answer is no
#
# The same family without its specialists: three sizes of one kind. And how many prompts, in all splits together, would settle it with 80 % probability if what was measured is true:

# %%
sizes = sweep(only_models(outcomes, ["tiny", "small", "base"]), seed=seed, n_bootstrap=n_bootstrap)
print(f"{sizes.document['verdict'].upper()}: {sizes.document['because']}.")
sizes.document["power"]

# %% [markdown]
# ## Verdicts
#
# Paired by prompt, paraphrase groups resampled together, against the best single model. *Yes* only where an interval shows it: better at no higher cost, or cheaper and not worse by more than 0.01.

# %%
verdicts = verdict_table({**documents, "one threshold, sizes only": sizes.document})
verdicts

# %% [markdown]
# ## Compare in MLflow
#
# Each sweep is one run with its frontier, tables, policy and provenance, in `mlruns/` of this checkout (`workbench lab` shows it).

# %%
runs = {
    name: log_sweep(result, outcomes_path=out / "outcomes", experiment=experiment)
    for name, result in {"one threshold": one, "space": space, "sizes only": sizes}.items()
}
runs_table(experiment, list(runs.values()))

# %% [markdown]
# ## Release the plain sweep, and check the object that was saved
#
# What is stored with the run is loaded again and decides the report split once more. The release pins it with its claims; notebook 01 serves one and verifies it live.

# %%
kept = sweep_folder(runs["one threshold"], init())
agreement = saved_agreement(kept / "policy", one.report)
release = create_release(
    Candidate.load(kept), out / "release", name="notebook_05", run_id=runs["one threshold"], replace=True
)
{"saved policy agrees": agreement, "released": saved_agreement(release.folder / "policy", one.report)}

# %%
pl.DataFrame(
    [
        {"claim": c.name, "predicted": c.estimate, "low": c.ci[0], "high": c.ci[1], "unit": c.unit, "n": c.n}
        for c in release.evidence.claims
    ]
)

# %% [markdown]
# ## The claims, asserted

# %%
assert agreement == 1.0, "the saved policy decides otherwise than the swept one"
assert saved_agreement(release.folder / "policy", one.report) == 1.0, "the released policy decides otherwise"
assert load_policy(kept / "policy").models == one.policy.models
assert space.document["looked_at"]["in_all"] >= space.document["looked_at"]["finalists"]
assert one.document["split"] == space.document["split"], "the sweeps were not judged on the same prompts"
assert set(verdicts["pays"]) <= {"yes", "no"}

# %% [markdown]
# ## Where it fails
#
# Intervals are of these prompts: another mix of tasks has another answer. A chosen setting within one standard error of the best trades score for money on purpose; `--margin` and `--rule trade-off`
# change the trade. The search is not exhaustive, and more trials find more luck as well. Bonferroni is careful: policies that agree on most requests are compared as if they did not. Power assumes that
# the measured effect is the true one.

# %% [markdown]
# ## Provenance

# %%
provenance(data_hash=outcomes.data_hash, seed=seed, run_id=runs["one threshold"])
