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
# # Which routing strategy serves which wish, and which of them pay here?
#
# A strategy turns predictions into a choice: the cheapest model that is good enough, the most score for the money, the soonest good answer, or all of it
# weighed within limits. Around it stand a chain for outages, cascades, conversations and exploration. This notebook records five small models, tries each of
# these on the same held-out prompts beside trivial baselines, and says *no* where nothing was shown. The last table is the answer; every figure is measured here.

# %% [markdown]
# **You need** two CPU cores and about three minutes. No GPU, no key, no network. The same calls take your own models (`lab.yaml`) and prompts. The formulas
# are worked through in `docs/routing.md`.

# %% tags=["parameters"]
n_per_task: int = 40  # prompts of each kind of task, before the split
n_loaded: int = 96  # prompts of the recordings under load
loads: list = [4, 16]  # requests worked on at once in those
answer_tokens: int = 48  # most tokens of an answer
slo_share: float = 0.8  # hard limit of the hybrid strategy: share of the dearest model's median seconds
per_second: float = 2.0  # score that one second is worth to it
quality_floor: float = 0.4  # least predicted score that it accepts
burst_size: int = 64  # requests that arrive at one instant
budget_share: float = 0.7  # of what the cost-aware policy would spend, for pacing
explore_share: float = 0.3  # requests whose model is drawn by lot, in the log
log_repeats: int = 4  # how often each prompt comes in that log
conversation_exchange: float = 50.0  # λ of conversations at API prices, score per USD
timeout_s: float = 0.5  # of one attempt in the outage, seconds
outage_s: float = 3.0  # how long the server hangs, seconds
seed: int = 0  # of the prompts, the split, the lots and the resampling
folder: str = "runs/notebook_04"  # where the recordings are written

# %%
from pathlib import Path

import polars as pl
from IPython.display import display
from matplotlib_inline.backend_inline import set_matplotlib_formats

from workbench.core import Sampling
from workbench.core.event_loop import run_anywhere
from workbench.economics import load_price_book, load_profiles
from workbench.evaluation import Suite, record
from workbench.models import load_lab, load_model
from workbench.orchestration.pattern_config import JudgeAcceptConfig
from workbench.routing import Capability, Hybrid
from workbench.testing.outage import OutageConfig, outage
from workbench.tracking import provenance
from workbench.tuning import OutcomeMatrix, SweepConfig, cascade_sweep
from workbench.tuning.cascade_judging import judgements_of
from workbench.tuning.routing_figures import (
    cascades_figure,
    outage_figure,
    pacing_figure,
    service_curves_figure,
    strategies_figure,
)
from workbench.tuning.routing_replays import ConversationConfig, burst, conversations, explored_log, paced
from workbench.tuning.routing_tables import because, cascades_table, strategies_table, which_when
from workbench.tuning.strategy_settings import (
    capability_settings,
    cost_aware_settings,
    hybrid_settings,
    latency_aware_settings,
    recorded_curves,
)
from workbench.tuning.strategy_trials import telling_row, try_strategy
from workbench.tuning.sweeps import sweep_state

set_matplotlib_formats("png")
pl.Config.set_fmt_str_lengths(120)
pl.Config.set_tbl_cols(-1)
pl.Config.set_tbl_width_chars(400)
pl.Config.set_tbl_hide_column_data_types(True)
out = Path(folder)

# %% [markdown]
# ## Record: one answer at a time, and some under load
#
# One at a time, because a cascade adds the seconds of its calls; with log-probabilities, because a cascade may go by them.

# %%
suite = Suite.reference("both", n_per_task=n_per_task, seed=seed)
models = {name: load_model(name, card) for name, card in load_lab().models.items()}
sampling = Sampling(max_tokens=answer_tokens, logprobs=True)
outcomes = record(suite, models, out / "alone", sampling=sampling, concurrency=1, seed=seed, fresh=True)
loaded = [
    record(suite, models, out / f"at_{n}", sampling=sampling, concurrency=n, limit=n_loaded, seed=seed, fresh=True)
    for n in loads
]

# %% [markdown]
# A **service curve** is what one answer takes as a function of how many the model works on. Medians, because other work on this machine leaves outliers in means.

# %%
matrix = OutcomeMatrix.from_outcomes(outcomes)
curves = recorded_curves([outcomes, *loaded], matrix.models, percentile=50)
display(service_curves_figure(dict(zip(matrix.models, curves, strict=True)), percentile=50))

# %% [markdown]
# Predictors are fitted on one split. Each strategy's settings are tried on a second, where one is picked; it is judged on a third that nothing touched. For the
# capability strategy predictions are calibrated, since a floor is a chance that must come true.

# %%
weighed = sweep_state(matrix, SweepConfig("cost-aware", seed=seed), lambda line: None)
calibrated = sweep_state(matrix, SweepConfig("capability", seed=seed), lambda line: None)
{"split": weighed.split.sizes(), "best single": matrix.models[weighed.single], "seeds": seed}

