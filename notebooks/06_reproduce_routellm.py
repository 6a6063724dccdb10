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
# # How much of the gap between Mixtral and GPT-4 does a router recover, and does it hold on subjects that it never saw?
#
# RouteLLM published for thousands of questions whether Mixtral and GPT-4 had them right, and routers that send the easy ones to Mixtral.
# This notebook puts the obvious rivals beside the published numbers: routing by lot, by the length of the prompt, by the mean of its subject,
# and the default predictor of this project. Every router is judged on prompts that it did not learn from. The answer is the table after
# the first measurement; what it is worth on unfamiliar subjects, and what one damaged file does to it, follow.

# %% [markdown]
# **You need** two CPU cores. The rows are RouteLLM's (Apache-2.0) and not part of this project: clone its repository and name the folder in
# `data`, or in `$WORKBENCH_DATA/routing/routellm`. With the rows it takes about six minutes, and with MiniLM ten more the first time, for the
# vectors, which are kept. **Without the rows, made-up ones with known truth stand in**: the way is the same and the numbers mean nothing. No key, no network.

# %% tags=["parameters"]
data: str = ""  # a checkout of RouteLLM's repository; "": look in $WORKBENCH_DATA; "made-up": do not look
embedder_name: str = "minilm"  # "minilm" (meaning) or "static" (wording, quicker)
most: int = 0  # prompts of a set, drawn by lot; 0: all
draws: int = 400  # resamples behind each interval
seed: int = 0  # of the lot and the made-up rows

# %%
from dataclasses import asdict

import polars as pl
from IPython.display import display
from matplotlib_inline.backend_inline import set_matplotlib_formats

from workbench.embedding import CachedEmbedder, load_embedder
from workbench.tracking import provenance
from workbench.tuning import OutcomeMatrix
from workbench.tuning.recovery import apgr_difference
from workbench.tuning.recovery_figures import recovery_figure, recovery_table
from workbench.tuning.routellm import DEFAULT, ORACLE, PUBLISHED_NOTE, broken_subject, reproduce, verdict_on_length
from workbench.tuning.routellm_stand_in import outcomes_at_hand

set_matplotlib_formats("png")
pl.Config.set_tbl_rows(40)
pl.Config.set_tbl_hide_dataframe_shape(True)
pl.Config.set_float_precision(3)
pl.Config.set_fmt_str_lengths(60)
embedder = CachedEmbedder(load_embedder(embedder_name))

# %% [markdown]
# ## The rows

# %%
mmlu = outcomes_at_hand(data, "mmlu", most=most, seed=seed)
gsm8k = outcomes_at_hand(data, "gsm8k", most=most, seed=seed)
for outcomes in (mmlu, gsm8k):
    print(f"{outcomes.manifest.source}: {len(outcomes.prompts)} prompts; {'; '.join(outcomes.manifest.notes)}.\n")

# %% [markdown]
# ## What routers recover
#
# A router gives each prompt a predicted uplift $\hat u_i$ (GPT-4 − Mixtral) and asks GPT-4 where $\hat u_i \ge t$. At a share $x$ of calls
# to GPT-4 the mean score is $r(x)$, and
#
# $$\mathrm{APGR} = \int_0^1 \frac{r(x) - r_\text{weak}}{r_\text{strong} - r_\text{weak}}\,dx \qquad
# \mathrm{CPT}(p) = \min\{x : \text{recovered part at } x \ge p\}$$
#
# (Ong et al., arXiv 2406.18665). Routing by lot has APGR 0.5. Here the curve is exact, at every threshold, where the article's has ten
# bins. Five folds by prompt; equal questions stay in one fold and are resampled together. “(no subject)” never reads the label.

# %%
matrix = OutcomeMatrix.from_outcomes(mmlu)
found = reproduce("mmlu", matrix, embedder, draws=draws)
recovery_table(found.document).filter(pl.col("judged") != "unseen subjects")

# %%
print(f"Published rows: {PUBLISHED_NOTE}.")

