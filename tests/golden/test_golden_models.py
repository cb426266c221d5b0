"""Our models compute what the official ones compute."""

import numpy as np
import pytest
import torch
from golden_cases import (
    CLASSIFICATION_CASES,
    EVAL_CASES,
    MODEL_CASES,
    SEGMENTATION_CASES,
    assert_gradient_norms,
    gradient_norms,
    patch_encoder,
)

from pointlora_cli.models.counting import count_parameters
from pointlora_cli.models.grouping import group


def test_there_are_cases():
    assert MODEL_CASES


@pytest.mark.parametrize("case", MODEL_CASES, ids=str)
def test_parameter_counts(case):
    with torch.device("meta"):
        counts, theirs = count_parameters(case.untouched_model()), case.about["counts"]
    assert (counts.total, counts.trained, counts.head) == (
        theirs["total"],
        theirs["trainable"],
        theirs["head"],
    )
    assert counts.trained_percent == pytest.approx(theirs["trainable_pct"], abs=1e-4)


@pytest.mark.parametrize("case", EVAL_CASES, ids=str)
def test_groups(case):
    (found,) = group(case.points, [case.scale()])
    np.testing.assert_array_equal(found.center_indices.numpy(), case.arrays["fps_idx"])
    if "knn_idx_cloud0" not in case.arrays:
        return
    ours = np.sort(found.neighbor_indices[0].numpy(), axis=-1)  # the order inside a patch is free
    np.testing.assert_array_equal(ours, np.sort(case.arrays["knn_idx_cloud0"], axis=-1))


def block_outputs(model):
    """A list that a pass will fill: the first cloud's tokens as they leave each block, prompts included."""
    found, block_output = [], model.adaptation.block_output

    def recorded(layer, sequence):
        sequence = block_output(layer, sequence)
        found.append(sequence.tokens[0])
        return sequence

    model.adaptation.block_output = recorded
    return found


def watched_pass(case):
    """What a pass without gradients gives, its blocks and patch encoder compared with the case's."""
    model, arrays = case.model().eval(), case.arrays
    tokens, blocks = [], block_outputs(model)
    patch_encoder(model).register_forward_hook(lambda module, inputs, output: tokens.append(output[0][0]))
    propagated = []
    if case.is_segmentation:
        model.head.propagation2.register_forward_hook(
            lambda module, inputs, output: propagated.append(output[0])
        )
    with torch.no_grad():
        prediction = case.predict(model)
    case.close(torch.stack([block.mean() for block in blocks]), "block_mean", scale_tolerance=1e-3)
    case.close(torch.stack([block.std(correction=0) for block in blocks]), "block_std", scale_tolerance=1e-3)
    if arrays["block_row0"].size:  # of blocks of one width
        case.close(torch.stack([block[0] for block in blocks]), "block_row0", scale_tolerance=1e-3)
    assert [len(block) for block in blocks] == arrays.get("block_rows", [len(b) for b in blocks]).tolist()
    (encoded,) = {
        "encoder_tokens_cloud0",
        "encoder_tokens_cloud0_0",
        "encoder_tokens_cloud0_first32groups",
    } & set(arrays)
    case.close(tokens[0][: len(arrays[encoded])], encoded, scale_tolerance=1e-3)
    return prediction, *propagated


@pytest.mark.parametrize("case", CLASSIFICATION_CASES, ids=str)
def test_forward_pass(case):
    (prediction,) = watched_pass(case)
    case.close(prediction.logits, "logits")
    case.close(prediction.feature, "final_feature", scale_tolerance=1e-3)


@pytest.mark.parametrize("case", SEGMENTATION_CASES, ids=str)
def test_segmentation(case):
    prediction, propagated = watched_pass(case)
    case.close(propagated[:64].T, "propagated_cloud0_first64pts", scale_tolerance=1e-3)
    case.close(prediction.logits.log_softmax(dim=-1)[:, ::4], "logits_every4th_point")
    np.testing.assert_array_equal(prediction.logits.argmax(dim=-1).numpy(), case.arrays["pred_argmax"])


