"""Each kind of problem: its key path, its words, its near match; and nothing of pydantic in them."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError

from pointlora_cli.errors import ExitCode, UsageError
from pointlora_cli.specs import compatibility
from pointlora_cli.specs.loading import load_run_spec
from pointlora_cli.specs.problems import Problem, SpecError, explain
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.shape import place_of
from pointlora_cli.specs.wording import PATTERN_WORDS


def explained(tree):
    with pytest.raises(ValidationError) as caught:
        RunSpec.model_validate(tree)
    return explain(caught.value)


def only(tree) -> Problem:
    problems = explained(tree)
    assert len(problems) == 1, problems
    return problems[0]


METHODS = ", ".join(compatibility.METHODS)

KINDS = [
    # a tree, the key, the message, the suggestion
    (
        {"train": {"epochs": "ten"}},
        "train.epochs",
        "must be a whole number from 1 to 100000, got 'ten'",
        None,
    ),
    ({"train": {"batch_size": 1}}, "train.batch_size", "must be a whole number of at least 2, got 1", None),
    ({"train": {"epochs": 1.5}}, "train.epochs", "must be a whole number from 1 to 100000, got 1.5", None),
    ({"train": {"epochs": None}}, "train.epochs", "must be a whole number from 1 to 100000, got null", None),
    (
        {"backbone": {"name": "point-mae", "drop_path": 1}},
        "backbone.drop_path",
        "must be a number of at least 0 and below 1, got 1",
        None,
    ),
    ({"optimizer": {"lr": 0}}, "optimizer.lr", "must be a number above 0, got 0", None),
    ({"optimizer": {"lr": float("inf")}}, "optimizer.lr", "must be a number above 0, got inf", None),
    (
        {"optimizer": {"clip_norm": -1}},
        "optimizer.clip_norm",
        "must be a number above 0 or null, got -1",
        None,
    ),
    ({"train": {"drop_last": "maybe"}}, "train.drop_last", "must be true or false, got 'maybe'", None),
    ({"output": {"dir": 3}}, "output.dir", "must be text, got 3", "put it in quotes to make it text"),
    ({"optimizer": {"betas": [0.9]}}, "optimizer.betas", "must be a list of 2 numbers, got [0.9]", None),
    (
        {"optimizer": {"betas": [1, 2, 3]}},
        "optimizer.betas",
        "must be a list of 2 numbers, got [1, 2, 3]",
        None,
    ),
    ({"optimizer": {"betas": [0.9, "x"]}}, "optimizer.betas.1", "must be a number, got 'x'", None),
    (
        {"augmentation": {"scale": 3}},
        "augmentation.scale",
        "must be a list of 2 numbers or null, got 3",
        None,
    ),
    (
        {"method": {"name": "lora", "sites": []}},
        "method.sites",
        "must be a list of names out of qkv, proj, fc1, fc2, at least 1, got []",
        None,
    ),
    (
        {"method": {"name": "lora", "sites": ["qkv", "porj"]}},
        "method.sites.1",
        "must be one of qkv, proj, fc1, fc2, got 'porj'",
        "did you mean 'proj'?",
    ),
    (
        {"train": {"precision": "bfloat-16"}},
        "train.precision",
        "must be one of auto, float32, bfloat16, got 'bfloat-16'",
        "did you mean 'bfloat16'?",
    ),
    (
        {"task": "segmentation"},
        "task",
        "must be one of classification, part-segmentation, pretraining, got 'segmentation'",
        "did you mean 'part-segmentation'?",
    ),
    (
        {"train": {"device": "gpu"}},
        "train.device",
        "must be one of auto, cpu, cuda or cuda:N with N the number of a GPU, got 'gpu'",
        None,
    ),
    (
        {"method": {"name": "pointlora", "scales": [{"centers": 8, "neighbors": 4}]}},
        "method.scales.0.keep",
        "is missing: it must be a whole number of at least 1",
        None,
    ),
    ({"data": {"source": "folder"}}, "data.root", "is missing: it must be text", None),
    (
        {"data": {"points": 8}},
        "data.source",
        "is missing: it must be one of shapes, folder, scanobjectnn, modelnet40, modelnet40-fewshot, "
        "shapenetpart, segmentation-folder, unlabelled-folder, shapenet55",
        None,
    ),
    (
        {"method": {"name": "pointlroa", "rank": 3}},
        "method.name",
        f"must be one of {METHODS}, got 'pointlroa'",
        "did you mean 'pointlora'?",
    ),
    (
        {"method": {"name": None}},
        "method.name",
        f"must be one of {METHODS}, got null",
        None,
    ),
    (
        {"method": "full"},
        "method",
        f"must be a mapping with 'name' (one of {METHODS}) and its options, got 'full'",
        "did you mean 'method.name: full'?",
    ),
    (
        {"output": None},
        "output",
        "must be a mapping with keys out of dir, got null",
        None,
    ),
    (
        {"schedule": {"warmup_epoch": 3}},
        "schedule.warmup_epoch",
        "there is no such key (given 3); allowed here: name, warmup_epochs, warmup_lr, min_lr, length, lag",
        "did you mean 'warmup_epochs'?",
    ),
]


@pytest.mark.parametrize(("tree", "key", "message", "suggestion"), KINDS, ids=[kind[1] for kind in KINDS])
def test_each_kind_of_problem_in_words(tree, key, message, suggestion):
    problem = only(tree)
    assert (problem.key, problem.message, problem.suggestion) == (key, message, suggestion)


def test_no_word_of_pydantic_is_shown():
    words = " ".join(str(problem) for tree, *_ in KINDS for problem in explained(tree)).lower()
    for jargon in (
        "pydantic",
        "http",
        "input should",
        "tag ",
        "dictionary",
        "literal",
        "tuple",
        "extra inputs",
    ):
        assert jargon not in words


def test_the_given_value_is_kept():
    assert only({"train": {"epochs": "ten"}}).given == "ten"
    assert only({"methods": {"rank": 3}}).given == {"rank": 3}
    assert only({"backbone": {"name": "point-mae", "heads": 5}}).given == 5


def test_tags_of_unions_are_not_part_of_the_key():
    problems = explained(
        {"method": {"name": "pointlora", "rank": 0, "scales": [{"centers": 2, "neighbors": 0}]}}
    )
    assert {problem.key for problem in problems} == {
        "method.rank",
        "method.scales.0.neighbors",
        "method.scales.0.keep",
    }


def test_a_key_that_is_called_like_a_tag_is_kept():
    keys = [problem.key for problem in explained({"method": {"name": "full", "full": 1, "lora": 2}})]
    assert keys == ["method.full", "method.lora"]


def test_a_list_with_wrong_items_is_not_called_too_short_as_well():
    assert only(
        {"method": {"name": "pointlora", "scales": [{"centers": 1, "neighbors": 1, "keep": 0}]}}
    ).key == ("method.scales.0.keep")


def test_a_key_of_another_section_is_pointed_out():
    assert only({"epochs": 3}).suggestion == "did you mean 'train.epochs'?"
    assert only({"optimizer": {"batch_size": 3}}).suggestion == "did you mean 'train.batch_size'?"


def test_a_key_of_another_member_is_pointed_out():
    assert (
        only({"method": {"name": "full", "rank": 8}}).suggestion
        == "it belongs to method.name lora, dapt, pointgst, pointlora"
    )


def test_dashes_and_case_do_not_hide_a_near_match():
    assert only({"train": {"Batch-Size": 4}}).suggestion == "did you mean 'batch_size'?"


def test_a_far_key_has_no_near_match_but_the_allowed_keys():
    problem = only({"output": {"zzz": 1}})
    assert problem.suggestion is None
    assert "allowed here: dir" in problem.message


def test_rules_of_several_keys_are_one_problem_each_at_their_key():
    problems = explained(
        {
            "data": {"source": "shapes", "points": 32},
            "tokenizer": {"centers": 40, "neighbors": 33},
            "method": {"name": "full"},
            "train": {"epochs": 2},
        }
    )
    assert [(problem.key, problem.given) for problem in problems] == [
        ("tokenizer.centers", 40),
        ("tokenizer.neighbors", 33),
    ]
    assert str(problems[0]) == "tokenizer.centers (40) is more than data.points (32)"


def test_rules_inside_a_member_are_put_at_their_key():
    tree = {"method": {"name": "pointlora", "regularizer": {"scale_weights": [1.0]}}}
    assert only(tree).key == "method.regularizer.scale_weights"
    assert only({"method": {"name": "lora", "sites": ["qkv", "qkv"]}}).key == "method.sites"


def test_a_rule_about_a_list_of_another_section_is_put_there():
    tree = {
        "method": {"name": "pointlora", "scales": [{"centers": 2000, "neighbors": 4, "keep": 1}]},
    }
    assert (only(tree).key, only(tree).given) == ("method.scales.0.centers", 2000)


@pytest.mark.parametrize(
    "text", ["train.epochs=true", "optimizer.betas=[0.9, false]", "optimizer.clip_norm=yes"]
)
def test_a_switch_is_no_number(text):
    with pytest.raises(SpecError, match=r"must be .*number.*, got (true|false)"):
        load_run_spec(overrides=[text, "schedule.warmup_epochs=0"])


def test_control_characters_are_never_echoed():
    tree = {"a\x1b[31m": "b\x1b[0m", "train": {"x\n": 1, "precision": "\x07" * 300}}
    text = SpecError(explained(tree)).message
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert text.count("\n") == 3


def test_long_values_are_cut():
    assert len(only({"train": {"epochs": "9" * 5000}}).message) < 200
    assert len(only({"train": {"epochs": [[1] * 50] * 50}}).message) < 200


def test_the_error_lists_every_problem_and_gives_them_as_json():
    problems = [
        Problem("train.epochs", float("nan"), "must be a whole number, got nan"),
        Problem("train.epoch", {"a": (1, object)}, "there is no such key", "did you mean 'epochs'?"),
    ]
    error = SpecError(problems, "mine.yaml")
    assert isinstance(error, UsageError)
    assert error.exit_code == ExitCode.USAGE
    assert error.message.splitlines() == [
        "2 problems in mine.yaml:",
        "  train.epochs: must be a whole number, got nan",
        "  train.epoch: there is no such key; did you mean 'epochs'?",
    ]
    details = json.loads(json.dumps(error.details(), allow_nan=False))
    assert details["source"] == "mine.yaml"
    assert details["problems"][1]["suggestion"] == "did you mean 'epochs'?"


def test_other_models_can_be_explained_too():
    class Small(BaseModel):
        size: int

    with pytest.raises(ValidationError) as caught:
        Small.model_validate({"size": "x"})
    assert str(explain(caught.value, Small)[0]) == "size: must be a whole number, got 'x'"


def test_every_pattern_of_a_spec_has_its_words():
    def patterns(model):
        for info in model.model_fields.values():
            place = place_of(info)
            yield from (limit.pattern for limit in place.limits if getattr(limit, "pattern", None))
            members = place.union.members.values() if place.union else [place.model] if place.model else []
            for member in members:
                yield from patterns(member)

    assert set(patterns(RunSpec)) == set(PATTERN_WORDS)
