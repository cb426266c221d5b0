"""PointLoRA's parts against the equations."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from pointlora_cli.adaptation.base import Shape
from pointlora_cli.adaptation.lora import LowRank
from pointlora_cli.adaptation.pointlora import PointLoRA
from pointlora_cli.adaptation.token_selection import EPSILON, score_entropy, select_tokens
from pointlora_cli.models.tokens import Patches, Scale, TokenLayout, TokenSequence
from pointlora_cli.specs.pointlora import PointLoRAMethod

WIDTH = 16


def build(**options):
    """A PointLoRA of random weights, B and gates included."""
    scales = ({"centers": 9, "neighbors": 4, "keep": 3}, {"centers": 5, "neighbors": 6, "keep": 2})
    method = PointLoRAMethod.model_validate({"scales": scales, "rank": 2, "prompt_width": 4, **options})
    adaptation = PointLoRA(Shape((WIDTH, WIDTH), 1, 9), method).double()
    torch.manual_seed(0)
    for parameter in adaptation.parameters():
        torch.nn.init.normal_(parameter)
    return adaptation


def random_patches(groups, batch=2):
    return Patches(*(torch.randn(batch, groups, size, dtype=torch.float64) for size in (3, WIDTH, WIDTH)))


def sequence(patches=9):
    tokens = torch.randn(2, 1 + patches, WIDTH, dtype=torch.float64)
    return TokenSequence(
        tokens,
        torch.randn_like(tokens),
        TokenLayout(1, patches),
        torch.rand(2, 64, 3),
        torch.rand(2, patches, 3),
    )


class TestSelection:
    def test_the_best_tokens_of_each_scale_join_at_the_end_with_their_positions(self):
        adaptation, scales, before = build(), [random_patches(9), random_patches(5)], sequence()
        after = adaptation.enter(before, scales)
        assert after.layout == TokenLayout(1, 9, 5)
        assert torch.equal(after.tokens[:, :10], before.tokens)
        place = 10
        for scale, keep in zip(scales, adaptation.keep, strict=True):
            scores = torch.sigmoid(
                adaptation.mask_predictor.fc2(F.relu(adaptation.mask_predictor.fc1(scale.tokens)))
            )
            for cloud in range(2):
                best = scores[cloud, :, 0].argsort(descending=True)[:keep]
                assert torch.equal(after.tokens[cloud, place : place + keep], scale.tokens[cloud, best])
                assert torch.equal(after.positions[cloud, place : place + keep], scale.positions[cloud, best])
            place += keep

    def test_the_task_reaches_the_scores_only_through_the_gate(self):
        patches = random_patches(9)
        scores = torch.rand(2, 9, dtype=torch.float64, requires_grad=True)
        assert not select_tokens(patches, scores, 3, gate=False).tokens.requires_grad
        gated = select_tokens(patches, scores, 3, gate=True)
        gated.tokens.sum().backward()
        assert (scores.grad != 0).sum() == 6  # three kept in each of two clouds
        first = gated.indices[0, 0]
        torch.testing.assert_close(gated.tokens[0, 0], patches.tokens[0, first] * scores[0, first])

    def test_any_number_of_scales_and_groups(self):
        scales = [{"centers": 7, "neighbors": 3, "keep": 1}] * 3
        adaptation = build(scales=scales)
        assert adaptation.scales(Scale(9, 4)) == [Scale(7, 3)] * 3
        assert adaptation.enter(sequence(), [random_patches(7)] * 3).layout.extra == 3


class TestBlocks:
    def test_input_prompts_change_patches_and_selected_tokens_and_leave_the_class_token(self):
        adaptation = build()
        tokens = torch.randn(2, 15, WIDTH, dtype=torch.float64)
        before = replace(sequence(), tokens=tokens, layout=TokenLayout(1, 9, 5))
        changed = adaptation.block_input(1, before).tokens
        prompts = adaptation.input_prompts
        expected = [tokens[:, :1], tokens[:, 1:10], tokens[:, 10:]]
        expected[1] = expected[1] + prompts["patches"](expected[1])
        expected[2] = expected[2] + prompts["selected"](expected[2])
        torch.testing.assert_close(changed, torch.cat(expected, dim=1))

    def test_released_projection_adds_low_rank_and_gated_prompt(self):
        adaptation = build(alpha=4)
        z, frozen = (
            torch.randn(2, 15, WIDTH, dtype=torch.float64),
            torch.randn(2, 15, 3 * WIDTH, dtype=torch.float64),
        )
        term, gate = adaptation.low_rank.blocks[1]["qkv"], adaptation.gates.blocks[1]["qkv"]
        prompt = adaptation.site_prompts["qkv"]
        expected = frozen + z @ term.A.T @ term.B.T + gate * prompt(z)  # alpha / r is never applied there
        torch.testing.assert_close(adaptation.projection(1, "qkv", z, frozen), expected)
        assert adaptation.projection(1, "fc1", z, frozen) is frozen
        assert adaptation.feed_forward(1, sequence(), z, z) is z

    def test_the_paper_adds_scaled_low_rank_to_the_ffn_and_a_prompt_beside_it(self):
        adaptation = build(variant="paper", alpha=6)
        z, frozen = (
            torch.randn(2, 15, WIDTH, dtype=torch.float64),
            torch.randn(2, 15, 4 * WIDTH, dtype=torch.float64),
        )
        term = adaptation.low_rank.blocks[0]["fc1"]
        torch.testing.assert_close(
            adaptation.projection(0, "fc1", z, frozen), frozen + 6 / 2 * z @ term.A.T @ term.B.T
        )
        assert adaptation.projection(0, "proj", z, z) is z
        expected = z + adaptation.gates.blocks[0]["ffn"] * adaptation.site_prompts["ffn"](z)
        torch.testing.assert_close(adaptation.feed_forward(0, sequence(), z, z), expected)
        before = sequence()
        assert adaptation.block_input(0, before) is before

    def test_prompt_mlps_are_one_for_all_blocks(self):
        names = [name for name, _ in build().named_parameters() if "prompt" in name]
        assert len(names) == 4 * 4


class TestRegularizer:
    scores = (torch.tensor([[0.9, 0.2], [0.5, 0.4]]), torch.tensor([[0.7], [0.1]]))

    @staticmethod
    def entropy(p):
        return -(p * math.log(p + EPSILON) + (1 - p) * math.log(1 - p + EPSILON))

    def test_released_is_a_weighted_sum_of_means(self):
        first = sum(self.entropy(p) for p in (0.9, 0.2, 0.5, 0.4)) / 4
        second = sum(self.entropy(p) for p in (0.7, 0.1)) / 2
        assert score_entropy(self.scores, (1, 0.25)).item() == pytest.approx(first + 0.25 * second, rel=1e-5)

    def test_the_paper_averages_over_the_tokens_of_all_scales(self):
        mean = sum(self.entropy(p) for p in (0.9, 0.2, 0.5, 0.4, 0.7, 0.1)) / 6
        assert score_entropy(self.scores, None).item() == pytest.approx(mean, rel=1e-5)

    @pytest.mark.parametrize(("variant", "sign"), [("released", -1), ("paper", 1)])
    def test_the_sign_is_the_variants(self, variant, sign):
        adaptation = build(variant=variant)
        after = adaptation.enter(sequence(), [random_patches(9), random_patches(5)])
        entropy = score_entropy(
            [after.notes["scores0"], after.notes["scores1"]], adaptation.method.regularizer.scale_weights
        )
        torch.testing.assert_close(adaptation.regularization(after), sign * 0.004 * entropy)

    def test_descending_it_sharpens_scores_in_the_paper_and_blurs_them_in_the_released_code(self):
        for variant, grows in (("released", True), ("paper", False)):
            adaptation = build(variant=variant)
            patches = [random_patches(9), random_patches(5)]

            def entropy(adaptation=adaptation, patches=patches):
                notes = adaptation.enter(sequence(), patches).notes
                return score_entropy([notes["scores0"], notes["scores1"]], None).item()

            before = entropy()
            loss = adaptation.regularization(adaptation.enter(sequence(), patches))
            parameters = list(adaptation.mask_predictor.parameters())
            with torch.no_grad():
                for parameter, gradient in zip(
                    parameters, torch.autograd.grad(loss, parameters), strict=True
                ):
                    parameter.sub_(10 * gradient)
            assert (entropy() > before) == grows

    def test_weight_zero_switches_it_off(self):
        adaptation = build(regularizer={"weight": 0})
        assert (
            adaptation.regularization(adaptation.enter(sequence(), [random_patches(9), random_patches(5)]))
            is None
        )


def test_a_low_rank_term_is_a_product_of_two_matrices():
    term = LowRank(6, 4, 2, scale=0.5)
    torch.nn.init.normal_(term.A)
    torch.nn.init.normal_(term.B)
    x = torch.randn(3, 6)
    torch.testing.assert_close(term(x), 0.5 * x @ (term.B @ term.A).T)


def test_the_gate_trains_where_asked():
    from pointlora_cli.models.build import build_classifier
    from pointlora_cli.specs.run import RunSpec

    for wanted in (False, True):
        backbone = {"name": "point-mae", "init": "random", "width": WIDTH, "depth": 1, "heads": 2}
        spec = RunSpec.model_validate(
            {"backbone": backbone, "method": {"name": "pointlora", "train_gate": wanted}}
        )
        gates = build_classifier(spec, 3).adaptation.gates
        assert all(gate.requires_grad == wanted for gate in gates.parameters())