@pytest.mark.parametrize("case", EVAL_CASES, ids=str)
def test_loss_and_gradients(case):
    model = case.model().eval()
    prediction = case.predict(model)
    cross_entropy = case.cross_entropy(prediction.logits)
    regularization = model.adaptation.regularization(prediction.sequence)
    loss = cross_entropy if regularization is None else cross_entropy + regularization
    theirs = case.about["loss"]
    assert cross_entropy.item() == pytest.approx(theirs.get("ce", theirs.get("nll")), rel=1e-5)
    assert loss.item() == pytest.approx(theirs["loss"], rel=1e-5)
    loss.backward()
    assert_gradient_norms(case, gradient_norms(model))


PARTS = {
    ("dapt", "adapter_out_block0_cloud0"): lambda adaptation: adaptation.adapters[0],
    ("pointgst", "adapter_out_block0_cloud0"): lambda adaptation: adaptation.adapters[0],
    ("point-peft", "cp_adapter_out_block0_cloud0"): lambda adaptation: adaptation.blocks[0].prompt,
    ("idpt", "generated_prompt"): lambda adaptation: adaptation.generator,
}
"""Method, array -> the part of the adaptation whose output the array is, or begins."""


WITH_PARTS = [
    (case, method, array)
    for case in EVAL_CASES
    for method, array in PARTS
    if array in case.arrays and (case.method() or {}).get("name") == method
]


@pytest.mark.parametrize(("case", "method", "array"), WITH_PARTS, ids=str)
def test_parts_of_the_method(case, method, array):
    model, outputs = case.model().eval(), []
    part = PARTS[method, array](model.adaptation)
    part.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with torch.no_grad():
        model(case.points)
    theirs = case.arrays[array]
    ours = outputs[0] if theirs.ndim == 3 else outputs[0][0]
    case.close(ours[: len(theirs)], array, scale_tolerance=1e-3)


SELECTING = [case for case in EVAL_CASES if "mask_loss" in case.arrays]


@pytest.mark.parametrize("case", SELECTING, ids=str)
def test_token_selection(case):
    model = case.model().eval()
    with torch.no_grad():
        sequence = model(case.points).sequence
    for index in range(len(model.adaptation.keep)):
        case.close(sequence.notes[f"scores{index}"], f"mask_prob_scale{index + 1}")
        theirs = case.arrays[f"topk_idx_scale{index + 1}"]
        np.testing.assert_array_equal(sequence.notes[f"selected{index}"].numpy(), theirs)
    regularization = model.adaptation.regularization(sequence).item()
    weight = case.about["config"]["mask_loss_weight"]
    assert regularization / weight == pytest.approx(case.about["loss"]["mask_loss"], rel=1e-5)


WITH_BANK = [case for case in EVAL_CASES if "bank" in case.arrays]


@pytest.mark.parametrize("case", WITH_BANK, ids=str)
def test_bank_and_retrieval(case):
    model, arrays = case.model().eval(), case.arrays
    adaptation = model.adaptation
    with torch.no_grad():
        prompt = model(case.points).sequence.notes["prompt"]
        adaptation.fill_bank(adaptation.prior(torch.from_numpy(arrays["bank_points"])))
    case.close(prompt[:, 0], "cp_feat", scale_tolerance=1e-3)
    case.close(adaptation.bank, "bank", scale_tolerance=1e-3)
    columns = arrays["bank"].T[arrays["bank_topk_idx"]]  # (B, k, C)
    np.testing.assert_array_equal(prompt[:, 2:].numpy(), columns)


@pytest.mark.parametrize("case", WITH_BANK, ids=str)
def test_each_cloud_alone(case):
    model = case.model().eval()
    with torch.no_grad():
        alone = torch.cat([model(cloud[None]).logits for cloud in case.points])
    case.close(alone, "logits_each_cloud_alone")
