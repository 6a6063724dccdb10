import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import StoreError
from workbench.core.journal import Journal, read_journal

records = st.lists(
    st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.integers() | st.none(), max_size=3), max_size=6
)


@given(records=records, cut=st.floats(0, 1))
def test_a_journal_cut_anywhere_gives_back_a_prefix_and_goes_on(tmp_path_factory, records, cut):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path) as journal:
        journal.append(records)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * len(whole))])
    kept = list(read_journal(path))
    assert kept == records[: len(kept)]
    with Journal(path) as journal:
        journal.append([{"after": "crash"}])
    assert list(read_journal(path)) == [*kept, {"after": "crash"}]


def test_a_journal_tells_how_much_it_cut_off(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b"')
    with Journal(path) as journal:
        assert journal.recovered_bytes == 4


def test_a_long_torn_line_is_found_from_the_end(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"a": 1}\n' + b"x" * 200_000)
    with Journal(path):
        pass
    assert list(read_journal(path)) == [{"a": 1}]


def test_a_second_writer_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path), pytest.raises(StoreError, match="another process"):
        Journal(path)


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append([{"kept": 1}])

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fdatasync", full)
        with pytest.raises(StoreError, match="No space left"):
            journal.append([{"lost": 1}, {"lost": 2}])
        monkeypatch.undo()
        journal.append([{"next": 1}])
    assert list(read_journal(path)) == [{"kept": 1}, {"next": 1}]


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text(json.dumps({"a": 1}) + "\nnot json\n" + json.dumps({"b": 1}) + "\n")
    with pytest.raises(StoreError, match="line 2"):
        list(read_journal(path))
