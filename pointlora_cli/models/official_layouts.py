"""How each project names the weights of its backbone, and what else its files hold."""

from __future__ import annotations

from dataclasses import replace

from pointlora_cli.models.official import Layout, OfficialNames

_QUERIES = frozenset({"cls_token", "cls_pos"})
_TUNED = Layout("fine-tuning", spare=("cls_head_finetune.",))
_SEGMENTATION_HEAD = {
    "head.category.linear": "label_conv.0",
    "head.category.norm": "label_conv.1",
    "head.propagation1.linear": "propagation_0.mlp_convs.0",
    "head.propagation1.norm": "propagation_0.mlp_bns.0",
    "head.propagation2.linear": "propagation_0.mlp_convs.1",
    "head.propagation2.norm": "propagation_0.mlp_bns.1",
    "head.layer1.linear": "convs1",
    "head.layer1.norm": "bns1",
    "head.layer2.linear": "convs2",
    "head.layer2.norm": "bns2",
    "head.layer3": "convs3",
}
_SEGMENTED = Layout("segmentation", spare=tuple(f"{name}." for name in _SEGMENTATION_HEAD.values()))

_PLAIN = {
    "backbone.cls_token": "cls_token",
    "backbone.cls_pos": "cls_pos",
    "backbone.patch_encoder.first.linear1": "encoder.first_conv.0",
    "backbone.patch_encoder.first.norm": "encoder.first_conv.1",
    "backbone.patch_encoder.first.linear2": "encoder.first_conv.3",
    "backbone.patch_encoder.second.linear1": "encoder.second_conv.0",
    "backbone.patch_encoder.second.norm": "encoder.second_conv.1",
    "backbone.patch_encoder.second.linear2": "encoder.second_conv.3",
    "backbone.position_embedding": "pos_embed",
    "backbone.blocks": "blocks.blocks",
    "backbone.norm": "norm",
    "head.layers": "cls_head_finetune",
    **_SEGMENTATION_HEAD,
}
"""Beginnings of our names -> of Point-MAE's, which the others share."""


def _unwrapped(name: str, prefix: str) -> str:
    """Without the wrappers of data parallel and of the pre-training model."""
    return name.replace("module.", "").removeprefix(prefix).removeprefix("base_model.")


def _unwrap_point_mae(name: str) -> str:
    return _unwrapped(name, "MAE_encoder.")


def _unwrap_act(name: str) -> str:
    return _unwrapped(name, "ACT_encoder.")


def _unwrap_point_bert(name: str) -> str | None:
    """Of the pre-training only the query encoder; its momentum copy, queue and dVAE are of no concern."""
    plain = _unwrapped(name, "")
    if plain.startswith("transformer_q."):
        plain = plain.removeprefix("transformer_q.")
        return None if plain.startswith("cls_head.") else plain
    return None if plain.startswith(("transformer_k.", "dvae.", "queue")) else plain


def _unwrap_recon_plain(name: str) -> str | None:
    """Without the queries of images and text, and without the branch of the queries."""
    plain = _unwrapped(name, "MAE_encoder.")
    is_of_queries = "_contrast." in plain or plain in {"img_token", "img_pos", "text_token", "text_pos"}
    return None if is_of_queries else plain


_MAE_DECODER = ("mask_token", "decoder_pos_embed.", "MAE_decoder.", "increase_dim.")
_RECON_TEACHERS = (*_MAE_DECODER, "img_encoder.", "text_encoder.", "img_proj.", "text_proj.", "cls_proj.")

POINT_MAE = OfficialNames(
    "Point-MAE",
    _PLAIN,
    (
        Layout("pre-training", missing=_QUERIES, spare=_MAE_DECODER),  # pre-trained without a class token
        _TUNED,
        replace(_SEGMENTED, missing=_QUERIES),
    ),
    _unwrap_point_mae,
)

_ENCODED = {
    own: f"MAE_encoder.{name}"
    for own, name in _PLAIN.items()
    if own.startswith("backbone.") and name not in _QUERIES
}

POINT_MAE_PRETRAINING = OfficialNames(
    "Point-MAE",
    {
        **_ENCODED,
        "decoder.mask_token": "mask_token",
        "decoder.position_embedding": "decoder_pos_embed",
        "decoder.blocks": "MAE_decoder.blocks",
        "decoder.norm": "MAE_decoder.norm",
        "head": "increase_dim.0",
    },
    (Layout("pre-training", spare=_MAE_DECODER),),
    lambda name: _unwrapped(name, ""),
)
"""The whole network of the pre-training, which holds the backbone without a class token."""

