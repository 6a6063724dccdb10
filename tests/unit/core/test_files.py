import sys
from pathlib import Path

import pytest

from workbench.core import ConfigError, StoreError
from workbench.core.files import (
    check_file,
    check_folder,
    read_json,
    read_jsonl,
    read_text,
    replacing,
    write_json,
    write_text,
)


def test_writing_replaces_the_whole_file(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"b": 2})
    assert read_json(path) == {"b": 2}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "good")

    def half(beside):
        beside.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="previous file is untouched"), replacing(path) as beside:
        half(beside)
    assert path.read_text() == "good"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_nan_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_json_lines_accept_mixed_line_ends_marks_and_empty_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n{"b": 2}\r{"c": 3}\n')
    assert [value for _, value in read_jsonl(path)] == [{"a": 1}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize(
    ("content", "says"), [(b'{"a": 1}\nnope\n', "line 2"), (b"[1]\n", "object is expected, found list")]
)
def test_a_bad_line_is_named(tmp_path, content, says):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        list(read_jsonl(path))


def test_reading_says_what_is_wrong(tmp_path):
    with pytest.raises(ConfigError, match="no suite at"):
        read_text(tmp_path / "gone", "suite")
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_text(tmp_path / "latin")
    with pytest.raises(ConfigError, match="cannot read"):
        read_text(tmp_path)
    write_text(tmp_path / "bad.json", '{"a": 1,\n oops}')
    with pytest.raises(ConfigError, match="line 2, column 2"):
        read_json(tmp_path / "bad.json")


def shown(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_folder_that_is_still_to_be_made_can_be_written_and_trying_leaves_nothing(tmp_path, monkeypatch):
    check_folder(tmp_path, "--out")
    check_folder(tmp_path / "a" / "b", "--out")
    check_file(tmp_path / "a" / "b.jsonl", "--study")
    monkeypatch.chdir(tmp_path)
    check_folder(Path("a/b"), "--out")
    assert shown(tmp_path) == []


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper" / "still"):
        with pytest.raises(ConfigError, match=r"--out .*/file is a file; name a folder"):
            check_folder(folder, "--out")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="a file system that takes no files from anybody")
def test_a_file_system_that_takes_no_files_is_found_out_by_trying():
    with pytest.raises(ConfigError, match=r"--save-policy /proc/policy cannot be written: "):
        check_folder(Path("/proc/policy"), "--save-policy")


def test_names_that_no_file_can_have_and_dangling_links_are_found_out(tmp_path):
    with pytest.raises(ConfigError, match="name too long"):
        check_folder(tmp_path / ("a" * 300), "--out")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match="link is no folder"):
        check_folder(tmp_path / "link", "--out")


def test_a_file_that_is_there_keeps_its_content_and_a_folder_is_no_file(tmp_path):
    (tmp_path / "study.jsonl").write_text("kept\n")
    check_file(tmp_path / "study.jsonl", "--study")
    assert (tmp_path / "study.jsonl").read_text() == "kept\n"
    with pytest.raises(ConfigError, match="is a folder; give a file in it"):
        check_file(tmp_path, "--study")


def test_what_the_disk_refuses_is_said_in_its_words(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("workbench.core.files.tempfile.mkstemp", refuse)
    with pytest.raises(ConfigError, match=r"cannot be written: Read-only file system; give another folder"):
        check_folder(tmp_path / "out", "--out")
