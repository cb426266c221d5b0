"""`pointlora bench`: what it measures, counts and refuses, with tiny networks."""

from __future__ import annotations

import pytest
import torch
from command_line import call, tiny
from model_specs import tiny_model, tiny_part_spec, tiny_spec
from rich.console import Console

from pointlora_cli.console.bench_tables import draw_benchmark
from pointlora_cli.services.bench_clock import Clock, sample
from pointlora_cli.services.bench_counts import count_step
from pointlora_cli.services.bench_data import made_up_clouds
from pointlora_cli.services.bench_stages import COMPILED_STAGES, STAGES, StageWatch
from pointlora_cli.services.bench_workload import Workload
from pointlora_cli.specs.data import ScanObjectNNData

CPU = torch.device("cpu")
FEW = ("--steps", "3", "--warmup", "1")


@pytest.fixture(scope="module")
def compared():
    return call("bench", *tiny(), *FEW, "--batch", "4", "--compare", "train.batch_size=8", "--json").document


def test_a_setting_is_described_and_measured(compared):
    first, second = compared["settings"]
    assert (first["method"], first["mode"], first["precision"]) == ("pointlora", "training", "float32")
    assert (first["batch"], second["batch"], first["points"]) == (4, 8, 64)
    for setting in (first, second):
        seconds = setting["step_seconds"]
        assert 0 < seconds["least"] <= seconds["first_quartile"] <= seconds["median"]
        assert seconds["median"] <= seconds["third_quartile"] <= seconds["most"]
        assert seconds["count"] == 3
        assert setting["clouds_per_second"] == pytest.approx(setting["batch"] / seconds["median"])
        assert set(setting["stage_seconds"]) == set(STAGES)
        assert all(seconds > 0 for seconds in setting["stage_seconds"].values())
        machine = setting["machine"]
        rate = setting["flops_per_step"] / seconds["median"] / machine["matrix_flops_per_second"]
        assert setting["share_of_matrix_rate"] == pytest.approx(rate)
        assert machine["device"] == "cpu"
        assert machine["threads"] == torch.get_num_threads()


def test_arithmetic_grows_with_the_batch(compared):
    first, second = compared["settings"]
    assert second["flops_per_step"] == 2 * first["flops_per_step"]
    assert first["bytes_per_step"] < second["bytes_per_step"] < 2 * first["bytes_per_step"]


def test_the_ratio_is_of_turns_in_one_run(compared):
    assert compared["compared"] == "train.batch_size=8"
    assert compared["ratio"]["count"] == 3
    assert 0 < compared["ratio"]["least"] <= compared["ratio"]["median"] <= compared["ratio"]["most"]


def test_tables_fit_a_terminal():
    outcome = call("bench", *tiny(), *FEW, "--inference", "--compare", "method.rank=2")
    assert outcome.code == 0, outcome.err
    assert "measuring" in outcome.err
    assert max(map(len, outcome.out.splitlines()[:-2])) <= 80
    assert "first / second:" in outcome.out
    assert "clouds per second" in outcome.out
    assert "patch encoder" in outcome.out
    assert "backward" not in outcome.out


@pytest.mark.parametrize("preset", ["scanobjectnn", "folder"])
def test_neither_data_nor_weights_are_needed(preset, elsewhere):
    small = ["backbone.depth=3", "backbone.width=24", "backbone.heads=2", "backbone.encoder_widths=[8,16,32]"]
    sets = [part for change in small for part in ("--set", change)]
    arguments = ("bench", "--preset", preset, *sets, "--batch", "2", "--steps", "2", "--warmup", "1")
    document = call(*arguments, "--device", "cpu", "--json").document
    assert document["settings"][0]["name"] == preset
    assert document["settings"][0]["clouds_per_second"] > 0
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--steps", "1"), "--steps"),
        (("--precision", "float16"), "float16"),
        (("--compare", "train.nosuch=1"), "nosuch"),
        (("--batch", "1"), "--batch"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_measured(arguments, word):
    outcome = call("bench", *tiny(), *arguments)
    assert outcome.code == 2
    assert word in outcome.err
    assert "measuring" not in outcome.err


@pytest.mark.parametrize("backbone", ["point-m2ae", "point-gpt", "recon"])
def test_stages_are_told_apart_on_every_kind_of_backbone(backbone):
    workload = Workload(tiny_spec("full", backbone={"name": backbone}, train={"batch_size": 4}), "training")
    with StageWatch(workload.model, workload.clock) as watch:
        workload.step(watch)
        assert list(watch.totals()) == list(STAGES)


def test_a_compiled_network_is_one_stage():
    workload = Workload(tiny_spec("linear", train={"batch_size": 4}), "training")
    with StageWatch(workload.model, workload.clock, compiled=True) as watch:
        workload.step(watch)
        assert list(watch.totals()) == list(COMPILED_STAGES)
        inner = [module for module in workload.model.modules() if module is not workload.model]
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in inner)


