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
# # From which request rate on is an own machine cheaper than an API, and can it carry that rate?
#
# An own machine costs the same every hour, an API the same every request. Which is cheaper is therefore a question of the rate, and
# the rate at which both cost the same is useless unless the machine carries it and answers as well. This notebook measures a model
# under load on this machine and puts it beside three listed APIs: a cheap, a middling and a dear one. The table after the
# measurement has the answer: the break-even rate $\lambda^*$ with its interval, what the machine carries, and the verdict.

# %% [markdown]
# **You need** two CPU cores and about two minutes. No GPU, no key, no network: prices come with the package. Any folder that
# `workbench bench --out` wrote takes the place of the measurement here (`more_benches`), from a GPU server for instance.

# %% tags=["parameters"]
model_name: str = "base"  # of the lab; without lab.yaml the reference family
offered_rps: float = 16.0  # load while measuring, requests a second
measured_s: float = 25.0  # length of the measurement, seconds
slo_latency_s: float = 1.0  # what still counts as a good answer, seconds to its end
apis: str = "openai/gpt-5-nano,openai/gpt-5-mini,anthropic/claude-opus-4-5"  # cheap, middling, dear
office_rps: float = 10.0  # mean load of the working day below, requests a second
rented_gpu: str = "h100"  # hardware profile of the what-if
more_benches: list = []  # further bench folders, compared as well
n_draws: int = 2000  # bootstrap draws
seed: int = 0  # of arrivals, prompts and resampling
folder: str = "runs/notebook_03"  # where the run is written

# %%
from pathlib import Path

import polars as pl
from IPython.display import display
from matplotlib_inline.backend_inline import set_matplotlib_formats

from workbench.core import Sampling
from workbench.economics import load_price_book, load_profiles
from workbench.economics.break_even import usd_per_year
from workbench.economics.daily_profile import LoadProfile
from workbench.evaluation import Suite
from workbench.evaluation.load import SLO, BenchConfig, bench
from workbench.models import load_lab, load_model
from workbench.tracking import provenance
from workbench.tuning.break_even_figures import day_figure, rate_figure, tornado_figure
from workbench.tuning.break_even_tables import flips_table, rows_table
from workbench.tuning.local_economics import Sources, listed_api, local_economics, measured_machine
from workbench.tuning.local_economics_quality import QualityRule

set_matplotlib_formats("png")
pl.Config.set_fmt_str_lengths(80)
out = Path(folder)

# %% [markdown]
# ## Measure: what one machine carries
#
# Requests start when a schedule says so, whether or not earlier ones are answered (an open loop), because users do not wait for each
# other. Goodput counts only answers within the SLO. It is what a machine carries; throughput at saturation is not.

# %%
lab = load_lab()
model = load_model(model_name, lab.card(model_name))
config = BenchConfig(
    rate_rps=offered_rps,
    duration_s=measured_s,
    slo=SLO(latency_s=slo_latency_s),
    sampling=Sampling(max_tokens=48),
    seed=seed,
)
load = bench(model, Suite.reference("both", n_per_task=20, seed=seed), config, out=out / "bench", fresh=True)
{name: load.document[name] for name in ("n", "failed", "goodput_rps", "goodput_ci", "good_share", "complete")}

# %% [markdown]
# ## Compare: what every request costs elsewhere
#
# $$\lambda^* = \frac{\text{fixed}_a - \text{fixed}_b}{3600\,(\text{variable}_b - \text{variable}_a)}$$
#
# with USD an hour above and USD a request below. The API is charged for the tokens that were measured (each kind of token at its own
# listed price), prompts are resampled for the interval, and $a$ wins above $\lambda^*$ only where its capacity reaches that far.

# %%
sources = Sources(cards=lab.models, book=load_price_book(), profiles=load_profiles(), seed=seed, n_draws=n_draws)
benches = [out / "bench", *map(Path, more_benches)]
machines = [measured_machine(bench_folder, None, sources) for bench_folder in benches]
others = [listed_api(name, benches, sources) for name in apis.split(",")]
strict = local_economics(machines, others, sources)
rows_table(strict.document).select(
    "local", "api", "rate_rps", "rate_rps_low", "rate_rps_high", "goodput_rps", "verdict"
)