# %% [markdown]
# ## Capability: good enough, as cheaply as possible
#
# $$j(i) = \arg\min_j \{\,c_{ij} : q_{ij} \ge f_{t(i)}\,\}$$
#
# or the largest $q_{ij}$ where none reaches the floor. A task may have a floor of its own. The prompt that is decided live here, and by each strategy below, is one on
# which several models are good enough.

# %%
capability = try_strategy("capability", capability_settings(calibrated), calibrated)
row = telling_row(capability, quality_floor)
prompt, task = capability.replay.matrix.queries.texts[row], capability.replay.matrix.queries.tasks[row]
own_floor = Capability(capability.objective.floor, floors={task: 0.99})
print(f"{task}: {prompt}")
print(because(capability.policy, prompt, task))
print(because(capability.with_objective(own_floor), prompt, task))

# %% [markdown]
# ## Cost-aware: the most score for the money
#
# $$j(i) = \arg\max_j\; q_{ij} - \lambda\, c_{ij}, \qquad \lambda(t) = \lambda_0 \exp\frac{\mathrm{spent}(t) - B\,t/T}{B\,s}$$
#
# The second formula paces a budget $B$ over a period $T$: ahead of plan every dollar becomes dearer. Here the report split is the period's traffic, most of it early, under
# less money than the picked λ would spend.

# %%
cost_aware = try_strategy("cost-aware", cost_aware_settings(weighed), weighed)
print(because(cost_aware.policy, prompt, task))
budget_usd = budget_share * cost_aware.comparison.cost_usd.mean * cost_aware.comparison.n
pace = paced(cost_aware, budget_usd, seed=seed)
display(pacing_figure(pace))

# %% [markdown]
# Held, λ spends the money early; then the cheapest model answers, which is not free either, so that the budget is overrun. A score is worth only what it cost:

# %%
pace.table()

# %% [markdown]
# ## Latency-aware: the soonest good answer
#
# $$j(i) = \arg\min_j \{\,l_j(\text{in flight}_j + 1) : q_{ij} \ge f\,\}$$
#
# with $l_j$ the service curve. The same prompt while nothing is on its way, and with many calls at the model that was chosen:

# %%
latency_aware = try_strategy("latency-aware", latency_aware_settings(calibrated, curves), calibrated, by="latency_s")
print(because(latency_aware.policy, prompt, task, in_flight={}))
print(because(latency_aware.policy, prompt, task, in_flight={latency_aware.chosen_for(prompt, task): loads[-1]}))

# %% [markdown]
# Many routers that all see the same old state rush to the one best model. Looking at two models drawn by lot instead of all spreads them (Mitzenmacher 2001), counting every
# earlier request spreads them better, where one router sees them all. What a rush costs hangs on the curves: models that answer whole batches forgive it, and a floor leaves
# little to draw from. Compare `slowest_s` before switching `power_of_two` on. Seconds are read off the measured curves, as if each model had a machine of its own.

# %%
burst(latency_aware, burst_size, seed)

# %% [markdown]
# ## Hybrid: wishes have weights, promises are limits
#
# $$j(i) = \arg\max_j \{\,q_{ij} - \lambda c_{ij} - \mu l_{ij} : l_{ij} \le \mathrm{SLO},\; q_{ij} \ge f,\; c_{ij} \le \text{what is left}\,\}$$
#
# A request that no model can serve within the limits is not served by a near miss: the chain's fallback answers, here the best single model, and `unserved` counts them.

# %%
slo_s = slo_share * max(curve.seconds[0] for curve in curves)
hybrid = try_strategy(
    "hybrid", hybrid_settings(weighed, curves, per_second=per_second, floor=quality_floor, slo_s=slo_s), weighed
)
print(because(hybrid.policy, prompt, task, in_flight={}))
print(because(hybrid.with_objective(Hybrid(floor=1.1)), prompt, task))

# %% [markdown]
# ## All four on the untouched split
#
# `against_*` are 95 % intervals of the paired score difference, paraphrase groups kept together; `change` is of what the strategy saves. `pays` is *yes* only if an interval
# shows it: better at no higher price, or cheaper (sooner) and not worse by more than 0.01.

# %%
strategies = {"capability": capability, "cost-aware": cost_aware, "latency-aware": latency_aware, "hybrid": hybrid}
table = strategies_table(list(strategies.values()))
table

# %% [markdown]
# Look at `against_task_label` before building anything: where its interval reaches 0 or below, the strategy was **not** shown to answer better than a table with one model a task
# label. A learned router earns its keep where requests come without labels.

# %%
display(strategies_figure(list(strategies.values()), "cost_usd"))

# %%
display(strategies_figure(list(strategies.values()), "latency_s"))

