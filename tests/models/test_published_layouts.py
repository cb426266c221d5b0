"""What `pointlora download` makes of the files of each project: every name and shape counts.

The names and shapes are those that the official code gives, as the golden cases hold them; here they are
shrunk to an eighth in width and to two blocks.
"""

import json
import re
from pathlib import Path

import pytest
import torch
from command_line import call

from pointlora_cli.errors import DataError
from pointlora_cli.models.build import build_classifier
from pointlora_cli.models.official import official_names
from pointlora_cli.models.published import check_published
from pointlora_cli.specs.run import RunSpec

GOLDEN = Path(__file__).parents[1] / "golden"
HEAD = "cls_head_finetune."


def shrunk(name, shape):
    """An eighth of each width, but for the hidden channels of a head."""
    if not name.startswith(HEAD):
        return [size // 8 if size % 8 == 0 else size for size in shape]
    return [shape[0], shape[1] // 8] if name == f"{HEAD}0.weight" else shape


def golden(case):
    """The weights of a case under the names of the official code."""
    shapes = json.loads((GOLDEN / f"{case}.json").read_text())["state_dict"]
    return {
        name: torch.ones(shrunk(name, shape))
        for name, shape in shapes.items()
        if not re.search(r"\.blocks\.([2-9]|\d\d)\.", name)
    }


def wrapped(weights, prefix, *others):
    """As pre-training stores a backbone: without a head, behind a prefix, and beside other things."""
    own = {f"{prefix}{name}": value for name, value in weights.items() if not name.startswith(HEAD)}
    return {
        f"module.{name}": value for name, value in {**own, **dict.fromkeys(others, torch.ones(3))}.items()
    }


def point_gpt(method):
    """A small PointGPT under the project's names, and what it does not use."""
    spec = {
        "backbone": {
            "name": "point-gpt",
            "width": 16,
            "depth": 2,
            "heads": 2,
            "encoder_widths": (8, 10, 12, 20),
        },
        "data": {"source": "shapes"},
        "method": {"name": method},
    }
    model = build_classifier(RunSpec.model_validate(spec), 15)
    names = official_names(model)
    weights = {names[own]: value.detach() for own, value in model.state_dict().items()}
    return weights | {"norm.weight": torch.ones(16), "blocks.increase_dim.0.bias": torch.ones(96)}


def pretrained_gpt():
    weights = {
        name: value
        for name, value in point_gpt("full").items()
        if not name.startswith(("cls_", "blocks.cls_"))
    }
    return wrapped(weights, "GPT_Transformer.", "GPT_Transformer.generator_blocks.ln_f.weight")


def pretrained_m2ae():
    levels = {
        name: value
        for name, value in golden("pointm2ae_cls_scan_hardest").items()
        if name.startswith("h_encoder.") and ".encoder_norms." not in name
    }
    return wrapped(levels, "", "h_encoder.encoder_norms.0.weight", "mask_token", "rec_head.weight")


FILES = {
    "act, fine-tuned": ("act", lambda: golden("act_cls_scan_hardest")),
    "act, pre-trained": (
        "act",
        lambda: wrapped(
            golden("act_cls_scan_hardest"),
            "ACT_encoder.",
            "ACT_encoder.lm_head.weight",
            "ACT_decoder.blocks.0.norm1.bias",
            "dvae_tokenizer.codebook",
        ),
    ),
    "point-bert, pre-trained": (
        "point-bert",
        lambda: wrapped(
            golden("pointbert_cls_scan_hardest"),
            "transformer_q.",
            "transformer_q.cls_head.0.weight",
            "transformer_q.mask_token",
            "transformer_k.cls_token",
            "dvae.codebook",
            "queue",
            "queue_ptr",
        ),
    ),
    "recon, fine-tuned": ("recon", lambda: golden("recon_cls_scan_hardest")),
    "recon, pre-trained": (
        "recon",
        lambda: wrapped(
            golden("recon_cls_scan_hardest"), "MAE_encoder.", "img_encoder.norm.weight", "text_proj.weight"
        ),
    ),
    "recon, segmentation": ("recon-segmentation", lambda: golden("recon_partseg")),
    "point-mae, segmentation": ("point-mae-segmentation", lambda: golden("pointmae_partseg")),
    "point-m2ae, pre-trained": ("point-m2ae", pretrained_m2ae),
    "pointgpt, pre-trained": ("pointgpt", pretrained_gpt),
    "pointgpt, fine-tuned": ("pointgpt", lambda: point_gpt("full")),
    "dapt": ("dapt", lambda: golden("dapt_cls_scan_hardest")),
    "pointgst": ("pointgst", lambda: golden("pgst_cls_scan_hardest")),
    "pointgst on pointgpt": ("pointgst-gpt", lambda: point_gpt("pointgst")),
}


def checked(weights, layout, tmp_path):
    torch.save({"base_model": weights}, tmp_path / "some.pth")
    return check_published(tmp_path / "some.pth", layout, (), "some.pth")


@pytest.mark.parametrize("file", FILES)
def test_published_files_pass_at_any_size(tmp_path, file):
    layout, make = FILES[file]
    found = checked(make(), layout, tmp_path)
    blocks = 6 if layout == "point-m2ae" else 2
    assert found.endswith(f"{blocks} blocks")


@pytest.mark.parametrize("file", FILES)
def test_a_weight_too_few_or_too_many_is_named(tmp_path, file):
    layout, make = FILES[file]
    weights = make()
    lost = next(name for name in weights if name.endswith("norm1.weight") or name.endswith("ln_1.weight"))
    value = weights.pop(lost)
    plain = re.sub(r"^(module\.)?(\w+_encoder\.|transformer_q\.|GPT_Transformer\.)?(?=blocks)", "", lost)
    plain = plain.removeprefix("module.")
    with pytest.raises(DataError, match=rf"some\.pth: .*1 missing \({re.escape(plain)}\)") as caught:
        checked(weights, layout, tmp_path)
    assert caught.value.remedy
    with pytest.raises(DataError, match=r"some\.pth: .*1 unknown \(surplus\.weight\)"):
        checked({**weights, lost: value, "surplus.weight": value}, layout, tmp_path)


@pytest.mark.parametrize("file", ["act, pre-trained", "recon, segmentation", "dapt", "pointgst on pointgpt"])
def test_a_weight_of_another_shape_is_named(tmp_path, file):
    layout, make = FILES[file]
    weights = make()
    name = next(name for name in weights if re.search(r"\.0\.(mlp\.fc1|mlp\.0)\.bias$", name))
    weights[name] = torch.ones(7)
    with pytest.raises(DataError, match=r"some\.pth: the weights have other shapes: blocks\..* is \(7,\)"):
        checked(weights, layout, tmp_path)


@pytest.mark.parametrize(
    "weights",
    [
        {"norm.bias": torch.ones(()), "blocks.blocks.999.x": torch.ones(2)},
        {"norm.bias": torch.ones(100_000), "encoder.first_conv.6.bias": torch.ones(0)},
        {"blocks.layers.63.ln_1.bias": torch.ones(2), "cls_head_finetune.0.weight": torch.ones(2, 0)},
        {
            "cls_head_finetune.8.bias": torch.ones(70_000),
            "h_encoder.token_embed.0.second_conv.3.bias": torch.ones(1),
        },
    ],
)
@pytest.mark.parametrize("layout", ["recon", "point-m2ae", "dapt", "pointgst-gpt"])
def test_files_of_odd_sizes_are_refused_in_one_line(tmp_path, layout, weights):
    with pytest.raises(DataError, match="missing"):
        checked(weights, layout, tmp_path)


def test_other_pooling_of_dapt_is_read_from_the_head(tmp_path):
    weights = golden("dapt_cls_scan_hardest")
    head = weights[f"{HEAD}0.weight"]
    for parts in (1, 2):
        weights[f"{HEAD}0.weight"] = head[:, : 48 * parts]
        assert checked(weights, "dapt", tmp_path) == "Point-MAE, dapt, width 48, 2 blocks"


def test_download_refuses_a_damaged_file_and_keeps_nothing(tmp_path, cache_home):
    weights = golden("recon_cls_scan_hardest")
    del weights["img_token"]
    torch.save({"base_model": weights}, tmp_path / "tuned.pth")
    outcome = call("download", "recon/scan_hardest", "--from-file", tmp_path / "tuned.pth")
    assert outcome.code == 3
    assert "1 missing (img_token)" in " ".join(outcome.err.split())
    assert not (cache_home / "checkpoints").exists()
