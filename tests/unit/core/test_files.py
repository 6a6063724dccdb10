import pytest

from workbench.core import ConfigError, StoreError
from workbench.core.files import read_json, read_jsonl, read_text, replacing, write_json, write_text


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
