import json

import pytest

from workbench.core import ConfigError, StoreError
from workbench.tuning.space.plan import Parameter
from workbench.tuning.space.sampling import BATCH, TPE_TRIALS, trials_by
from workbench.tuning.space.study import Study

PARAMETERS = (Parameter("x", (), 0.0, 1.0), Parameter("y", (), 1e-3, 1e3, log=True), Parameter("z", ("a", "b", None)))
DIRECTIONS = ("maximize", "minimize")
BLOCK = BATCH["tpe"]
SUBJECT = {"data": "d", "space": "s", "seed": 0}


def scored(points):
    return [((p["x"] - (p["z"] == "a"), p["x"] ** 2 + p["y"]), 0.0 if p["x"] < 0.9 else 0.1) for p in points]


def searched(path, n_trials, *, score=scored, seed=0, subject=SUBJECT, parameters=PARAMETERS, sampler="auto"):
    with Study(parameters, DIRECTIONS, subject, seed, path, sampler) as study:
        done = list(study.search(n_trials, score))
        return study.trials(), done, study.n_resumed


def test_the_same_seed_asks_for_the_same_points_and_another_seed_for_others():
    first, again, other = (searched(None, 250, seed=seed)[0] for seed in (1, 1, 2))
    assert first == again
    assert [t.point for t in first] != [t.point for t in other]
    assert [t.number for t in first] == list(range(250))


def test_a_journal_is_gone_on_with_and_nothing_is_asked_twice(tmp_path):
    path = tmp_path / "study.jsonl"
    searched(path, 2 * BLOCK)
    asked = []

    def counted(points):
        asked.extend(points)
        return scored(points)

    trials, done, resumed = searched(path, 3 * BLOCK, score=counted)
    assert (resumed, done, len(asked)) == (2 * BLOCK, [3 * BLOCK], BLOCK)
    assert trials == searched(None, 3 * BLOCK)[0]


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_search_killed_anywhere_arrives_where_it_would_have_arrived(tmp_path, kept):
    path = tmp_path / "study.jsonl"
    whole = searched(path, 3 * BLOCK)[0]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    trials, _, resumed = searched(path, 3 * BLOCK)
    assert trials == whole
    assert resumed % BLOCK == 0
    assert resumed < 3 * BLOCK


def test_what_is_interrupted_in_the_middle_of_a_block_leaves_whole_blocks(tmp_path):
    path = tmp_path / "study.jsonl"
    calls = []

    def interrupted(points):
        calls.append(len(points))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return scored(points)

    with pytest.raises(KeyboardInterrupt):
        searched(path, 3 * BLOCK, score=interrupted)
    trials, _, resumed = searched(path, 3 * BLOCK)
    assert resumed == BLOCK
    assert trials == searched(None, 3 * BLOCK)[0]


def test_a_last_block_that_was_not_full_is_filled(tmp_path):
    path = tmp_path / "study.jsonl"
    first = searched(path, 130)[0]
    trials, _, resumed = searched(path, 310)
    assert resumed == 130
    assert trials[:130] == first
    assert [t.number for t in trials] == list(range(310))
    points = [json.dumps(t.point) for t in trials]
    assert set(points[130:200]) != set(points[:70]), "the rest of the block has random numbers of its own"


@pytest.mark.parametrize("name", ["data", "space", "seed"])
def test_a_journal_of_another_subject_is_refused_and_left_alone(tmp_path, name):
    path = tmp_path / "study.jsonl"
    searched(path, 10)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=f"another {name}"):
        searched(path, 10, subject={**SUBJECT, name: "other"})
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["not a journal\n", '{"a": 1}\n', "[1]\n", "half a line"])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match="not the journal of a space sweep"):
        searched(path, 10)
    assert path.read_text() == text


def test_two_searches_do_not_share_a_journal(tmp_path):
    path = tmp_path / "study.jsonl"
    with Study(PARAMETERS, DIRECTIONS, SUBJECT, 0, path), pytest.raises(StoreError, match="being written"):
        Study(PARAMETERS, DIRECTIONS, SUBJECT, 0, path)


def test_fewer_trials_than_are_done_asks_for_none(tmp_path):
    path = tmp_path / "study.jsonl"
    searched(path, 50)
    trials, done, _ = searched(path, 20)
    assert (len(trials), done) == (50, [])


def test_the_journal_is_one_that_optuna_reads(tmp_path):
    import optuna

    path = tmp_path / "study.jsonl"
    trials = searched(path, 20)[0]
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="space", storage=storage)
    assert [t.params for t in study.trials] == [t.point for t in trials]


def test_points_that_break_their_limits_are_known_as_such():
    trials = searched(None, 100)[0]
    assert {t.unserved for t in trials if t.point["x"] >= 0.9} == {0.1}
    assert {t.unserved for t in trials if t.point["x"] < 0.9} == {0.0}


def test_a_step_is_searched_at_its_values_only():
    stepped = (Parameter("x", (), 0.0, 1.0, step=0.3), Parameter("y", (), 0.1, 1.0), Parameter("z", ("a", "b")))
    found = {t.point["x"] for t in searched(None, 60, parameters=stepped)[0]}
    assert found == set(stepped[0].listed())


def test_a_search_stopped_anywhere_goes_on_over_the_change_of_samplers_as_if_it_had_not_been(tmp_path):
    n = TPE_TRIALS + 3 * BATCH["nsga2"]
    whole = searched(tmp_path / "whole.jsonl", n)[0]
    searched(tmp_path / "study.jsonl", TPE_TRIALS - BLOCK)
    searched(tmp_path / "study.jsonl", TPE_TRIALS + BATCH["nsga2"])
    assert searched(tmp_path / "study.jsonl", n)[0] == whole


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_auto_begins_as_tpe_does_and_each_sampler_proposes_points_of_its_own(sampler):
    auto, other = searched(None, 60)[0], searched(None, 60, sampler=sampler)[0]
    assert (auto == other) == (sampler == "tpe")


def test_after_the_change_proposals_come_from_the_best_trials_so_far():
    """Uniform points would have x above 0.9, which breaks a limit, in a tenth of all trials."""
    trials = searched(None, TPE_TRIALS + 8 * BATCH["nsga2"])[0]
    later = [t.point["x"] for t in trials[TPE_TRIALS + 4 * BATCH["nsga2"] :]]
    assert sum(x >= 0.9 for x in later) / len(later) < 0.05


def test_who_proposed_how_many_adds_up():
    assert trials_by("auto", 10) == {"tpe": 10}
    assert sum(trials_by("auto", 1234).values()) == 1234
    assert trials_by("nsga2", 7) == {"nsga2": 7}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sampler": "nsga2"}, r"another sampler \(auto, now nsga2\); give --study another file, or --sampler auto"),
        ({"seed": 3}, r"another seed \(0, now 3\); give --study another file, or --seed 0"),
        ({"data": "x"}, "another data; give --study another file, or the data of then"),
    ],
)
def test_what_a_study_was_begun_with_is_told_as_the_option_to_give(tmp_path, changed, says):
    subject = {**SUBJECT, "sampler": "auto"}
    searched(tmp_path / "study.jsonl", 5, subject=subject)
    with pytest.raises(ConfigError, match=says):
        searched(tmp_path / "study.jsonl", 5, subject={**subject, **changed})
