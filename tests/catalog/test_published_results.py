"""What is published, as data; and what of it may stand beside a run."""

import pytest

from pointlora_cli.catalog.results import published_results
from pointlora_cli.services.published import augmentation_kind, matching, shown_beside
from pointlora_cli.specs.compatibility import BACKBONES, METHODS
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.training import AugmentationSpec

DATA = {
    *(f"scanobjectnn/{variant}" for variant in ("obj-bg", "obj-only", "pb-t50-rs")),
    *(f"modelnet40-fewshot/{way}w{shot}s" for way in (5, 10) for shot in (10, 20)),
    "modelnet40",
    "shapenetpart",
}
ROTATED = ("augmentation.scale=null", "augmentation.translate=0", "augmentation.rotate=y")


def beside(preset, method, *changes):
    return [
        result.text for result in shown_beside(load_run_spec(preset=preset, method=method, overrides=changes))
    ]


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
    others = {"gaprompt", "pma", "most", "ssf", "prefix-tuning", "adaptformer", "bi-adaptformer"}
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
        ("modelnet40-fewshot", "idpt", ["97.3 ± 2.1"]),
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
    ],
)
def test_nothing_stands_beside_another_protocol(change):
    assert beside("scanobjectnn", None, change) == []


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
