"""Precedence, switching of unions, names and files of run specs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointlora_cli.errors import ExitCode, UsageError
from pointlora_cli.specs.data import FolderData
from pointlora_cli.specs.loading import load_run_spec, run_spec_schema
from pointlora_cli.specs.method import FullMethod, LoRAMethod, VPTMethod
from pointlora_cli.specs.pointlora import PointLoRAMethod
from pointlora_cli.specs.problems import SpecError
from pointlora_cli.specs.run import RunSpec


@pytest.fixture
def presets(tmp_path):
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "base.yaml").write_text(
        "aliases: [start]\ndescription: A preset.\n"
        "data: {source: shapes, points: 512, noise: 0.02}\n"
        "method: {name: pointlora, rank: 4, prompt_width: 16}\n"
        "train: {epochs: 20, batch_size: 16}\n"
        "optimizer: {lr: 0.001, betas: [0.8, 0.99]}\n"
    )
    (folder / "scans.yaml").write_text(
        "data: {source: scanobjectnn, root: data/scans, points: 1500, normalize: center}\n"
    )
    return folder


@pytest.fixture
def write(tmp_path):
    def write_file(text: str, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def problems_of(**given):
    with pytest.raises(SpecError) as caught:
        load_run_spec(**given)
    assert caught.value.exit_code == ExitCode.USAGE
    return {problem.key: problem for problem in caught.value.problems}


class TestPrecedence:
    def test_nothing_given_is_the_default_spec(self):
        assert load_run_spec() == RunSpec()

    def test_preset_beats_defaults(self, presets):
        spec = load_run_spec(preset="base", presets=presets)
        assert (spec.train.epochs, spec.train.batch_size, spec.train.eval_batch_size) == (20, 16, 64)

    def test_spec_file_beats_preset(self, presets, write):
        spec = load_run_spec(preset="base", spec_file=write("train: {epochs: 30}"), presets=presets)
        assert (spec.train.epochs, spec.train.batch_size) == (30, 16)

    def test_data_root_beats_spec_file(self, write):
        file = write("data: {source: folder, root: elsewhere, points: 256, test_fraction: 0.4}")
        spec = load_run_spec(spec_file=file, data_root=Path("my/clouds"))
        assert spec.data == FolderData(root="my/clouds", points=256, test_fraction=0.4)

    def test_set_beats_everything_and_the_last_one_wins(self, presets, write):
        spec = load_run_spec(
            preset="base",
            presets=presets,
            spec_file=write("train: {epochs: 30}"),
            data_root=Path("my/clouds"),
            overrides=["train.epochs=40", "data.root=other", "train.epochs=50"],
        )
        assert spec.train.epochs == 50
        assert spec.data.root == "other"

    def test_lists_replace(self, presets, write):
        spec = load_run_spec(
            preset="base", presets=presets, spec_file=write("optimizer: {betas: [0.7, 0.9]}")
        )
        assert spec.optimizer.betas == (0.7, 0.9)
        assert spec.optimizer.lr == 0.001

    def test_a_mapping_of_set_is_merged(self, presets):
        spec = load_run_spec(preset="base", presets=presets, overrides=["optimizer={lr: 1e-2}"])
        assert (spec.optimizer.lr, spec.optimizer.betas) == (0.01, (0.8, 0.99))

    def test_loading_leaves_the_preset_as_it_is(self, presets):
        load_run_spec(preset="base", presets=presets, overrides=["optimizer.betas.0=0.5"])
        assert load_run_spec(preset="base", presets=presets).optimizer.betas == (0.8, 0.99)

    def test_a_section_that_names_no_member_is_of_the_default_one(self):
        spec = load_run_spec(overrides=["data.points=512", "method.rank=2"])
        assert spec.data.source == "shapes"
        assert isinstance(spec.method, PointLoRAMethod)

    def test_an_indexed_override_changes_an_item_of_the_default_list(self):
        scales = load_run_spec(overrides=["method.scales.0.keep=16"]).method.scales
        assert [(scale.centers, scale.keep) for scale in scales] == [(128, 16), (64, 8)]

    def test_an_indexed_override_changes_the_default_of_the_variant(self):
        spec = load_run_spec(overrides=["method.sites.1=proj", "method.variant=paper"])
        assert spec.method.sites == ("qkv", "proj", "fc2")


class TestSwitchingUnions:
    def test_set_to_another_method_drops_the_options_of_the_preset(self, presets):
        spec = load_run_spec(preset="base", presets=presets, overrides=["method.name=full"])
        assert spec.method == FullMethod()

    def test_common_options_of_the_preset_are_kept(self, presets):
        spec = load_run_spec(preset="base", presets=presets, overrides=["method.name=lora"])
        assert spec.method == LoRAMethod(rank=4)

    def test_the_variant_of_one_method_is_not_that_of_another(self, presets):
        (presets / "paper.yaml").write_text("method: {name: pointlora, variant: paper}\n")
        spec = load_run_spec(preset="paper", presets=presets, overrides=["method.name=vpt"])
        assert spec.method == VPTMethod()

    def test_a_spec_file_switches_too(self, presets, write):
        file = write("method: {name: linear}\ndata: {source: folder, root: here}")
        spec = load_run_spec(preset="base", presets=presets, spec_file=file)
        assert spec.method.name == "linear"
        assert spec.data == FolderData(root="here", points=512)

    def test_a_mapping_of_set_switches_too(self, presets):
        spec = load_run_spec(preset="base", presets=presets, overrides=["method={name: full}"])
        assert spec.method == FullMethod()

    def test_set_back_to_the_member_of_the_preset_keeps_its_options(self, presets, write):
        file = write("method: {name: full}")
        spec = load_run_spec(
            preset="base", presets=presets, spec_file=file, overrides=["method.name=pointlora"]
        )
        assert (spec.method.rank, spec.method.prompt_width) == (4, 16)

    def test_options_of_the_users_own_are_refused(self, presets, write):
        file = write("method: {prompt_width: 8}")
        problems = problems_of(
            preset="base", presets=presets, spec_file=file, overrides=["method.name=full", "method.rank=2"]
        )
        assert set(problems) == {"method.prompt_width", "method.rank"}

    def test_the_folder_of_one_source_is_not_that_of_another(self, presets):
        problems = problems_of(preset="scans", presets=presets, overrides=["data.source=folder"])
        assert set(problems) == {"data.root"}
        assert "missing" in problems["data.root"].message

    def test_data_root_switches_the_source_and_keeps_points_and_normalize(self, presets):
        spec = load_run_spec(preset="scans", presets=presets, data_root=Path("my/clouds"))
        assert spec.data == FolderData(root="my/clouds", points=1500, normalize="center")

    def test_data_root_drops_options_of_another_source_in_the_spec_file(self, write):
        file = write("data: {source: shapes, points: 700, noise: 0.1}")
        spec = load_run_spec(spec_file=file, data_root=Path("clouds"))
        assert spec.data == FolderData(root="clouds", points=700)

    def test_data_root_drops_no_slip_of_the_pen(self, write):
        file = write("data: {source: shapes, pionts: 700}")
        assert set(problems_of(spec_file=file, data_root=Path("clouds"))) == {"data.pionts"}

    def test_an_unknown_member_is_the_only_problem(self, presets):
        problems = problems_of(preset="base", presets=presets, overrides=["method.name=pointlroa"])
        assert set(problems) == {"method.name"}
        assert problems["method.name"].suggestion == "did you mean 'pointlora'?"


class TestName:
    def test_is_that_of_the_preset_even_through_an_alias(self, presets):
        assert load_run_spec(preset="start", presets=presets).name == "base"

    def test_is_the_stem_of_the_spec_file_as_a_slug(self, write):
        assert load_run_spec(spec_file=write("task: classification", "Örtlich, 2 (b).yaml")).name == (
            "Ortlich-2-b"
        )

    def test_is_the_folder_of_data(self):
        assert load_run_spec(data_root=Path("some/My chairs/")).name == "My-chairs"

    def test_is_the_current_folder_for_a_dot(self, tmp_path, monkeypatch):
        (tmp_path / "chairs").mkdir()
        monkeypatch.chdir(tmp_path / "chairs")
        spec = load_run_spec(data_root=Path())
        assert (spec.name, spec.data.root) == ("chairs", ".")

    def test_falls_back_where_nothing_of_it_can_be_written(self):
        assert load_run_spec(data_root=Path("点云")).name == "run"

    def test_given_is_kept(self, presets):
        assert load_run_spec(preset="base", presets=presets, overrides=["name=mine"]).name == "mine"


class TestWeights:
    def test_random_weights_put_those_of_the_preset_aside(self, write):
        for layer in (
            {"overrides": ["backbone.init=random"]},
            {"overrides": ["backbone={init: random}"]},
            {"spec_file": write("backbone: {init: random}")},
        ):
            spec = load_run_spec(preset="quickstart", **layer)
            assert (spec.backbone.init, spec.backbone.weights, spec.backbone.width) == ("random", None, 120)

    def test_the_last_to_say_where_a_run_starts_counts(self):
        changes = ["backbone.init=random", "backbone.init=checkpoint"]
        assert load_run_spec(preset="quickstart", overrides=changes).backbone.weights == "embedded"

    def test_random_weights_put_those_of_a_file_below_aside(self, write):
        file = write("backbone: {weights: own.pth}")
        assert load_run_spec(spec_file=file, overrides=["backbone.init=random"]).backbone.weights is None

    def test_random_weights_beside_a_file_of_ones_own_are_refused(self, write):
        file = write("backbone: {init: random, weights: own.pth}")
        assert (
            "init is 'random'" in problems_of(preset="quickstart", spec_file=file)["backbone.weights"].message
        )


def test_another_task_puts_the_head_of_the_preset_aside():
    other = ["task=part-segmentation", "data={source: segmentation-folder, root: a}", "method.name=full"]
    spec = load_run_spec(preset="quickstart", overrides=other)
    assert spec.head == type(spec.head)()
    assert load_run_spec(preset="quickstart", overrides=["task=classification"]).head.width == 64


class TestFiles:
    def test_a_folder_whose_name_is_no_utf8_is_a_problem(self):
        assert set(problems_of(data_root=Path("clouds\udcff"))) == {"data.root"}

    def test_json_is_accepted(self, write):
        spec = load_run_spec(spec_file=write(json.dumps({"train": {"epochs": 12}}), "mine.json"))
        assert spec.train.epochs == 12

    def test_a_byte_order_mark_is_accepted(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_bytes(b"\xef\xbb\xbftrain: {epochs: 12}\r\n")
        assert load_run_spec(spec_file=path).train.epochs == 12

    def test_an_exponent_without_a_point_is_a_number(self, write):
        assert load_run_spec(spec_file=write("optimizer: {lr: 1e-4}")).optimizer.lr == 1e-4

    def test_relative_paths_stay_as_they_are(self, write):
        file = write("data: {source: folder, root: sub/clouds}\nbackbone: {weights: w.pth}")
        spec = load_run_spec(spec_file=file)
        assert (spec.data.root, spec.backbone.weights) == ("sub/clouds", "w.pth")

    def test_the_aliases_of_a_copied_preset_do_no_harm(self, presets):
        spec = load_run_spec(spec_file=presets / "base.yaml")
        assert spec == load_run_spec(preset="base", presets=presets)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "is empty"),
            (b"# nothing\n", "is empty"),
            (b"- 1\n", "must hold a mapping of keys, got [1]"),
            (b"just text", "must hold a mapping of keys, got 'just text'"),
            (b"train: {epochs: 1", "is not valid YAML at line 1"),
            (b"train:\n\tepochs: 1", "line 2"),
            (b"a: 1\n---\nb: 2\n", "single document"),
            (b"a: !!python/object:os.system x\n", "unknown tag"),
            (b"a: \x01\n", "control character"),
            (b'a: "\\UFFFFFFFF"\n', "no character"),
            (b'a: "\\ud800"\n', "no character"),
            (b"[" * 5000, "nested more than"),
            (b"train: {seed: " + b"9" * 5000 + b"}", "more than 100 digits"),
        ],
    )
    def test_text_that_is_no_spec_is_a_problem_that_names_the_file(self, tmp_path, content, words):
        path = tmp_path / "broken.yaml"
        path.write_bytes(content)
        with pytest.raises(SpecError, match=r"broken\.yaml") as caught:
            load_run_spec(spec_file=path)
        assert words in caught.value.message

    @pytest.mark.parametrize("content", ['{"a": 1,}', "[" * 100_000, '{"a": ' + "9" * 5000 + "}", "", "[]"])
    def test_json_that_is_no_spec_is_a_problem(self, write, content):
        with pytest.raises(SpecError, match=r"mine\.json"):
            load_run_spec(spec_file=write(content, "mine.json"))

    def test_duplicate_keys_are_named_with_their_lines(self, write):
        file = write("train:\n  epochs: 1\n  seed: 2\n  epochs: 3\noptimizer: {lr: 1, lr: 2}\n")
        problems = problems_of(spec_file=file, overrides=["schedule.warmup_epochs=0"])
        assert set(problems) == {"train.epochs", "optimizer.lr"}
        assert "at line 4 (first at line 2)" in problems["train.epochs"].message

    def test_duplicate_keys_in_json_are_named(self, write):
        problems = problems_of(spec_file=write('{"train": {"seed": 1, "seed": 2}}', "mine.json"))
        assert set(problems) == {"seed"}

    def test_billion_laughs_are_refused_at_once(self, write):
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
        with pytest.raises(SpecError, match="once its aliases are written out"):
            load_run_spec(spec_file=write("\n".join(lines)))

    def test_an_alias_to_itself_is_refused(self, write):
        with pytest.raises(SpecError, match="nested more than"):
            load_run_spec(spec_file=write("a: &a [*a]"))

    def test_a_plain_alias_is_fine(self, write):
        spec = load_run_spec(spec_file=write("train: {seed: &seed 7}\ndata: {source: shapes, seed: *seed}"))
        assert (spec.train.seed, spec.data.seed) == (7, 7)

    def test_a_missing_file_gets_the_near_name(self, write):
        write("task: classification", "experiment.yaml")
        with pytest.raises(
            UsageError, match=r"experimnt\.yaml: there is no such file; did you mean '.*experiment\.yaml'"
        ):
            load_run_spec(spec_file=write("", "x").with_name("experimnt.yaml"))

    def test_a_missing_folder_is_a_usage_error(self, tmp_path):
        with pytest.raises(UsageError, match="there is no such file"):
            load_run_spec(spec_file=tmp_path / "none" / "x.yaml")

    def test_a_folder_is_a_usage_error(self, tmp_path):
        with pytest.raises(UsageError, match="is a folder"):
            load_run_spec(spec_file=tmp_path)

    def test_text_in_another_encoding_is_a_usage_error(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_bytes("name: é".encode("latin-1"))
        with pytest.raises(UsageError, match="is not UTF-8"):
            load_run_spec(spec_file=path)

    def test_a_huge_file_is_a_usage_error(self, write):
        with pytest.raises(UsageError, match="larger than"):
            load_run_spec(spec_file=write("a: 1\n" * 100_000))

    def test_a_path_with_a_null_byte_is_a_usage_error(self):
        with pytest.raises(UsageError, match="cannot be read"):
            load_run_spec(spec_file=Path("a\0b.yaml"))

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every file")
    def test_a_file_without_permission_is_a_usage_error(self, write):
        path = write("task: classification")
        path.chmod(0)
        with pytest.raises(UsageError, match="no permission"):
            load_run_spec(spec_file=path)

    def test_permission_refused_by_the_system_is_a_usage_error(self, write, monkeypatch):
        path = write("task: classification")

        def refuse(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(UsageError, match="no permission"):
            load_run_spec(spec_file=path)


class TestSeveralProblems:
    def test_of_file_overrides_and_models_are_reported_at_once(self, presets, write):
        file = write("train: {epoch: 3, seed: 1, seed: 2}\nmethod: {rank: ten}\nbackbone: {heads: 5}\n")
        problems = problems_of(
            preset="base",
            presets=presets,
            spec_file=file,
            overrides=["nothing", "method.scales.9.keep=1", "data.source=fodler", "optimizer.lr=fast"],
        )
        assert set(problems) == {
            "train.seed",
            "'nothing'",
            "method.scales.9",
            "train.epoch",
            "method.rank",
            "backbone.heads",
            "data.source",
            "optimizer.lr",
        }

    def test_a_malformed_file_and_malformed_overrides_are_reported_at_once(self, write):
        problems = problems_of(spec_file=write("a: ["), overrides=["x", "=3"])
        assert set(problems) == {"", "'x'", "'=3'"}

    def test_the_error_names_its_layers(self, presets):
        with pytest.raises(SpecError) as caught:
            load_run_spec(preset="base", presets=presets, overrides=["train.epochs=0"])
        assert caught.value.source == "the run spec (preset base, --set)"

    def test_a_problem_of_two_origins_is_listed_once(self):
        problems = problems_of(overrides=["optimizer.lr=false"])
        assert set(problems) == {"optimizer.lr"}


def test_the_schema_describes_every_section():
    schema = run_spec_schema()
    assert set(schema["properties"]) == set(RunSpec.model_fields)
    assert json.loads(json.dumps(schema)) == schema


def test_specs_import_neither_torch_nor_open3d():
    code = (
        "import sys, pkgutil, importlib, pointlora_cli.specs as specs\n"
        "for module in pkgutil.iter_modules(specs.__path__):\n"
        "    importlib.import_module('pointlora_cli.specs.' + module.name)\n"
        "print([name for name in ('torch', 'open3d', 'numpy', 'h5py') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