# %%
school = reproduce("gsm8k", OutcomeMatrix.from_outcomes(gsm8k), embedder, draws=draws)
recovery_table(school.document)

# %%
curves = {f"MMLU, n = {found.document['n']}": found.found, f"GSM8K, n = {school.document['n']}": school.found}
display(recovery_figure(curves, left_out=(ORACLE,)))

# %% [markdown]
# The share of calls is not cost: an answer of GPT-4 is billed by its tokens. And the oracle that knows each answer (in the table, not
# drawn: its APGR is above 1) is partly luck, because each model answered once.

# %% [markdown]
# ## Subjects that the router never saw
#
# A router that has learned which subjects are hard looks good as long as the subjects stay the same. Here whole subjects are held out, five parts
# in turn, and each router is compared with prompt length on the same rows.

# %%
recovery_table(found.document).filter(pl.col("judged") == "unseen subjects")

# %%
for router, row in found.document["unseen_subjects"].items():
    if router != "prompt-length":
        print(f"On subjects never seen, {router} {verdict_on_length(row)}.")

# %% [markdown]
# ## The damaged file
#
# In one of the 57 subjects, high school mathematics, GPT-4 is recorded as right on almost nothing, less than Mixtral: the answers were evidently not
# parsed. It is left out above. A router that learns from it is judged here on the *other* subjects. `near_with` and `near_without` are the
# shares of the other mathematics questions that go to GPT-4 when half of all calls do.

# %%
whole = OutcomeMatrix.from_outcomes(outcomes_at_hand(data, "mmlu", most=most, keep_broken=True, seed=seed))
damage = broken_subject(whole, embedder, draws=draws)
pl.DataFrame([asdict(damage) | {"ci": str([round(end, 4) for end in damage.ci or ()])}]).transpose(
    include_header=True, header_name="what", column_names=["value"]
)

# %% [markdown]
# ## The claim, asserted
#
# On familiar subjects the default predictor beats the length of the prompt by more than the interval of the paired difference. In the damaged subject
# GPT-4 is recorded below Mixtral. And the length of the prompt alone is no worse than a coin.

# %%
difference, interval = apgr_difference(found.signals[DEFAULT], found.signals["prompt-length"], matrix, draws)
assert interval is not None, "too few rows for an interval"
assert interval[0] > 0, f"{difference:+.3f} {interval}"
assert damage.strong_right < damage.weak_right, damage
assert found.found["prompt-length"].apgr_ci[1] > 0.5, found.found["prompt-length"].apgr_ci
print(f"{DEFAULT} over prompt length: APGR {difference:+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}], paired")

# %% [markdown]
# ## What to conclude
#
# Compare any router with the length of the prompt and with the mean of its task before believing in it: both cost nothing, and what a trained
# router adds to the better of the two is the difference between their lines. A few thousand answers of one's own models on one's own
# kinds of prompt are worth a router; on kinds that it never saw, the advantage over prompt length is the one printed above, and routing
# by lot stands at 0.5. One badly parsed file moves the questions that resemble it (the two shares above), even where the area over all other
# subjects hardly shows it: look at scores by task before learning from them.

# %% [markdown]
# ## Where it fails
#
# Our routers learn from four fifths of each set, the published ones did not see it at all: the rows beside each other answer “what is there
# to gain with labels of one's own?”, not “which method is better?”. Two models of 2023, multiple choice and school sums; no cost, no latency, one
# answer a question. Intervals hold the predictions fixed: another draw of the training rows would widen them. The published numbers were
# copied from the article, whose rows contain the damaged subject; the table on the article's own rows, MT-Bench, and the other embedder stand in
# `docs/results/routellm.md`, RouteLLM's own evaluation code on our scores in `docs/results/peers_routing.md`.

# %% [markdown]
# ## Provenance

# %%
{"rows": mmlu.manifest.source, "embedder": embedder.fingerprint, **provenance(data_hash=matrix.data_hash, seed=seed)}
