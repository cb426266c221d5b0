"""`--set key=value`: what each text means, and what is wrong with a bad one."""

from __future__ import annotations

import math

import pytest

from pointlora_cli.specs.overrides import apply_override, parse_overrides
from pointlora_cli.specs.problems import SpecError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("100_000", 100_000),
        ("0x10", 16),
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("+2e+3", 2000.0),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("-.5e-1", -0.05),
        ("1.", 1.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("none", "none"),
        ("", ""),
        ("  ", ""),
        ("''", ""),
        ("'1e-4'", "1e-4"),
        ("!!str 12", "12"),
        ("!!float 3", 3.0),
        ("[1, 2]", [1, 2]),
        ("[1e-3, qkv]", [1e-3, "qkv"]),
        ("{a: 1, b: [x]}", {"a": 1, "b": ["x"]}),
        ("a=b=c", "a=b=c"),
        ("2024-01-31", "2024-01-31"),
        ("12:30", "12:30"),
        ("007", "007"),
        ("1e", "1e"),
        ("e4", "e4"),
        ("cuda:0", "cuda:0"),
        ("C:\\clouds\\new", "C:\\clouds\\new"),
        ("run # 3", "run # 3"),
        ("# 3", "# 3"),
        ("Örtchen 点", "Örtchen 点"),
    ],
)
def test_values_are_read_as_yaml(text, value):
    (override,), problems = parse_overrides([f"a.b={text}"])
    assert (override.path, problems) == (("a", "b"), [])
    assert override.value == value
    assert type(override.value) is type(value)


def test_not_a_number_is_read():
    (override,), _ = parse_overrides(["a=.nan"])
    assert math.isnan(override.value)


def test_keys_are_dotted_with_numbers_for_indices():
    (override,), _ = parse_overrides([" method.scales.0.keep = 16"])
    assert (override.path, override.value) == (("method", "scales", "0", "keep"), 16)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train.epochs", "must be written key=value"),
        ("", "must be written key=value"),
        ("=3", "has no key"),
        ("a..b=3", "empty part"),
        (".a=3", "empty part"),
        ("a b=3", "'a b' is no name"),
        ("a=[1", "is not valid YAML"),
        ("a=@x", "is not valid YAML"),
        ("a={b: 1, b: 2}", "holds the key 'b' twice"),
        ("a=!!int x", "under the tag !!int"),
        ("a=!!bool x", "under the tag !!bool"),
        ("a=!!binary x", "unknown tag"),
        ("a=!!timestamp x", "unknown tag"),
        ("a={[1]: 2}", "as a key"),
        ("a=" + "[" * 3000, "nested more than"),
        ("a=" + "9" * 3000, "more than 100 digits"),
    ],
)
def test_malformed_texts_say_why(text, words):
    overrides, (problem,) = parse_overrides([text])
    assert overrides == []
    assert words in SpecError([problem], "--set").message


def test_malformed_texts_are_gathered():
    overrides, problems = parse_overrides(["a=1", "b", "c.d=2", "=", "e=["])
    assert [override.path for override in overrides] == [("a",), ("c", "d")]
    assert len(problems) == 3


class TestApplying:
    def test_replaces_makes_and_merges(self):
        tree = {"a": {"b": 1, "list": [1, 2]}}
        apply_override(tree, ("a", "b"), 2)
        apply_override(tree, ("x", "y", "z"), 3)
        apply_override(tree, ("a",), {"c": 4, "list": [9]})
        assert tree == {"a": {"b": 2, "c": 4, "list": [9]}, "x": {"y": {"z": 3}}}

    def test_reaches_into_lists(self):
        tree = {"scales": [{"keep": 1}, {"keep": 2}]}
        apply_override(tree, ("scales", "1", "keep"), 5)
        apply_override(tree, ("scales", "0"), {"centers": 3})
        assert tree == {"scales": [{"keep": 1, "centers": 3}, {"keep": 5}]}

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            (("list", "2"), "list has no item 2: its last index is 1"),
            (("none", "0"), "none has no item 0: it is empty"),
            (("list", "first"), "'first' must be an index from 0 to 1"),
            (("list", "-1"), "'-1' must be an index"),
            (("number", "key"), "number is 3, which holds no key 'key'"),
            (("nothing", "key"), "nothing is null, which holds no key 'key'"),
            (("new", "0", "key"), "there is no list at new to take 0 of"),
            (("list", "9" * 5000), "must be an index"),
        ],
    )
    def test_a_path_that_leads_nowhere_says_why_and_changes_nothing(self, path, words):
        tree = {"list": [1, 2], "none": [], "number": 3, "nothing": None}
        with pytest.raises(SpecError) as caught:
            apply_override(tree, path, 1)
        assert words in caught.value.message
        assert tree == {"list": [1, 2], "none": [], "number": 3, "nothing": None}
