"""Each method in its own settings for the data."""

import pytest
from command_line import call, tiny

from pointlora_cli.errors import UsageError
from pointlora_cli.specs.compatibility import METHODS, refusal
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.presets import preset_text
from pointlora_cli.specs.problems import SpecError
from pointlora_cli.specs.recipes import RECIPES, recipe_for, with_method

PRESETS = ("scanobjectnn-bg", "modelnet40-8k", "modelnet40-fewshot", "shapenetpart", "quickstart")

SMOOTHED = 0.2 * 40 / 39
HEAD = {"head_lr_scale": 10.0, "decay_head_biases": True}
LORA = {
    **{"scale_lora": False, "sites": ["qkv", "proj"], "prompt_sites": ["qkv", "proj"]},
    **{"block_input_prompts": True, "regularizer": {"scale_weights": [1.0, 0.25]}},
}

FROZEN = [
    # method, its options, data, backbones, points, drop path, what else
    ("pointlora", LORA, "scanobjectnn", "", None, 0.3, {}),
    ("dapt", {"dropout": 0.2}, "scanobjectnn/pb-t50-rs", "", None, 0.3, {}),
    ("dapt", {"dropout": 0.5}, "scanobjectnn/obj-bg", "", None, 0.3, {}),
    ("dapt", {"dropout": 0.0, "patch_pooling": "none"}, "scanobjectnn/obj-only", "", None, 0.1, {}),
    ("dapt", {"rank": 72, "dropout": 0.0, "prompt_pooling": "none"}, "modelnet40", "", None, 0.1, {}),
    ("ppt", {}, "scanobjectnn", "", None, 0.3, {}),
    ("ppt", {}, "modelnet40", "", 1024, 0.3, {"lr": 1e-4}),
    (
        "ppt",
        {"centers": 64, "neighbors": 32},
        "modelnet40",
        "point-mae",
        8192,
        0.3,
        {"lr": 1e-4, "batch_size": 22},
    ),
    ("ppt", {}, "modelnet40", "recon-plain", 8192, 0.3, {"lr": 1e-4, "batch_size": 22}),
    (
        "ppt",
        {},
        "modelnet40-fewshot",
        "recon-plain",
        None,
        0.3,
        {"batch_size": 4, "centers": 32, "neighbors": 64},
    ),
    ("ppt", {"width": 128}, "shapenetpart", "", None, None, {"lr": 2e-4}),
    ("idpt", {}, "scanobjectnn", "", None, 0.1, {}),
    ("idpt", {}, "modelnet40", "", None, 0.1, {}),
    ("idpt", {}, "modelnet40-fewshot", "", None, 0.1, {}),
    ("idpt", {}, "shapenetpart", "", None, None, {"lr": 2e-4}),
    ("point-peft", {}, "scanobjectnn", "", None, 0.1, {}),
    ("pointgst", {}, "scanobjectnn", "point-gpt", None, 0.2, {"lr": 1e-4, "batch_size": 64}),
    ("pointgst", {}, "modelnet40", "point-gpt", None, 0.2, {"lr": 1e-4, "batch_size": 128}),
    ("pointgst", {}, "scanobjectnn", "", None, 0.1, {}),
    ("pointgst", {}, "modelnet40", "", None, 0.1, {}),
    ("full", {}, "scanobjectnn", "recon", None, 0.2, {"lr": 2e-5, **HEAD}),
    ("full", {}, "modelnet40", "recon", None, 0.2, {"lr": 1e-5, **HEAD}),
    ("full", {}, "modelnet40-fewshot", "recon", None, 0.1, HEAD),
    ("full", {}, "shapenetpart", "recon", None, None, {"lr": 1e-4, "head_lr_scale": 10.0}),
    ("linear", {}, "scanobjectnn", "recon", None, None, {"lr": 1e-4, **HEAD}),
    ("linear", {}, "modelnet40", "recon", 8192, None, {"lr": 5e-5, **HEAD}),
    ("linear", {}, "modelnet40", "recon", None, None, {"lr": 1e-4, **HEAD}),
    ("mlp3", {}, "scanobjectnn", "recon", None, None, {"lr": 1e-4, **HEAD}),
    ("mlp3", {}, "modelnet40", "recon", 8192, None, {"lr": 5e-5, **HEAD}),
    ("mlp3", {}, "modelnet40", "recon", None, None, {"lr": 1e-4, **HEAD}),
    ("full", {}, "scanobjectnn", "point-bert", None, None, {"label_smoothing": SMOOTHED}),
    ("full", {}, "modelnet40", "point-bert", None, None, {"label_smoothing": SMOOTHED}),
    ("full", {}, "modelnet40-fewshot", "point-bert", None, None, {"label_smoothing": SMOOTHED}),
]


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