def test_settings_of_different_stages_stand_in_one_table(capsys):
    kept = call("bench", *tiny(), *FEW, "--compare", "train.recompute=true", "--json").document
    first, second = kept["settings"]
    assert second["flops_per_step"] > first["flops_per_step"]  # what is computed again counts
    second["stage_seconds"] = {"data": 0.1, "network": 0.2}
    console = Console(width=80)
    draw_benchmark(console, kept)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["network", "–", "–", "200.00", "66.7"] in lines
    assert any(line[:1] == ["geometry"] and line[-2:] == ["–", "–"] for line in lines)


def test_clouds_of_the_host_are_sent_ahead():
    workload = Workload(tiny_spec("linear", train={"batch_size": 4, "clouds_on": "host"}), "training")
    with StageWatch(workload.model, workload.clock) as watch:
        workload.step(watch)
        assert workload._task.clouds._next is not None
        assert workload._task.clouds._next[0].tolist() == [4, 5, 6, 7]
        assert list(watch.totals()) == list(STAGES)


def test_stages_tile_the_step_and_leave_the_network_as_it_was():
    workload = Workload(tiny_spec(train={"batch_size": 4}), "training")
    with StageWatch(workload.model, workload.clock) as watch:
        before = workload.clock.mark()
        workload.step(watch)
        (whole,) = workload.clock.spans([before, workload.clock.mark()])
        totals = sum(watch.totals().values())
    assert 0.5 * whole < totals <= whole
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in workload.model.modules())


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_parts_of_clouds_are_labelled_in_both_modes(mode):
    sizes = {"train": {"batch_size": 2, "eval_batch_size": 2}}
    train = tiny_spec(**sizes).train
    workload = Workload(tiny_part_spec().model_copy(update={"train": train}), mode)
    assert (workload.outputs.classes, workload.outputs.categories) == (50, 16)
    with StageWatch(workload.model, workload.clock) as watch:
        workload.step(watch)
        assert ("backward" in watch.totals()) == (mode == "training")
        assert watch.totals()["head"] > 0


def test_point_peft_has_a_bank_to_look_into():
    workload = Workload(tiny_spec("point-peft", train={"batch_size": 4}), "training")
    assert workload.model.adaptation.bank.shape[1] > workload.model.adaptation.nearest
    workload.step()


def test_training_moves_weights_and_prediction_does_not():
    for mode in ("training", "inference"):
        workload = Workload(tiny_spec(train={"batch_size": 4}), mode)
        before = [parameter.clone() for parameter in workload.model.head.parameters()]
        workload.step()
        after = workload.model.head.parameters()
        is_same = all(map(torch.equal, before, after))
        assert is_same == (mode == "inference")


def test_products_attention_and_traffic_are_counted_by_hand():
    a, b = torch.zeros(8, 16), torch.zeros(16, 4)
    counts = count_step(lambda: a @ b)
    assert counts.flops == 2 * 8 * 16 * 4
    assert counts.traffic == 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert count_step(lambda: a.t().view(-1, 2, 8)).traffic == 0
    query = torch.zeros(2, 3, 5, 4, requires_grad=True)
    attention = torch.nn.functional.scaled_dot_product_attention
    product = 2 * 2 * 3 * 5 * 5 * 4
    assert count_step(lambda: attention(query, query, query)).flops == 2 * product
    assert count_step(lambda: attention(query, query, query).sum().backward()).flops == 7 * product


def test_the_arithmetic_of_a_forward_pass_is_that_of_its_layers():
    model = tiny_model("linear").eval()
    head = sum(layer.weight.numel() for layer in model.head.modules() if isinstance(layer, torch.nn.Linear))
    points = torch.rand(2, 64, 3)
    with torch.inference_mode():
        feature = model(points).feature
        assert count_step(lambda: model.head(feature)).flops == 2 * 2 * head


def test_made_up_clouds_have_the_shape_that_is_stored_and_none_near_the_middle():
    clouds = made_up_clouds(ScanObjectNNData(points=1024), 15, 3)
    assert clouds.points.shape == (3, 2048, 3)
    norms = (clouds.points**2).sum(axis=2)
    assert 1e-3 < norms.min() < norms.max() <= 1 + 1e-6
    assert (clouds.points == made_up_clouds(ScanObjectNNData(points=1024), 15, 3).points).all()


def test_a_sample_has_the_middle_and_the_half_about_it():
    found = sample([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (found.least, found.first_quartile, found.median, found.third_quartile, found.most) == (
        1,
        2,
        3,
        4,
        5,
    )
    clock = Clock(CPU)
    marks = [clock.mark() for _ in range(3)]
    assert len(clock.spans(marks)) == 2
