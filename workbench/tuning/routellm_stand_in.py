"""Made-up rows in the form of RouteLLM's MMLU and GSM8K, with known truth, for a machine that has not got the real ones.

Nothing about GPT-4 or Mixtral can be read off them: they show that the way from rows to table works, and on which side errors fall.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from workbench import __version__
from workbench.core import ConfigError
from workbench.core.naming import did_you_mean
from workbench.evaluation import Manifest, Outcomes
from workbench.evaluation.importers.routellm import BROKEN_SUBJECT, GPT4, MIXTRAL
from workbench.tuning.routellm import find_rows, routellm_outcomes

NOTE = "made-up rows with known truth stand in for RouteLLM's: no number below says anything about its models"
MADE_UP = "made-up"
MATHEMATICS = (BROKEN_SUBJECT, "elementary_mathematics", "college_mathematics")


def stand_in(name: str, n: int = 1500, *, keep_broken: bool = False, seed: int = 0) -> Outcomes:
    """Outcomes of a made-up set: the strong model's lead depends on the subject and on the prompt's length.

    Args:
        name: "mmlu" (twelve subjects, one of them damaged) or "gsm8k" (one).
        n: prompts, the damaged subject's among them.
        keep_broken: keep the damaged subject, in which the strong model's right answers were lost.
        seed: of everything drawn.

    Raises:
        ConfigError: another name.
    """
    if name not in ("mmlu", "gsm8k"):
        raise ConfigError(f"no made-up rows for {name!r}: {did_you_mean(name, ('mmlu', 'gsm8k'))}")
    rng = np.random.default_rng([seed, len(name)])
    subjects = (*MATHEMATICS, *(f"subject_{i:02d}" for i in range(9))) if name == "mmlu" else ("gsm8k",)
    subject = rng.integers(0, len(subjects), n)
    n_words = rng.integers(8, 80, n)
    lead = _lead(len(subjects), rng)[subject] + 0.006 * (n_words - 44)
    weak = rng.random(n) < 0.4
    strong = np.where(weak, rng.random(n) < 0.95, rng.random(n) < np.clip(0.5 + lead, 0.02, 0.98))
    if name == "mmlu":
        strong &= subject != 0  # the answers of the damaged subject were not parsed
    prompts = pl.DataFrame(
        {
            "prompt_id": [f"{name}-{row:05d}" for row in range(n)],
            "prompt": [_text(subjects[s], words, rng) for s, words in zip(subject, n_words, strict=True)],
            "task": [subjects[s] for s in subject],
        }
    )
    if not keep_broken:
        prompts = prompts.filter(pl.col("task") != BROKEN_SUBJECT)
    ids = [f"{name}-{row:05d}" for row in range(n)]
    scores = pl.concat(
        pl.DataFrame({"prompt_id": ids, "model": model, "score": right.astype(float)})
        for model, right in ((MIXTRAL, weak), (GPT4, strong))
    )
    frame = scores.join(prompts.select("prompt_id"), on="prompt_id", how="semi")
    return Outcomes.from_frames(frame, prompts, Manifest(f"made-up:{name}", package_version=__version__, notes=(NOTE,)))


def outcomes_at_hand(data: str, name: str, *, keep_broken: bool = False, most: int = 0, seed: int = 0) -> Outcomes:
    """RouteLLM's rows of a set where they are, made-up ones where they are not; the manifest's notes say which.

    Args:
        data: a checkout of RouteLLM's repository; "" looks where `find_rows` does; "made-up" does not look.
        name: "mmlu" or "gsm8k"; with real rows also "mt_bench".
        keep_broken: keep the damaged subject.
        most: prompts, drawn by lot; 0 is all of them (of the made-up ones 1,500).
        seed: of the lot, and of the made-up rows.
    """
    rows = None if data == MADE_UP else find_rows(data)
    if rows is None:
        return stand_in(name, most or 1500, keep_broken=keep_broken, seed=seed)
    return routellm_outcomes(rows, name, keep_broken=keep_broken, most=most, seed=seed)


def _lead(n_subjects: int, rng: np.random.Generator) -> np.ndarray:
    """Extra chance of the strong model where the weak one is wrong, by subject; mathematics has the most."""
    if n_subjects == 1:
        return np.array([0.1])
    lead = rng.permutation(np.linspace(-0.5, 0.4, n_subjects))
    lead[: len(MATHEMATICS)] = 0.45
    return lead


def _text(subject: str, n_words: int, rng: np.random.Generator) -> str:
    """Words of the subject among words of no subject."""
    field = "mathematics" if subject.endswith("mathematics") else subject
    own = rng.random(n_words) < 0.3
    return " ".join(
        f"{field}{k % 40}" if mine else f"word{k}" for mine, k in zip(own, rng.integers(0, 500, n_words), strict=True)
    )
