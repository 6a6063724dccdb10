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
# # How long do users wait, which load does a model hold, and where do its gigabytes go?
#
# Latency, memory and throughput are what routing decides on, and all three depend on the load. This notebook measures five small models one request at
# a time, then one of them under load that arrives whether it is ready or not, finds the highest rate that keeps a promise to users, and holds a
# prediction of memory against what a process really needed. The headline stands in the cell that asserts it; every number is measured on this machine.

# %% [markdown]
# **You need** two CPU cores and about four minutes. No GPU, no key, no network. The same calls take your own models (`lab.yaml`): a server, an API, a
# checkpoint; on a GPU the memory table tells weights, cache and activations apart and energy is read from the GPU's counter.

# %% tags=["parameters"]
n_per_task: int = 20  # prompts of each kind of task
window_s: float = 10.0  # seconds of load that are measured, a stage
warm_up_s: float = 2.0  # seconds of load before that
latency_slo_s: float = 0.5  # what users are promised, from the intended start to the whole answer
target_share: float = 0.9  # share of requests that must keep it
start_rps: float = 8.0  # rate at which the search starts
most_stages: int = 10  # of the search
answer_tokens: int = 32  # most tokens of an answer
batch: int = 32  # sequences in the memory trial
seed: int = 0  # of arrivals and the order of prompts
folder: str = "runs/notebook_02"  # where the benches are written

# %%
from pathlib import Path

import polars as pl
from IPython.display import display
from matplotlib_inline.backend_inline import set_matplotlib_formats

from workbench.core import Sampling
from workbench.evaluation import Suite
from workbench.evaluation.load import SLO, BenchConfig, RateSearch, bench
from workbench.models import load_lab, load_model
from workbench.models.family import reference_checkpoint
from workbench.models.memory import predict_memory
from workbench.models.memory_trial import prompts_of_length, try_memory
from workbench.tracking import log_document, provenance
from workbench.tuning.load_figures import memory_figure, rates_figure, waiting_figure

set_matplotlib_formats("png")
out = Path(folder)

# %%
lab = load_lab()
suite = Suite.reference("both", n_per_task=n_per_task, seed=seed)
models = {name: load_model(name, lab.card(name)) for name in lab.models}
sampling = Sampling(max_tokens=answer_tokens)

# %% [markdown]
# ## One request at a time
#
# TTFT is the time to the first visible token; $\mathrm{TPOT} = (\mathrm{latency} - \mathrm{TTFT})/(n_\mathrm{out} - 1)$. Seconds run from the *intended* start.
# A closed loop with one request in flight tells the service time and nothing about queues.

# %%
alone = {
    name: bench(
        model,
        suite,
        BenchConfig(concurrency=1, duration_s=window_s, warm_up_s=warm_up_s, sampling=sampling, seed=seed),
        out=out / f"alone_{name}",
        fresh=True,
    )
    for name, model in models.items()
}
display(waiting_figure(alone))

# %%
pl.DataFrame(
    [
        {
            "model": name,
            "n": one.document["n"],
            "ttft_p50_s": one.document["ttft_s"]["p50"],
            "tpot_p50_s": one.document["tpot_s"]["p50"],
            "latency_p95_s": one.document["latency_s"]["p95"],
            "tokens_per_s": one.document["tokens_per_s"],
            "requests_per_s": one.document["requests_per_s"],
        }
        for name, one in alone.items()
    ]
)

# %% [markdown]
# ## The same capacity, as users meet it
#
# A closed loop waits for the model: it offers as much as is answered and never sees a queue. Users do not wait for each other. At a rate close to what the closed
# loop reached, Poisson arrivals make a queue, and the two clocks part: the one from the send forgives the generator's and the server's waiting line, the one from
# the intended start does not. The closed loop is what most published latencies are.

# %%
closed = alone["base"]
busy = bench(
    models["base"],
    suite,
    BenchConfig(
        rate_rps=0.8 * closed.document["requests_per_s"],
        duration_s=window_s,
        warm_up_s=warm_up_s,
        sampling=sampling,
        seed=seed,
    ),
    out=out / "busy",
    fresh=True,
)
display(waiting_figure({"one in flight": closed, "open, at 80 % of that rate": busy}))

