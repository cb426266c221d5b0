"""A dumped spec loads back to an equal one; no text, however odd, gives anything but a spec or an error."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointlora_cli.errors import PointLoRAError
from pointlora_cli.specs.backbone import PointMAESpec
from pointlora_cli.specs.data import FolderData, ScanObjectNNData, ShapesData
from pointlora_cli.specs.loading import dump_run_spec, load_run_spec, run_spec_schema
from pointlora_cli.specs.method import (
    FullMethod,
    LinearMethod,
    LoRAMethod,
    MLP3Method,
)
from pointlora_cli.specs.pointlora import PointLoRAMethod, SelectionRegularizer, SelectionScale
from pointlora_cli.specs.run import RunSpec
from pointlora_cli.specs.training import AugmentationSpec, OptimizerSpec, OutputSpec, ScheduleSpec, TrainSpec

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def reloaded(spec, folder):
    path = folder / "spec.yaml"
    path.write_text(dump_run_spec(spec), encoding="utf-8", newline="\n")
    return load_run_spec(spec_file=path)


TEXT = st.text(max_size=20) | st.sampled_from(
    ["1e4", "1E-3", "007", "no", "null", "~", "2024-01-01", "12:30", "a: b", "#"]
)
RATE = st.floats(min_value=0, exclude_min=True, max_value=1e300, allow_subnormal=True)
UNIT = st.floats(min_value=0, max_value=1, exclude_max=True)

DATA = st.one_of(
    st.builds(ShapesData, noise=st.floats(0, 0.2), seed=st.integers(0, 2**32 - 1)),
    st.builds(FolderData, root=TEXT),
    st.builds(ScanObjectNNData, root=TEXT, variant=st.sampled_from(["obj-bg", "obj-only", "pb-t50-rs"])),
)
SCALE = st.builds(
    SelectionScale, centers=st.integers(9, 64), neighbors=st.integers(1, 64), keep=st.integers(1, 9)
)
METHOD = st.one_of(
    st.sampled_from([FullMethod(), LinearMethod(), MLP3Method()]),
    st.builds(LoRAMethod, rank=st.integers(1, 1024), alpha=RATE),
    st.builds(PointLoRAMethod, variant=st.sampled_from(["released", "paper"]), gate_scores=st.booleans()),
    st.builds(
        PointLoRAMethod,
        variant=st.sampled_from(["released", "paper"]),
        scales=st.lists(SCALE, min_size=1, max_size=4).map(tuple),
        regularizer=st.builds(SelectionRegularizer, weight=st.floats(0, 10), scale_weights=st.none()),
    ),
)
SPEC = st.builds(
    RunSpec,
    name=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z")
    | st.sampled_from(["1e4", "007", "0x1F", "no", "1.5"]),
    description=TEXT,
    data=DATA,
    method=METHOD,
    backbone=st.builds(PointMAESpec, drop_path=UNIT, weights=st.none() | TEXT),
    optimizer=st.builds(OptimizerSpec, lr=RATE, betas=st.tuples(UNIT, UNIT), clip_norm=st.none() | RATE),
    augmentation=st.builds(AugmentationSpec, translate=st.floats(0, 10), scale=st.none()),
    schedule=st.builds(ScheduleSpec, warmup_epochs=st.just(0)),
    train=st.builds(TrainSpec, epochs=st.integers(1, 100_000), drop_last=st.booleans()),
    output=st.builds(OutputSpec, dir=TEXT),
)


@given(spec=SPEC)
@settings(FUZZ, max_examples=150)
def test_a_dumped_spec_loads_back_equal(tmp_path, spec):
    assert reloaded(spec, tmp_path) == spec


@pytest.mark.parametrize("variant", ["released", "paper"])
def test_both_variants_survive_the_round_trip(tmp_path, variant):
    spec = load_run_spec(overrides=[f"method.variant={variant}", "method.regularizer.weight=1e-4"])
    assert spec.method.variant == variant
    assert reloaded(spec, tmp_path) == spec


@pytest.mark.parametrize(
    "text", ["\x85", "a\u2028b", "\n \n", "\ufeff", "\t", "\x00", "\r\n", " a ", "1e4", "😀"]
)
def test_odd_characters_survive_the_round_trip(tmp_path, text):
    spec = RunSpec(description=text)
    assert reloaded(spec, tmp_path) == spec


def test_a_dump_is_commented_block_style_in_the_order_of_the_models():
    text = dump_run_spec(RunSpec())
    assert text.startswith("# ")
    assert list(yaml.safe_load(text)) == [name for name in RunSpec.model_fields if name != "masking"]
    assert "{" not in text
    assert "&" not in text


def test_a_dump_reads_the_same_in_other_yaml_readers():
    spec = RunSpec(name="1e4", description="2024-01-01")
    read = yaml.safe_load(dump_run_spec(spec))
    assert (read["name"], read["description"]) == ("1e4", "2024-01-01")
    assert RunSpec.model_validate(read) == spec


KEYS = st.sampled_from(
    sorted(
        {
            key
            for part in (run_spec_schema(), *run_spec_schema()["$defs"].values())
            for key in part["properties"]
        }
    )
)
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["pointlora", "full", "lora", "folder", "shapes", "paper", "qkv", "cuda:0"]),
)
TREE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)
MAPPING = st.dictionaries(KEYS | st.text(max_size=4), TREE, max_size=6)


def gives_a_spec_or_an_error(**given):
    try:
        assert isinstance(load_run_spec(**given), RunSpec)
    except PointLoRAError as error:
        error.message.encode()
        json.dumps(error.details(), allow_nan=False)


@given(text=st.text(max_size=200) | st.text(alphabet="[]{}:,-&*!|>'\"#%@\\ \n\tab01e.~?<=u", max_size=60))
@settings(FUZZ, max_examples=400)
def test_fuzzed_text_gives_a_spec_or_an_error(tmp_path, text):
    for name in ("fuzz.yaml", "fuzz.json"):
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        gives_a_spec_or_an_error(spec_file=path)
    gives_a_spec_or_an_error(overrides=[text, f"train.seed={text}", f"method={text}"])


@given(content=st.binary(max_size=80))
@settings(FUZZ, max_examples=100)
def test_fuzzed_bytes_give_a_spec_or_an_error(tmp_path, content):
    for name in ("fuzz.yaml", "fuzz.json"):
        path = tmp_path / name
        path.write_bytes(content)
        gives_a_spec_or_an_error(spec_file=path)


@given(tree=MAPPING, key=KEYS, value=TREE)
@settings(FUZZ, max_examples=300)
def test_fuzzed_trees_give_a_spec_or_an_error(tmp_path, tree, key, value):
    path = tmp_path / "fuzz.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    override = f"{key}={json.dumps(value)}"
    gives_a_spec_or_an_error(spec_file=path, overrides=[override, f"method.{override}", f"data.0.{override}"])
    gives_a_spec_or_an_error(spec_file=path, data_root=tmp_path, overrides=[f"method.scales.0.{override}"])
