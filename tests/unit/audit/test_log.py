import asyncio
import json

import pytest

from workbench.audit import AuditConfig, AuditLog, ChainReport, verify_chain
from workbench.core import ConfigError, StoreError
from workbench.core.journal import read_journal
from workbench.testing import FakeClock


def open_log(folder, **settings):
    return AuditLog(AuditConfig(path="audit.jsonl", **settings), folder, FakeClock())


async def written(folder, n_records, **settings):
    log = open_log(folder, **settings)
    await asyncio.gather(*(log.append({"event": "request", "n": n}) for n in range(n_records)))
    await log.close()
    return folder / "audit.jsonl"


async def test_records_are_numbered_dated_and_chained(tmp_path):
    path = await written(tmp_path, 20)
    records = list(read_journal(path))
    assert [record["n"] for record in records] == list(range(20))
    assert [record["seq"] for record in records] == list(range(1, 21))
    assert records[0]["ts"] == "2026-01-01T00:00:00+00:00"
    assert verify_chain(path) == ChainReport(20, None)


async def test_a_log_goes_on_where_it_ended(tmp_path):
    await written(tmp_path, 3)
    path = await written(tmp_path, 2)
    assert verify_chain(path) == ChainReport(5, None)


@pytest.mark.parametrize("line", [1, 3, 4])
async def test_a_changed_record_shows_in_the_one_behind_it(tmp_path, line):
    path = await written(tmp_path, 5)
    lines = path.read_text().splitlines()
    record = json.loads(lines[line - 1])
    lines[line - 1] = json.dumps({**record, "n": 99})
    path.write_text("\n".join(lines) + "\n")
    assert verify_chain(path) == ChainReport(5, line + 1)


async def test_a_removed_record_shows(tmp_path):
    path = await written(tmp_path, 5)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    assert verify_chain(path).first_bad == 3


async def test_a_torn_last_line_is_closed_by_a_record_of_it(tmp_path):
    path = await written(tmp_path, 2)
    with path.open("a") as file:
        file.write('{"v": 1, "seq"')
    await written(tmp_path, 1)
    assert [record["event"] for record in read_journal(path)] == ["request", "request", "recovered", "request"]
    assert verify_chain(path) == ChainReport(4, None)


async def test_concurrent_records_share_a_sync(tmp_path, monkeypatch):
    log = open_log(tmp_path)
    groups = []
    append = log._journal.append
    monkeypatch.setattr(log._journal, "append", lambda records: (groups.append(len(records)), append(records)))
    await asyncio.gather(*(log.append({"n": n}) for n in range(50)))
    await log.close()
    assert sum(groups) == 50
    assert len(groups) <= 2


async def test_a_full_disk_fails_the_record_and_leaves_the_chain_whole(tmp_path, monkeypatch):
    log = open_log(tmp_path)
    await log.append({"n": 0})
    with monkeypatch.context() as patch:
        patch.setattr(log._journal, "append", lambda records: (_ for _ in ()).throw(StoreError("the disk is full")))
        with pytest.raises(StoreError, match="the disk is full"):
            await log.append({"n": 1})
    await log.append({"n": 2})
    await log.close()
    assert [record["n"] for record in read_journal(log.path)] == [0, 2]
    assert verify_chain(log.path) == ChainReport(2, None)


async def test_a_record_is_written_although_its_caller_went_away(tmp_path):
    log = open_log(tmp_path)
    task = asyncio.ensure_future(log.append({"n": 1}))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await log.close()
    assert [record["n"] for record in read_journal(log.path)] == [1]


async def test_a_second_writer_is_refused(tmp_path):
    log = open_log(tmp_path)
    with pytest.raises(StoreError, match="being written by another process"):
        open_log(tmp_path)
    await log.close()


def test_a_file_that_is_no_log_is_left_alone(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_text('{"hello": 1}\n')
    with pytest.raises(StoreError, match="does not end with an audit record"):
        open_log(tmp_path)
    assert path.read_text() == '{"hello": 1}\n'


def test_a_log_of_a_newer_version_is_left_alone(tmp_path):
    (tmp_path / "audit.jsonl").write_text('{"v": 2, "seq": 1}\n')
    with pytest.raises(StoreError, match="newer version"):
        open_log(tmp_path)
    with pytest.raises(StoreError, match="newer version"):
        open_log(tmp_path)


async def test_pseudonyms_depend_on_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIT_KEY", "one")
    log = open_log(tmp_path, pseudonym_key="env:AUDIT_KEY")
    first = log.pseudonym("team-a")
    await log.close()
    monkeypatch.setenv("AUDIT_KEY", "two")
    log = open_log(tmp_path, pseudonym_key="env:AUDIT_KEY")
    assert log.pseudonym("team-a") != first
    assert log.pseudonym("team-a") == log.pseudonym("team-a") != log.pseudonym("team-b")
    assert "team" not in log.pseudonym("team-a")
    await log.close()


def test_a_missing_key_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("AUDIT_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"pseudonym_key: the environment variable AUDIT_KEY is not set"):
        open_log(tmp_path, pseudonym_key="env:AUDIT_KEY")


async def test_a_last_record_longer_than_a_block_is_read_whole(tmp_path):
    log = open_log(tmp_path)
    await log.append({"long": "x" * 300_000})
    await log.close()
    path = await written(tmp_path, 1)
    assert verify_chain(path) == ChainReport(2, None)