ACT = OfficialNames(
    "ACT",
    _PLAIN,
    (
        Layout(
            "pre-training",
            spare=(
                "lm_head.",
                "cls_head.",
                "mask_token",
                "ACT_decoder.",
                "decoder_pos_embed.",
                "proj_head.",
                "dvae_tokenizer.",
            ),
        ),
        _TUNED,
    ),
    _unwrap_act,
)

POINT_BERT = OfficialNames(
    "Point-BERT",
    {**_PLAIN, "backbone.bridge": "reduce_dim"},
    (Layout("pre-training", spare=("mask_token", "lm_head.")), _TUNED),
    _unwrap_point_bert,
)

RECON_PLAIN = OfficialNames(
    "ReCon",
    _PLAIN,
    (Layout("pre-training", spare=_RECON_TEACHERS), _TUNED, _SEGMENTED),
    _unwrap_recon_plain,
)

RECON = OfficialNames(
    "ReCon",
    {
        **_PLAIN,
        **{f"backbone.{name}": name for name in ("img_token", "img_pos", "text_token", "text_pos")},
    },
    (Layout("pre-training", spare=_RECON_TEACHERS), _TUNED, _SEGMENTED),
    _unwrap_point_mae,
)

_ENCODER = {"first.linear1": "first_conv.0", "first.norm": "first_conv.1", "first.linear2": "first_conv.3"}
_ENCODER |= {
    own.replace("first", "second"): name.replace("first", "second") for own, name in _ENCODER.items()
}


def _m2ae_level(number: int) -> dict[str, str]:
    own, encoder = f"backbone.levels.{number}", f"h_encoder.token_embed.{number}"
    return {
        **{f"{own}.patch_encoder.{part}": f"{encoder}.{name}" for part, name in _ENCODER.items()},
        f"{own}.position_embedding": f"h_encoder.encoder_pos_embeds.{number}",
        f"{own}.blocks": f"h_encoder.encoder_blocks.{number}.blocks",
    }


POINT_M2AE = OfficialNames(
    "Point-M2AE",
    {
        **_m2ae_level(0),
        **_m2ae_level(1),
        **_m2ae_level(2),
        "backbone.norm": "norm",
        "head.layers": "cls_head_finetune",
    },
    (
        Layout(
            "pre-training",
            missing=frozenset({"norm.weight", "norm.bias"}),  # pre-trained with a norm for each level
            spare=(
                "h_encoder.encoder_norms.",
                "mask_token",
                "h_decoder.",
                "decoder_pos_embeds.",
                "token_prop.",
                "decoder_norm.",
                "rec_head.",
            ),
        ),
        _TUNED,
    ),
    lambda name: _unwrapped(name, ""),
)


def _unwrap_point_gpt(name: str) -> str:
    return _unwrapped(name, "GPT_Transformer.")


_GENERATOR = ("generator_blocks.", "blocks.increase_dim.", "norm.")
"""What predicts patches, and a norm that stands in the project's files and that its network never calls."""

POINT_GPT = OfficialNames(
    "PointGPT",
    {
        "backbone.cls_token": "cls_token",
        "backbone.cls_pos": "cls_pos",
        "backbone.start": "blocks.sos",
        "backbone.start_pos": "sos_pos",
        "backbone.patch_encoder.first.linear1": "encoder.first_conv.0",
        "backbone.patch_encoder.first.norm": "encoder.first_conv.1",
        "backbone.patch_encoder.first.linear2": "encoder.first_conv.3",
        "backbone.patch_encoder.first.norm2": "encoder.first_conv.4",  # of the large encoder
        "backbone.patch_encoder.first.linear3": "encoder.first_conv.6",
        "backbone.patch_encoder.second.linear1": "encoder.second_conv.0",
        "backbone.patch_encoder.second.norm": "encoder.second_conv.1",
        "backbone.patch_encoder.second.linear2": "encoder.second_conv.3",
        "backbone.blocks": "blocks.layers",
        "backbone.blocks_norm": "blocks.ln_f",
        "backbone.norm": "blocks.cls_norm",
        "head.layers": "blocks.cls_head_finetune",
    },
    (
        Layout(
            "pre-training",  # has no class token, and no norm before a head
            missing=_QUERIES | {"blocks.cls_norm.weight", "blocks.cls_norm.bias"},
            spare=_GENERATOR,
        ),
        # After the second, labelled pre-training, and after fine-tuning.
        Layout("fine-tuning", spare=(*_GENERATOR, "blocks.cls_head_finetune.")),
    ),
    _unwrap_point_gpt,
    parts={
        ".norm1.": ".ln_1.",
        ".norm2.": ".ln_2.",
        ".attn.qkv.": ".attn.in_proj_",
        ".attn.proj.": ".attn.out_proj.",
        ".mlp.fc1.": ".mlp.0.",
        ".mlp.fc2.": ".mlp.2.",
    },
    idle=_GENERATOR,
)
