"""BitFit: which parameters train."""

from model_specs import tiny_model


def test_biases_of_the_backbone_train_and_none_of_its_weights():
    model = tiny_model("bitfit")
    for name, parameter in model.backbone.named_parameters():
        wanted = name.rpartition(".")[2] == "bias" or name in {"cls_token", "cls_pos"}
        assert parameter.requires_grad == wanted, name
    assert all(parameter.requires_grad for parameter in model.head.parameters())


def test_biases_of_norms_convolutions_and_linear_layers_are_among_them():
    trained = {name for name, parameter in tiny_model("bitfit").named_parameters() if parameter.requires_grad}
    assert trained >= {
        "backbone.patch_encoder.first.linear1.bias",
        "backbone.patch_encoder.second.norm.bias",
        "backbone.position_embedding.2.bias",
        "backbone.blocks.1.norm1.bias",
        "backbone.blocks.1.attn.proj.bias",
        "backbone.blocks.1.mlp.fc1.bias",
        "backbone.norm.bias",
    }