# %% [markdown]
# ## Cascades: look at a cheap answer first
#
# A dearer model is asked only if the cheap answer's log-probability, the agreement of two cheap answers, or a judge says so. Seconds of all calls add up, judges are paid.
# Every threshold is swept exactly; it is chosen on the tune and choose splits and reported on the same third.

# %%
judging = JudgeAcceptConfig(kind="judge", model="base")
marks = run_anywhere(judgements_of(outcomes, models["base"], judging, ["tiny"], load_profiles()))
cascades = {
    "tiny → base, log-probability": cascade_sweep(outcomes, ["tiny", "base"], "logprob", seed=seed),
    "tiny, small → base, agreement": cascade_sweep(outcomes, ["tiny", "small", "base"], "agreement", seed=seed),
    "tiny → base, judged by base": cascade_sweep(outcomes, ["tiny", "base"], "judge", judgements=marks, seed=seed),
}
{"answers judged": marks.height, "of them with a readable mark": marks["judge_score"].count()}

# %%
cascades_table(cascades)

# %%
display(cascades_figure(cascades))

# %% [markdown]
# Models this small were never taught to judge. An unreadable judgement accepts nothing, so that the cascade pays for the judge and for the dear model as well.

# %% [markdown]
# ## An outage: who pays the timeout?
#
# Two real servers, four clients; one server takes connections and stops answering. A circuit opens after three failures in a row; from then on the model is not asked, but for
# probes beside requests that do not wait for them.

# %%
hang = OutageConfig(timeout_s=timeout_s, outage_s=outage_s)
outages = {"watched": outage(hang, has_breaker=True), "not watched": outage(hang, has_breaker=False)}
pl.DataFrame([found.to_row(name) for name, found in outages.items()])

# %%
display(
    outage_figure(
        {f"circuits {name}": found.requests for name, found in outages.items()},
        hang.healthy_s,
        hang.healthy_s + hang.outage_s,
        hang.timeout_s,
    )
)

# %% [markdown]
# ## Conversations: is a switch worth the lost prefix cache?
#
# A conversation's own model has its beginning in the cache; with $w_j$ warm tokens the choice is made on $c_{ij} - w_j(p_{in} - p_{cached})$. Own hardware has no cached
# price, so API prices stand in here: the reference family's scores, sellers' tokens. `worth_gained` is score − λ · USD a turn against deciding each turn on its own.

# %%
book = load_price_book()
sellers = {"tiny": "gpt-5-nano", "small": "gpt-5-mini", "math": "gpt-5-mini", "text": "gpt-5-mini", "base": "gpt-5"}
prices = [book.price(f"openai/{sellers[name]}") for name in matrix.models]
talks = conversations(cost_aware.replay, prices, ConversationConfig(turns=8, exchange=conversation_exchange, seed=seed))
talks

# %% [markdown]
# Where the interval of `worth_gained` holds 0, pricing the lost cache was not shown to pay: where tasks change from turn to turn, another model is worth more than the cache. Staying
# with the first model whatever comes is the other extreme.

# %% [markdown]
# ## What would another policy have scored?
#
# The best single model serves, a share of requests goes to a model drawn by lot, and each decision is logged with its propensity $p$. With $w = \pi / p$: IPS is the mean of
# $w r$, SNIPS $\sum w r / \sum w$, and the doubly robust estimate corrects predictions by weighted residuals. Every model's answer is recorded, so the truth is known.

# %%
logged = explored_log(cost_aware, explore_share, log_repeats, seed)
logged

# %% [markdown]
# ## Which strategy when

# %%
answer = which_when(strategies, cascades)
answer

# %% [markdown]
# ## The claims, asserted

# %%
assert outages["watched"].paid_timeout <= 2 * hang.n_clients, "an open circuit let requests pay the timeout"
assert outages["not watched"].paid_timeout > outages["watched"].paid_timeout, "circuits spared nobody"
assert outages["watched"].unanswered == outages["not watched"].unanswered == 0, "a request went unanswered"
assert cost_aware.policy.choose(weighed.report[weighed.chosen.name].matrix.queries).tolist() == list(cost_aware.choice)
assert answer.height == len(strategies) + 1
assert logged["n_effective"].min() >= 30, "the log is worth too few requests to say anything"

# %% [markdown]
# ## Where it fails
#
# Synthetic tasks and models of a few million parameters: what carries over is the machinery, not the figures. Costs are compute on a hardware profile. Curves were measured one
# model at a time; five models on one machine would slow each other. Conversations are put together from single prompts, and what a history does to an answer was not measured.
# The hang is one kind of outage; `benchmarks/outage.py` has three. One seed: `notebooks/05_sweep_and_select` shows what another split changes.

# %% [markdown]
# ## Provenance

# %%
provenance(data_hash=outcomes.data_hash, seed=seed)
