import json

import pytest

from workbench.core import ConfigError, StoreError
from workbench.release.folder import building, check_seal


def build(out, text="hello", **options):
    with building(out, **options) as folder:
        (folder / "policy").mkdir()
        (folder / "policy" / "policy.json").write_text(text)


def test_a_built_folder_passes_its_own_check(tmp_path):
    build(tmp_path / "release")
    check_seal(tmp_path / "release")


def test_a_failure_while_building_leaves_nothing_behind(tmp_path):
    with pytest.raises(StoreError), building(tmp_path / "release") as folder:
        [(folder / "half").mkdir() for _ in range(2)]
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_replacing_leaves_the_old_release(tmp_path):
    build(tmp_path / "release", "old")
    with pytest.raises(RuntimeError), building(tmp_path / "release", replace=True):
        raise RuntimeError
    assert (tmp_path / "release" / "policy" / "policy.json").read_text() == "old"
    check_seal(tmp_path / "release")


def test_replacing_leaves_the_new_release_alone(tmp_path):
    build(tmp_path / "release", "old")
    build(tmp_path / "release", "new", replace=True)
    assert (tmp_path / "release" / "policy" / "policy.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_a_release_is_not_replaced_unasked(tmp_path):
    build(tmp_path / "release")
    with pytest.raises(ConfigError, match="--replace"):
        build(tmp_path / "release")


def test_a_folder_that_is_no_release_is_never_replaced(tmp_path):
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="is not a release"):
        build(tmp_path / "release", replace=True)
    assert (tmp_path / "release" / "thesis.txt").exists()


def test_every_kind_of_change_is_named(tmp_path):
    with building(tmp_path / "release") as folder:
        for name in ("kept", "edited", "removed"):
            (folder / name).write_text(name)
    (tmp_path / "release" / "edited").write_text("other")
    (tmp_path / "release" / "removed").unlink()
    (tmp_path / "release" / "extra").write_text("new")
    with pytest.raises(StoreError, match="edited was changed; extra was added; removed is missing"):
        check_seal(tmp_path / "release")


def test_a_folder_without_a_manifest_is_no_release(tmp_path):
    with pytest.raises(ConfigError, match="it has no manifest"):
        check_seal(tmp_path)


def test_a_manifest_of_a_newer_version_is_refused(tmp_path):
    build(tmp_path / "release")
    manifest = tmp_path / "release" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema_version": 99}))
    with pytest.raises(StoreError, match="newer version"):
        check_seal(tmp_path / "release")
