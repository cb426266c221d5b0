"""Presets: found from anywhere, by name and alias; shown; copied without harm."""

from __future__ import annotations

from pathlib import Path

import pytest

import pointlora_cli
from pointlora_cli.errors import UsageError
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.presets import copy_preset, find_preset, list_presets, preset_text, presets_dir
from pointlora_cli.specs.problems import SpecError

TEXT = "# A comment.\naliases: [quick, q]\ndescription: Small.\ntrain: {epochs: 20}\n"


@pytest.fixture
def presets(tmp_path):
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "small.yaml").write_text(TEXT)
    (folder / "large.yaml").write_text("train: {epochs: 300}\n")
    (folder / "notes.txt").write_text("no preset")
    return folder


def test_are_listed_by_name_with_aliases_and_description(presets):
    large, small = list_presets(presets)
    assert (large.name, large.aliases, large.description) == ("large", (), "")
    assert (small.name, small.aliases, small.description) == ("small", ("quick", "q"), "Small.")
    assert small.path == presets / "small.yaml"


@pytest.mark.parametrize("name", ["small", "quick", "q"])
def test_are_found_by_name_and_alias(presets, name):
    assert find_preset(name, presets).name == "small"


def test_an_unknown_name_gets_the_list_and_the_near_match(presets):
    with pytest.raises(
        UsageError, match=r"no preset 'smal' \(presets: large, small\); did you mean 'small'\?"
    ):
        load_run_spec(preset="smal", presets=presets)


def test_a_name_never_leads_to_another_file(presets):
    with pytest.raises(UsageError, match="there is no preset"):
        find_preset("../presets/small", presets)


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "aliases: 3", "description: [x]", "train: {a: 1, a: 2}"])
def test_a_broken_file_is_named(presets, text):
    (presets / "broken.yaml").write_text(text)
    with pytest.raises(SpecError, match=r"broken\.yaml"):
        list_presets(presets)


def test_a_broken_file_bars_no_other_preset(presets):
    (presets / "broken.yaml").write_text("a: [")
    assert find_preset("small", presets).aliases == ("quick", "q")
    with pytest.raises(SpecError, match=r"broken\.yaml"):
        find_preset("broken", presets)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        list_presets(tmp_path / "none")


def test_text_is_shown_as_it_is(presets):
    assert preset_text("quick", presets) == TEXT


class TestCopy:
    def test_writes_the_text_to_a_new_file(self, presets, tmp_path):
        target = copy_preset("quick", tmp_path / "mine.yaml", presets)
        assert target.read_text() == TEXT
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mine.yaml"]

    def test_can_be_used_as_a_spec_file(self, presets, tmp_path):
        target = copy_preset("small", tmp_path / "mine.yaml", presets)
        assert load_run_spec(spec_file=target).train.epochs == 20

    def test_into_a_folder_keeps_the_name(self, presets, tmp_path):
        assert copy_preset("q", tmp_path, presets) == tmp_path / "small.yaml"

    def test_refuses_to_overwrite(self, presets, tmp_path):
        target = tmp_path / "mine.yaml"
        target.write_text("precious")
        with pytest.raises(UsageError, match="exists already"):
            copy_preset("small", target, presets)
        assert target.read_text() == "precious"

    def test_names_a_missing_folder(self, presets, tmp_path):
        with pytest.raises(UsageError, match="does not exist"):
            copy_preset("small", tmp_path / "none" / "mine.yaml", presets)

    def test_leaves_nothing_behind_when_writing_fails(self, presets, tmp_path, monkeypatch):
        def fail(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", fail)
        with pytest.raises(UsageError, match="No space left"):
            copy_preset("small", tmp_path / "mine.yaml", presets)
        assert [path.name for path in tmp_path.iterdir()] == ["presets"]


class TestFolder:
    def test_is_the_repositorys_for_an_editable_install_from_any_folder(self, tmp_path, monkeypatch):
        package = tmp_path / "somewhere" / "pointlora_cli"
        package.mkdir(parents=True)
        (package.parent / "presets").mkdir()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(pointlora_cli, "__file__", str(package / "__init__.py"))
        assert presets_dir() == package.parent / "presets"

    def test_is_the_packages_own_where_the_wheel_has_one(self, tmp_path, monkeypatch):
        package = tmp_path / "pointlora_cli"
        (package / "presets").mkdir(parents=True)
        (tmp_path / "presets").mkdir()
        monkeypatch.setattr(pointlora_cli, "__file__", str(package / "__init__.py"))
        assert presets_dir() == package / "presets"

    def test_missing_is_a_clear_error(self, tmp_path, monkeypatch):
        monkeypatch.setattr(pointlora_cli, "__file__", str(tmp_path / "pointlora_cli" / "__init__.py"))
        with pytest.raises(UsageError, match="presets that ship with pointlora are missing"):
            presets_dir()


class TestShipped:
    def test_each_loads_from_another_current_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for preset in list_presets():
            spec = load_run_spec(preset=preset.name)
            assert spec.description
            for alias in preset.aliases:
                assert load_run_spec(preset=alias) == spec

    def test_no_name_or_alias_is_taken_twice(self):
        names = [name for preset in list_presets() for name in (preset.name, *preset.aliases)]
        assert len(names) == len(set(names))

    def test_stand_in_the_installed_package_or_beside_it_in_the_repository(self):
        package = Path(pointlora_cli.__file__).resolve().parent
        assert presets_dir() in {package / "presets", package.parent / "presets"}
