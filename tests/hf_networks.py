"""Networks of transformers with few and random weights, and image processors that go with them."""

from typing import Any

from tests.conftest import optional

transformers = optional("transformers")

NAMES = ("sky", "road ", "car", "tree", "void")
LABELS = {"id2label": dict(enumerate(NAMES)), "label2id": {name: index for index, name in enumerate(NAMES)}}


def swin() -> Any:
    return transformers.SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip


def segformer() -> Any:
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=8, **LABELS,
    )  # fmt: skip
    return transformers.SegformerForSemanticSegmentation(config)


def upernet() -> Any:
    backbone = transformers.ConvNextConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"]
    )
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=8, auxiliary_in_channels=8, auxiliary_channels=8, **LABELS
    )
    return transformers.UperNetForSemanticSegmentation(config)


def mask2former() -> Any:
    config = transformers.Mask2FormerConfig(
        backbone_config=swin(), feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=6, **LABELS,
    )  # fmt: skip
    return transformers.Mask2FormerForUniversalSegmentation(config)


def maskformer() -> Any:
    decoder = transformers.DetrConfig(
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=6,
    )  # fmt: skip
    config = transformers.MaskFormerConfig(
        backbone_config=swin(), decoder_config=decoder, fpn_feature_size=32, mask_feature_size=8, **LABELS
    )
    return transformers.MaskFormerForInstanceSegmentation(config)


def oneformer() -> Any:
    config = transformers.OneFormerConfig(
        backbone_config=swin(), hidden_dim=32, conv_dim=32, mask_dim=32, encoder_feedforward_dim=16, encoder_layers=1,
        decoder_layers=2, query_dec_layers=1, num_attention_heads=2, dim_feedforward=16, num_queries=6,
        task_seq_len=40, max_seq_len=40, text_encoder_width=16, text_encoder_num_layers=1, text_encoder_vocab_size=64,
        text_encoder_context_length=40, is_training=False, **LABELS,
    )  # fmt: skip
    return transformers.OneFormerForUniversalSegmentation(config)


def dpt() -> Any:
    config = transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64,
        patch_size=16, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        **LABELS,
    )  # fmt: skip
    return transformers.DPTForSemanticSegmentation(config)


def beit() -> Any:
    config = transformers.BeitConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64,
        patch_size=16, out_indices=[1, 2, 3, 4], auxiliary_channels=8, **LABELS,
    )  # fmt: skip
    return transformers.BeitForSemanticSegmentation(config)


def mobilevit() -> Any:
    config = transformers.MobileViTConfig(
        hidden_sizes=[8, 8, 8], neck_hidden_sizes=[8, 8, 8, 8, 8, 8, 8], num_attention_heads=2, mlp_ratio=2.0,
        aspp_out_channels=8, atrous_rates=[1, 2, 3], **LABELS,
    )  # fmt: skip
    return transformers.MobileViTForSemanticSegmentation(config)


def eomt() -> Any:
    config = transformers.EomtConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, image_size=64, patch_size=16, num_blocks=1,
        num_upscale_blocks=1, num_queries=6, num_register_tokens=1, **LABELS,
    )  # fmt: skip
    return transformers.EomtForUniversalSegmentation(config)


NETWORKS = (segformer, upernet, mask2former, maskformer, dpt, beit, mobilevit, eomt)


def processor(name: str) -> Any:
    """An image processor that computes with Pillow, under the name it has in this version of the library."""
    return getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)


PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "segformer": ("SegformerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "upernet": ("SegformerImageProcessor", {"do_resize": False}),
    "mask2former": ("Mask2FormerImageProcessor", {"size": {"shortest_edge": 64, "longest_edge": 200}}),
    "maskformer": ("MaskFormerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "dpt": ("DPTImageProcessor", {"size": {"height": 64, "width": 64}, "image_mean": [0.4, 0.5, 0.6]}),
    "beit": ("BeitImageProcessor", {"size": {"height": 64, "width": 64}}),
    "mobilevit": ("MobileViTImageProcessor", {"size": {"shortest_edge": 64}, "do_center_crop": False}),
    "eomt": ("EomtImageProcessor", {"size": {"shortest_edge": 64, "longest_edge": None}, "do_split_image": True}),
}
