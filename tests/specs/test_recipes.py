"""Each method in its own settings for the data."""

import pytest
from command_line import call, tiny

from pointlora_cli.errors import UsageError
from pointlora_cli.specs.compatibility import METHODS, refusal
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.problems import SpecError
from pointlora_cli.specs.recipes import RECIPES, recipe_for, with_method

PRESETS = ("scanobjectnn-bg", "modelnet40-8k", "modelnet40-fewshot", "shapenetpart", "quickstart")


def settings(preset, method, *changes):
    spec = with_method(load_run_spec(preset=preset, overrides=changes), method)
    return spec.method, spec.backbone.drop_path, spec.optimizer.lr, spec.train.batch_size


@pytest.mark.parametrize(
    ("preset", "rank", "dropout", "prompts", "patches", "drop_path"),
    [
        ("scanobjectnn", 64, 0.2, "mean", "max", 0.3),
        ("scanobjectnn-bg", 64, 0.5, "mean", "max", 0.3),
        ("scanobjectnn-only", 64, 0.0, "mean", "none", 0.1),
        ("modelnet40", 72, 0.0, "none", "max", 0.1),
    ],
)
def test_dapt_has_its_released_table(preset, rank, dropout, prompts, patches, drop_path):
    method, rate, lr, batch = settings(preset, "dapt")
    assert (method.rank, method.dropout) == (rank, dropout)
    assert (method.prompt_pooling, method.patch_pooling) == (prompts, patches)
    assert (rate, lr, batch) == (drop_path, 5e-4, 32)


@pytest.mark.parametrize(
    ("preset", "backbone", "drop_path", "lr", "batch", "grouping"),
    [
        ("scanobjectnn", "point-mae", 0.3, 5e-4, 32, (None, None)),
        ("modelnet40", "point-mae", 0.3, 1e-4, 32, (None, None)),
        ("modelnet40-8k", "point-mae", 0.3, 1e-4, 22, (64, 32)),
        ("modelnet40-8k", "recon-plain", 0.3, 1e-4, 22, (None, None)),
        ("modelnet40-fewshot", "recon-plain", 0.3, 5e-4, 4, (None, None)),
        ("shapenetpart", "point-mae", 0.1, 2e-4, 16, (None, None)),
    ],
)
def test_ppt_has_its_released_table(preset, backbone, drop_path, lr, batch, grouping):
    method, *training = settings(preset, "ppt", f"backbone.name={backbone}")
    assert training == [drop_path, lr, batch]
    assert (method.centers, method.neighbors) == grouping
    assert method.width == (128 if preset == "shapenetpart" else 256)


def test_full_fine_tuning_of_recon_has_its_released_rates_and_no_other_method_has():
    spec = with_method(load_run_spec(preset="scanobjectnn", overrides=["backbone.name=recon"]), "full")
    optimizer = spec.optimizer
    assert (optimizer.lr, optimizer.head_lr_scale, optimizer.decay_head_biases) == (2e-5, 10, True)
    assert spec.backbone.drop_path == 0.2
    optimizer = with_method(spec, "lora").optimizer
    assert (optimizer.lr, optimizer.head_lr_scale, optimizer.decay_head_biases) == (5e-4, 1, False)


def test_a_recipe_may_set_the_patches():
    spec = with_method(
        load_run_spec(preset="modelnet40-fewshot", overrides=["backbone.name=recon-plain"]), "ppt"
    )
    assert (spec.tokenizer.centers, spec.tokenizer.neighbors) == (32, 64)


def test_nothing_of_the_presets_method_reaches_another():
    preset = load_run_spec(preset="scanobjectnn", overrides=["method.rank=3", "method.alpha=5"])
    method, drop_path, *_ = settings("scanobjectnn", "lora", "method.rank=3", "method.alpha=5")
    assert method == type(method)()
    assert (preset.backbone.drop_path, drop_path) == (0.3, 0.1)  # Point-MAE's own


def test_data_of_ones_own_keep_all_but_the_method():
    before = load_run_spec(preset="quickstart")
    after = with_method(before, "dapt")
    assert after.model_copy(update={"method": before.method}) == before


def test_the_same_method_leaves_the_run_as_it_is():
    spec = load_run_spec(preset="quickstart", overrides=["method.rank=3"])
    assert with_method(spec, "pointlora") is spec


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("method", METHODS)
def test_method_option_and_function_agree_and_every_preset_takes_every_method(preset, method):
    spec = load_run_spec(preset=preset)
    if refusal(spec.backbone.name, method, spec.task):
        for attempt in (
            lambda: with_method(spec, method),
            lambda: load_run_spec(preset=preset, method=method),
        ):
            with pytest.raises(UsageError, match=f"method {method} does not run"):
                attempt()
        return
    assert load_run_spec(preset=preset, method=method) == with_method(spec, method)


def test_file_and_overrides_go_over_the_recipe(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("method: {dropout: 0.4}\nbackbone: {drop_path: 0.25}\n")
    spec = load_run_spec(
        preset="modelnet40", method="dapt", spec_file=file, overrides=["method.dropout=0.45"]
    )
    assert (spec.method.rank, spec.method.dropout, spec.backbone.drop_path) == (72, 0.45, 0.25)


def test_the_recipe_is_that_of_the_data_in_the_end():
    spec = load_run_spec(preset="scanobjectnn", method="dapt", overrides=["data.variant=obj-only"])
    assert (spec.method.patch_pooling, spec.backbone.drop_path) == ("none", 0.1)


def test_two_methods_asked_for_are_refused(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("method: {name: lora}\n")
    for layers in ({"spec_file": file}, {"overrides": ["method.name=lora"]}):
        with pytest.raises(SpecError, match=r"method\.name: 'lora' is not the method of --method \(dapt\)"):
            load_run_spec(preset="quickstart", method="dapt", **layers)
    same = load_run_spec(preset="quickstart", method="lora", spec_file=file)
    assert same.method.name == "lora"


def test_unknown_methods_are_refused_with_the_nearest():
    for attempt in (lambda: with_method(load_run_spec(), "daptt"), lambda: load_run_spec(method="daptt")):
        with pytest.raises(UsageError, match=r"there is no method 'daptt'.*did you mean 'dapt'"):
            attempt()


def test_every_recipe_names_its_source_and_is_found():
    for recipe in RECIPES:
        assert "released" in recipe.source
        assert recipe.method.name in METHODS
    spec = load_run_spec(preset="scanobjectnn")
    assert recipe_for("pointlora", "point-mae", spec.data).drop_path == 0.3
    assert recipe_for("lora", "point-mae", spec.data) is None
    assert recipe_for("pointgst", "point-gpt", spec.data).lr == 1e-4


def test_a_folder_of_labelled_points_is_what_data_means_in_part_segmentation(tmp_path):
    spec = load_run_spec(preset="shapenetpart", data_root=tmp_path)
    assert (spec.data.source, spec.data.root) == ("segmentation-folder", str(tmp_path))
    spec = load_run_spec(data_root=tmp_path, overrides=["task=part-segmentation"])
    assert spec.data.source == "segmentation-folder"
    assert load_run_spec(preset="quickstart", data_root=tmp_path).data.source == "folder"


def test_the_option_reaches_the_run():
    options = (*tiny(scales=False), "--method", "vpt", "--json")
    assert call("validate", *options).document["spec"]["method"]["name"] == "vpt"
    assert call("inspect", *options).document["method"] == "vpt"
    assert call("finetune", *options, "--dry-run").document["spec"]["method"]["name"] == "vpt"
