"""What is published, as data; and what of it may stand beside a run."""

from pathlib import Path

import pytest

from pointlora_cli.catalog.results import published_results
from pointlora_cli.services.published import augmentation_kind, matching, shown_beside
from pointlora_cli.specs.compatibility import BACKBONES, METHODS
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.training import AugmentationSpec

FROZEN = Path(__file__).with_name("published_rows.txt")
DATA = {
    *(f"scanobjectnn/{variant}" for variant in ("obj-bg", "obj-only", "pb-t50-rs")),
    *(f"modelnet40-fewshot/{way}w{shot}s" for way in (5, 10) for shot in (10, 20)),
    "modelnet40",
    "shapenetpart",
}
ROTATED = ("augmentation.scale=null", "augmentation.translate=0", "augmentation.rotate=y")


def beside(preset, method, *changes, folds=None):
    spec = load_run_spec(preset=preset, method=method, overrides=changes)
    return [result.text for result in shown_beside(spec, folds)]


def row(result):
    deviation = "" if result.std is None else f" ± {result.std:.1f}"
    return " | ".join(
        (
            *(result.data, result.backbone, result.method, result.metric, f"{result.value:.2f}{deviation}"),
            *(str(result.trained_millions), str(result.augmentation), str(result.points)),
            "voted" if result.voted else "single",
            "verified" if result.verified else "unverified",
        )
    )


def test_no_digit_of_what_is_published_has_changed():
    assert [row(result) for result in published_results()] == FROZEN.read_text(encoding="utf-8").splitlines()


def test_every_row_is_of_a_known_data_set_and_names_its_source():
    results = published_results()
    assert {result.data for result in results} == DATA
    assert all(len(result.source) > 5 for result in results)
    assert {result.metric for result in results if result.data != "shapenetpart"} == {"accuracy"}
    assert {result.metric for result in results if result.data == "shapenetpart"} == {
        "class mIoU",
        "instance mIoU",
    }


def test_no_number_is_there_twice():
    rows = [result.model_dump(exclude={"value", "std", "trained_millions"}) for result in published_results()]
    assert all(row not in rows[:place] for place, row in enumerate(rows))


def test_backbones_and_methods_that_are_built_go_by_their_names_here():
    results = published_results()
    assert {result.backbone for result in results} - set(BACKBONES) == {"recon-smc", "not stated"}
    others = {"gaprompt", "pma", "most", "prefix-tuning", "adaptformer", "bi-adaptformer"}
    others |= {"dept", "fact", "sct"}
    assert {result.method for result in results} <= set(METHODS) | others


@pytest.mark.parametrize(
    ("preset", "method", "shown"),
    [
        ("scanobjectnn", "pointlora", ["85.53"]),
        ("scanobjectnn-bg", "pointgst", ["91.74"]),
        ("scanobjectnn-only", "dapt", ["90.19"]),
        ("scanobjectnn", "full", ["85.18"]),
        ("scanobjectnn", "bitfit", ["82.62 (unverified)"]),
        ("modelnet40", "full", ["93.2"]),
        ("shapenetpart", "full", ["86.1", "84.19 (unverified)"]),
    ],
)
def test_the_published_row_stands_beside_the_published_protocol(preset, method, shown):
    assert beside(preset, method) == shown


@pytest.mark.parametrize(
    "change",
    [
        "train.selection=last",
        "train.epochs=20",
        "schedule.length=20",
        "augmentation.translate=0.1",
        "data.points=1024",
        "tokenizer.centers=64",
        "backbone.depth=6",
        "backbone.init=random",
        "backbone.weights=point-mae/scan_hardest",
        "method.rank=4",
        "backbone.weights=checkpoints/pretrain.pth",
        "backbone.drop_path=0.1",
        "optimizer.lr=0.001",
        "optimizer.weight_decay=0.1",
        "optimizer.clip_norm=null",
        "optimizer.double_step=true",
        "schedule.warmup_epochs=0",
        "schedule.lag=0",
        "augmentation.shuffle=false",
        "train.batch_size=64",
        "train.label_smoothing=0.1",
        "train.drop_last=false",
        "train.eval_every=2",
    ],
)
def test_nothing_stands_beside_another_protocol(change):
    assert beside("scanobjectnn", None, change) == []


@pytest.mark.parametrize(
    "change",
    [
        "train.seed=3",
        "train.device=cpu",
        "train.precision=float32",
        "train.eval_batch_size=16",
        "train.epochs=300",
        "schedule.length=null",
        "name=mine",
        "data.root=elsewhere",
        "data.replace_near_origin=false",
        "tokenizer.skip_near_origin=false",
        "backbone.weights=point-mae/pretrain",
    ],
)
def test_what_is_the_users_own_choice_hides_nothing(change):
    assert beside("scanobjectnn", None, change) == ["85.53"]


