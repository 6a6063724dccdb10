"""Who proposes the next points of a search: TPE for the first ones, which it uses best, then NSGA-II, which does not slow down.

`auto` changes by the trial's number alone, so that a search that goes on with more trials proposes what it would have proposed.
"""

from __future__ import annotations

import optuna

from workbench.tuning.space.sampling import BATCH, TPE_TRIALS, proposer


def make_sampler(name: str, done: int, seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of the next batch.

    Args:
        name: as `--sampler` names it.
        done: trials before the batch.
        seed: of its random numbers.
    """
    proposing = proposer(name, done)
    if proposing == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    if proposing == "nsga2":
        return NumberedNSGAII(TPE_TRIALS if name == "auto" else BATCH["nsga2"], BATCH["nsga2"], seed)
    return optuna.samplers.RandomSampler(seed=seed)


class NumberedNSGAII(optuna.samplers.NSGAIISampler):  # type: ignore[misc]  # its base is Any to mypy
    """NSGA-II whose generations are counted by the trial's number: another sampler's trials may be the first one.

    Optuna looks through all trials for each one to find its generation, and again to find its parents; a number is known.

    Args:
        first: trials of generation 0.
        population: trials of any other generation, and parents.
        seed: of the proposals.
    """

    def __init__(self, first: int, population: int, seed: int) -> None:
        super().__init__(population_size=population, seed=seed)
        self._first, self._size = first, population
        self._parents: dict[int, list[optuna.trial.FrozenTrial]] = {}

    def get_trial_generation(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> int:
        """By its number."""
        return self._generation(trial.number)

    def _generation(self, number: int) -> int:
        return 0 if number < self._first else 1 + (number - self._first) // self._size

    def get_population(self, study: optuna.Study, generation: int) -> list[optuna.trial.FrozenTrial]:
        """Its finished trials."""
        done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        return [trial for trial in done if self._generation(trial.number) == generation]

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[optuna.trial.FrozenTrial]:
        """Selected once a generation."""
        if generation not in self._parents:
            self._parents[generation] = super().get_parent_population(study, generation)
        return self._parents[generation]
