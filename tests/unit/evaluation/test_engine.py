"""Engines: each index once, errors that name their task, and what is refused."""

import threading

import pytest

from workbench.core import ConfigError, TaskFailed
from workbench.evaluation import LocalEngine, make_engine


def add(shared, task):
    return shared + task


def refuse(shared, task):
    if task == 3:
        raise shared
    return task


@pytest.mark.parametrize("n_threads", [1, 3])
def test_every_task_is_done_exactly_once(n_threads):
    results = list(LocalEngine(n_threads).run(add, 100, list(range(50))))
    assert sorted(results) == [(n, 100 + n) for n in range(50)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_no_tasks_are_no_results(n_threads):
    assert list(LocalEngine(n_threads).run(add, 1, [])) == []


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_error_names_its_task_and_keeps_its_exit_code(n_threads):
    with pytest.raises(TaskFailed, match=r"task 3 of 5 \(3\) raised ConfigError: too large; say less") as caught:
        list(LocalEngine(n_threads).run(refuse, ConfigError("too large; say less"), range(5)))
    assert caught.value.index == 3
    assert caught.value.exit_code == 2
    assert isinstance(caught.value.__cause__, ConfigError)


def test_an_error_of_the_work_that_is_not_ours_ends_with_1():
    with pytest.raises(TaskFailed) as caught:
        list(LocalEngine().run(refuse, ZeroDivisionError("x"), [3]))
    assert caught.value.exit_code == 1


def test_a_long_task_is_shortened_in_the_message():
    with pytest.raises(TaskFailed) as caught:
        list(LocalEngine().run(lambda _, task: 1 / 0, None, ["x" * 5000]))
    assert len(str(caught.value)) < 250


def test_results_come_before_later_tasks_begin():
    begun = []

    def work(_, task):
        begun.append(task)
        return task

    results = LocalEngine().run(work, None, range(10**6))
    assert next(results) == (0, 0)
    assert begun == [0]


def test_no_more_tasks_are_under_way_than_there_are_threads():
    under_way, most, lock = 0, 0, threading.Lock()

    def work(_, task):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        threading.Event().wait(0.001)
        with lock:
            under_way -= 1

    assert len(list(LocalEngine(3).run(work, None, range(30)))) == 30
    assert 1 <= most <= 3


def test_the_local_engine_takes_no_address():
    with pytest.raises(ConfigError, match="--engine ray"):
        make_engine("local", "auto")


def test_an_unknown_engine_suggests_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown engine 'rya'.*ray"):
        make_engine("rya")