# %% [markdown]
# No pair *pays* yet, and that is right: nobody measured whether the local model answers as well as these APIs. The rates above are
# arithmetic; quality is the other half. Outcomes recorded for both (`workbench record`, then `--outcomes`) decide it by the interval of
# the paired difference. For the rest of this notebook equal quality is **assumed**, and every result says so.

# %%
office = LoadProfile.office_hours().scaled_to(office_rps)
found = local_economics(machines, others, sources, rule=QualityRule(assume_equal=True), profile=office)
for row in found.document["rows"]:
    print(f"{row['verdict'].upper()}: {row['because']}.\n")

# %%
display(rate_figure([one for one in found.comparisons if one.a is machines[0]]))

# %% [markdown]
# ## The day: idle hours are paid for, peaks overflow
#
# A mean hides both. Machines stay on all week; what they cannot carry at the SLO goes to the API. The best number of machines as base
# load is found exactly. Utilisation is computed from load and capacity, never assumed: on one and the same GPU it moves the price of a
# token by a factor of seventy (arXiv 2606.11690).

# %%
rows_table(found.document).select(
    "local", "api", "usd_per_month_local", "usd_per_month_api", "usd_per_month_mix", "usd_per_year_mix"
)

# %%
display(day_figure(found.comparisons[0]))

# %% [markdown]
# The article behind this project takes 10,000 requests a day at 0.01 USD, 100 USD a day, and writes "365 USD a year". Computed:

# %%
usd_per_year(10_000 * 0.01)

# %% [markdown]
# ## What would flip it
#
# One input at a time, all others as they are. `flips_at` is where the answer to "does at least one machine pay at this load?" changes;
# empty means nowhere. The bars show what each input's plausible range does to the saving.

# %%
flips_table(found.document).filter(pl.col("api") == others[0].name).select("input", "now", "flips_at", "factor", "to")

# %%
display(tornado_figure(found.comparisons[0]))

# %% [markdown]
# ## What a rented GPU would have to carry
#
# The same traffic, the hour of a GPU instead: $\lambda^*$ is what it must carry *of these requests*, around the clock, to be cheaper.
# Whether it does is not known from a CPU, so the row is marked as a what-if; bench it there and add the folder to `more_benches`.

# %%
gpu = local_economics([measured_machine(benches[0], rented_gpu, sources, rented_gpu)], others, sources)
rows_table(gpu.document).select("local", "api", "rate_rps", "rate_rps_low", "rate_rps_high")

# %% [markdown]
# ## The claim, asserted
#
# Against the dear API the machine is cheaper within what it was measured to carry, in at least 97.5 % of the draws; without measured
# quality nothing is said to pay; and the dearer the API, the lower the rate.

# %%
rates = [one.found.rate_rps for one in strict.comparisons[: len(others)]]
assert rates == sorted(rates, reverse=True), "a dearer API must break even at a lower rate"
assert strict.comparisons[len(others) - 1].reached >= 0.975, strict.document["rows"][len(others) - 1]["because"]
assert not strict.is_feasible, "quality was not measured, so nothing may be said to pay"

# %% [markdown]
# ## Where it fails
#
# The reference models answer in a handful of tokens and know synthetic tasks only: no API would be bought for them, so read the method,
# not the prices. The APIs are charged for the local model's tokens; their tokenizers count differently, their answers may be longer and
# some reason out of sight. Within an hour the load is taken as even: a burst overflows more. The hour of the machine is an estimate
# of `data/hardware.yaml`, not an invoice, and people's time is in it only where its profile says so. Prices change; the edition is below.

# %% [markdown]
# ## Provenance

# %%
found.write(out / "break_even")
{"prices": found.document["prices"], **provenance(data_hash=machines[0].evidence["sha256"], seed=seed)}
