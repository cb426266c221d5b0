"""Our masked pre-training computes what the official one computes, with the mask of the case."""

import numpy as np
import pytest
import torch
from golden_cases import PRETRAINING_CASES, assert_gradient_norms, gradient_norms, recipe

from pointlora_cli.models.counting import count_parameters
from pointlora_cli.models.grouping import group
from pointlora_cli.models.masked_autoencoder import MaskedAutoencoder
from pointlora_cli.models.official import load_official_model
from pointlora_cli.specs.backbone import PointMAESpec, TokenizerSpec
from pointlora_cli.specs.pretraining import MaskingSpec

CASES = pytest.mark.parametrize("case", PRETRAINING_CASES, ids=str)


def untouched_model(case):
    """Our network of the case, its weights not yet set."""
    config = case.about["config"]["model"]
    sizes = config["transformer_config"]
    assert (sizes["mask_type"], config["loss"]) == ("rand", "cdl2")
    backbone = PointMAESpec(
        width=sizes["trans_dim"],
        depth=sizes["depth"],
        heads=sizes["num_heads"],
        drop_path=sizes["drop_path_rate"],
    )
    tokenizer = TokenizerSpec(centers=config["num_group"], neighbors=config["group_size"])
    masking = MaskingSpec(
        ratio=sizes["mask_ratio"],
        decoder_depth=sizes["decoder_depth"],
        decoder_heads=sizes["decoder_num_heads"],
        decoder_drop_path=sizes["drop_path_rate"],
    )
    return MaskedAutoencoder(backbone, tokenizer, masking)


def order(case):
    """The case's mask as an order of the patches, visible ones first, each part ascending."""
    return torch.from_numpy(case.arrays["mask"]).argsort(dim=1, stable=True)


@CASES
def test_parameter_counts(case):
    with torch.device("meta"):
        counts, theirs = count_parameters(untouched_model(case)), case.about["counts"]
    assert (counts.total, counts.trained, counts.head) == (
        theirs["total"],
        theirs["trainable"],
        theirs["head"],
    )
    assert counts.backbone == case.about["trainable_breakdown"]["MAE_encoder"]


@CASES
def test_groups_and_their_parts(case):
    model = untouched_model(case)
    (found,) = group(case.points, [model.backbone.scale])
    np.testing.assert_array_equal(found.center_indices.numpy(), case.arrays["fps_idx"])
    ours = np.sort(found.neighbor_indices[0].numpy(), axis=-1)
    np.testing.assert_array_equal(ours, np.sort(case.arrays["knn_idx_cloud0"], axis=-1))
    assert (case.arrays["mask"].sum(axis=1) == model.hidden).all()


@CASES
def test_loss_predictions_and_gradients(case):
    model = untouched_model(case)
    weights = {key: recipe(key, shape, case.about["salt"]) for key, shape in case.about["state_dict"].items()}
    load_official_model(model, weights)
    state = model.official_state()
    assert set(state) == set(weights)
    assert all(torch.equal(state[key], weights[key]) for key in weights)

    model.eval()
    blocks, block_output = [], model.adaptation.block_output

    def recorded(layer, sequence):
        blocks.append(sequence.tokens[0].detach())
        return block_output(layer, sequence)

    model.adaptation.block_output = recorded
    found = model(case.points, order(case))
    encoder = blocks[: len(model.backbone.blocks)]
    case.close(torch.stack([block.mean() for block in encoder]), "block_mean", scale_tolerance=1e-3)
    case.close(torch.stack([block.std(correction=0) for block in encoder]), "block_std", scale_tolerance=1e-3)
    case.close(torch.stack([block[0] for block in encoder]), "block_row0", scale_tolerance=1e-3)
    assert [len(block) for block in encoder] == case.arrays["block_rows"].tolist()
    (patches,) = group(case.points[:1], [model.backbone.scale])
    tokens, _ = model.backbone.patch_encoder(patches.neighborhoods)
    case.close(tokens[0], "encoder_tokens_cloud0", scale_tolerance=1e-3)
    case.close(found.seen.tokens[0], "visible_features_cloud0", scale_tolerance=1e-3)
    case.close(found.predicted, "rebuilt_points")

    loss = found.loss("chamfer-l2").mean()
    case.close(loss[None], "logits")
    loss.backward()
    norms = gradient_norms(model)
    assert len(norms) == len(list(model.parameters()))
    assert_gradient_norms(case, norms)