def test_the_points_that_a_step_draws_from_are_part_of_the_protocol():
    assert beside("modelnet40", "full", "data.candidates=1200") == ["93.2"]
    assert beside("modelnet40", "full", "data.candidates=8192") == []
    four = ("data.points=4096", "tokenizer.centers=256", "backbone.name=point-bert")
    assert beside("modelnet40", "full", *four) == []  # whose patches are not known


def test_means_over_ten_published_folds_stand_beside_nothing_else():
    assert beside("modelnet40-fewshot", "idpt") == []
    assert beside("modelnet40-fewshot", "idpt", folds=10) == ["97.3 ± 2.1"]
    assert beside("modelnet40-fewshot", "idpt", folds=9) == []
    assert beside("modelnet40-fewshot", "idpt", "data.episodes=generated", folds=10) == []
    assert beside("modelnet40-fewshot", "idpt", "data.outputs=null", folds=10) == []
    assert beside("modelnet40", "full", folds=10) == []


def test_part_segmentation_is_shown_with_what_was_done_otherwise():
    for change in ("optimizer.double_step=true", "data.test_sampling=with-replacement"):
        assert beside("shapenetpart", "full", change)[0] == "86.1"
    for result in shown_beside(load_run_spec(preset="shapenetpart", method="full")):
        assert "with a double step and redrawn test points" in result.origin


@pytest.mark.parametrize(("preset", "method"), [("shapenetpart", "idpt"), ("shapenetpart", "dapt")])
def test_a_result_of_other_trained_parameters_stands_beside_nothing(preset, method):
    spec = load_run_spec(preset=preset, method=method)
    assert matching(spec) != []
    assert shown_beside(spec) == []


@pytest.mark.parametrize("method", ["mlp3", "vpt", "adapter", "lora", "ssf"])
def test_the_table_whose_augmentation_is_not_stated_stands_beside_nothing(method):
    spec = load_run_spec(preset="scanobjectnn", method=method)
    assert matching(spec) != []
    assert shown_beside(spec) == []


def test_point_bert_is_published_with_its_own_smoothing():
    changes = ("backbone.name=point-bert", "data.points=1024", "tokenizer.centers=64")
    assert beside("scanobjectnn", "full", *changes) == ["83.07"]
    assert beside("scanobjectnn", "full", *changes, "train.label_smoothing=0") == []


def test_point_m2ae_is_published_with_the_network_of_each_data_set():
    changes = ("backbone.name=point-m2ae", "tokenizer.centers=9")  # which gives it no sizes
    assert beside("scanobjectnn", "full", *changes) == ["86.43"]
    assert beside("scanobjectnn", "full", *changes, "backbone.pooling=sum") == []
    assert beside("modelnet40", "full", *changes) == []  # 15.3 million are trained there
    assert beside("modelnet40-fewshot", "full", *changes, folds=10) == []


def test_rows_of_another_augmentation_stand_apart():
    assert beside("scanobjectnn", "idpt") == ["84.94"]
    assert beside("scanobjectnn", "idpt", *ROTATED) == ["88.51"]
    found = {result.text for result in matching(load_run_spec(preset="scanobjectnn", method="idpt"))}
    assert found == {"84.94", "88.51"}


def test_voted_results_and_those_whose_augmentation_is_a_guess_stand_beside_nothing():
    assert beside("modelnet40-8k", "full") == []  # 94.04 is voted
    assert beside("scanobjectnn", "ppt") == []
    spec = load_run_spec(preset="scanobjectnn", method="ppt")
    assert {result.text for result in matching(spec)} == {"84.45", "89"}


def test_the_built_in_shapes_have_no_published_results():
    spec = load_run_spec(preset="quickstart")
    assert (matching(spec), shown_beside(spec)) == ([], [])


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "scale-translate"),
        ({"scale": (0.667, 1.5)}, "scale-translate"),
        ({"rotate": "y"}, None),
        ({"scale_axes": "all"}, None),
        ({"scale": None, "translate": 0, "rotate": "y"}, "rotate-y"),
        ({"scale": None, "translate": 0, "rotate": "z"}, None),
        ({"scale": (0.9, 1.1), "translate": 0, "rotate": "y"}, "scale-rotate-y"),
        ({"scale": (0.8, 1.25), "scale_axes": "all", "translate": 0.1}, "part-scale-translate"),
        ({"scale": None, "translate": 0}, None),
    ],
)
def test_augmentations_by_the_names_of_the_tables(options, kind):
    assert augmentation_kind(AugmentationSpec(**options)) == kind