def test_two_methods_asked_for_are_refused():
    with pytest.raises(SpecError, match=r"method\.name: 'lora' is not the method of --method \(dapt\)"):
        load_run_spec(preset="quickstart", method="dapt", overrides=["method.name=lora"])


def test_a_file_for_another_method_counts_as_the_preset(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(preset_text("scanobjectnn"))  # of PointLoRA, with its drop path of 0.3
    own = load_run_spec(spec_file=file, method="pointlora")
    assert (own.method.name, own.backbone.drop_path) == ("pointlora", 0.3)
    other = load_run_spec(spec_file=file, method="idpt")
    assert other.model_copy(update={"name": "x"}) == load_run_spec(
        preset="scanobjectnn", method="idpt"
    ).model_copy(update={"name": "x"})
    assert (other.method.name, other.backbone.drop_path) == ("idpt", 0.1)
    changed = load_run_spec(spec_file=file, method="idpt", overrides=["backbone.drop_path=0.2"])
    assert changed.backbone.drop_path == 0.2


def test_unknown_methods_are_refused_with_the_nearest():
    for attempt in (lambda: with_method(load_run_spec(), "daptt"), lambda: load_run_spec(method="daptt")):
        with pytest.raises(UsageError, match=r"there is no method 'daptt'.*did you mean 'dapt'"):
            attempt()


def test_no_recipe_has_changed():
    found = []
    for recipe in RECIPES:
        values = recipe.values()
        options = {key: value for key, value in values.pop("method").items() if key != "name"}
        drop_path = values.pop("backbone", {}).get("drop_path")
        rest = {key: value for section in values.values() for key, value in section.items()}
        backbones = ",".join(recipe.backbones)
        found.append((recipe.method.name, options, recipe.data, backbones, recipe.points, drop_path, rest))
    assert found == FROZEN


@pytest.mark.parametrize("method", ["full", "linear", "lora", "pointgst"])
@pytest.mark.parametrize(("preset", "batch"), [("scanobjectnn", 64), ("modelnet40", 128)])
def test_point_gpt_has_its_own_rate_batch_and_drop_path_with_every_method(preset, batch, method):
    spec = load_run_spec(preset=preset, method=method, overrides=["backbone.name=point-gpt"])
    training = (spec.backbone.drop_path, spec.optimizer.lr, spec.train.batch_size)
    assert training == (0.2, 1e-4, batch)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_point_m2ae_has_the_network_and_the_loss_of_modelnet40_there(method):
    spec = load_run_spec(preset="modelnet40", method=method, overrides=["backbone.name=point-m2ae"])
    assert (spec.backbone.neighbors, spec.backbone.pooling) == ((16, 8, 8), "sum")
    assert spec.train.label_smoothing == 0.3
    spec = load_run_spec(preset="scanobjectnn", method=method, overrides=["backbone.name=point-m2ae"])
    assert (spec.backbone.neighbors, spec.backbone.pooling) == ((32, 16, 16), "concat")
    assert spec.train.label_smoothing == 0


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