# %% [markdown]
# ## The highest rate that keeps the promise
#
# Rates are doubled or halved until the limit is enclosed, then bisected. A rate counts as held only where the interval of the good share lies above the target;
# a failed request is a bad one. An undecided rate is not claimed.

# %%
found = bench(
    models["base"],
    suite,
    BenchConfig(
        rate_rps=start_rps,
        duration_s=window_s,
        warm_up_s=warm_up_s,
        sampling=sampling,
        slo=SLO(latency_s=latency_slo_s),
        target_share=target_share,
        seed=seed,
    ),
    search=RateSearch(start_rps=start_rps, tolerance=0.25, repeats=2, most_stages=most_stages),
    out=out / "search",
    fresh=True,
)
found.document["holds_slo_up_to_rps"]

# %%
display(rates_figure(found))

# %%
run_id = log_document("bench", "base, rate search", found.document, folder=out / "search")

# %% [markdown]
# ## Where the gigabytes go
#
# Weights are parameters × bytes, each token of each sequence keeps $2 \cdot \mathrm{layers} \cdot \mathrm{kv\_heads} \cdot \mathrm{head\_dim}$ numbers, and a batch of prompts
# needs its activations once. The prediction is made from the configuration; the measurement is a process of its own per model.

# %%
prompt_tokens = 96
trials = {
    name: try_memory(lab.card(name), prompts_of_length(reference_checkpoint(name), prompt_tokens, batch), answer_tokens)
    for name in lab.models
}
plans = {
    name: predict_memory(
        reference_checkpoint(name),
        n_sequences=trial.n_sequences,
        max_model_len=trial.prompt_tokens + trial.answer_tokens,
        answer_tokens=trial.answer_tokens,
        framework_bytes=trial.framework_bytes,
    )
    for name, trial in trials.items()
}

# %%
display(memory_figure({name: (plans[name], trials[name]) for name in trials}))

# %%
memory = pl.DataFrame(
    [
        {
            "model": name,
            "parameters": plans[name].deployment.shape.n_parameters,
            "weights_mib": plans[name].part("weights") / 2**20,
            "kv_mib": plans[name].part("kv_cache") / 2**20,
            "predicted_mib": plans[name].total_bytes / 2**20,
            "measured_mib": trial.peak_bytes / 2**20,
            "ratio": plans[name].total_bytes / trial.peak_bytes,
        }
        for name, trial in trials.items()
    ]
)
memory

# %% [markdown]
# ## The claim, asserted

# %%
assert busy.document["failed"] == 0, "requests failed under load"
assert memory["ratio"].is_between(0.9, 1.1).all(), "a prediction of memory is more than 10 % off"
assert busy.document["latency_s"]["p95"] > closed.document["latency_s"]["p95"], "a queue that nobody waits in"
pl.DataFrame(
    {
        "what": [
            "latency p95, one in flight",
            "latency p95, open loop",
            "highest rate shown to hold the SLO",
            "memory, worst ratio",
        ],
        "value": [
            closed.document["latency_s"]["p95"],
            busy.document["latency_s"]["p95"],
            found.document["holds_slo_up_to_rps"]["rate_rps"],
            max(memory["ratio"], key=lambda ratio: abs(ratio - 1)),
        ],
        "unit": ["s", "s", "requests/s", "predicted / measured"],
    }
)

# %% [markdown]
# ## Where it fails
#
# Models this small spend their seconds in Python, and libraries outweigh them in memory: the shape of the curves carries over, the figures do not. The model runs in the
# process that makes the load, so both share two cores; `workbench models up` puts it behind vLLM in processes of its own. Ten seconds a stage decide little: a claim
# for production wants minutes. Energy is null where neither the GPU's counter nor RAPL can be read, and the document says so.

# %%
found.document["reasons"].get("energy_wh", f"{found.document['energy_wh']} Wh")

# %% [markdown]
# ## Provenance

# %%
provenance(data_hash=suite.hash, seed=seed, run_id=run_id)
