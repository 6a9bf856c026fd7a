"""Tiny random models of the real classes, saved as users have them, for the tests of the pretrained encoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SIZE, PATCH, WIDTH = 32, 8, 16
_TOWER = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
_PICTURE = {**_TOWER, "image_size": SIZE, "patch_size": PATCH}
_TEXT = {**_TOWER, "vocab_size": 40, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
_SPEECH = {
    **_TOWER,
    "num_hidden_layers": 5,
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 8),
    "conv_stride": (8, 8, 5),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 12,
}
_LAYERWISE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def perturbed(model: Any, seed: int = 0) -> Any:
    """The model with every weight moved, so that no initial zero or one hides a mistake; in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return model.eval()


def tiny_model(kind: str) -> Any:
    """A tiny model of one of the real classes, by a short name."""
    import transformers as hf

    torch.manual_seed(0)
    picture: dict[str, Any] = {
        "clip": lambda: hf.CLIPModel(hf.CLIPConfig(text_config=_TEXT, vision_config=_PICTURE, projection_dim=12)),
        "clip-vision": lambda: hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(**_PICTURE, projection_dim=12)),
        "siglip": lambda: hf.SiglipModel(hf.SiglipConfig(text_config=_TEXT, vision_config=_PICTURE)),
        "siglip2": lambda: hf.Siglip2Model(
            hf.Siglip2Config(text_config=_TEXT, vision_config={**_TOWER, "patch_size": PATCH, "num_patches": 16})
        ),
        "dinov2": lambda: hf.Dinov2Model(hf.Dinov2Config(**_PICTURE, layerscale_value=0.7)),
        "dinov2-registers": lambda: hf.Dinov2WithRegistersModel(
            hf.Dinov2WithRegistersConfig(**_PICTURE, num_register_tokens=4)
        ),
        "vit": lambda: hf.ViTModel(hf.ViTConfig(**_PICTURE)),
        "vit-classifier": lambda: hf.ViTForImageClassification(hf.ViTConfig(**_PICTURE)),
        "resnet": lambda: hf.ResNetModel(
            hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, WIDTH], depths=[1, 1], layer_type="basic")
        ),
        "swin": lambda: hf.SwinModel(
            hf.SwinConfig(image_size=SIZE, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4)
        ),
        "hubert": lambda: hf.HubertModel(hf.HubertConfig(**_SPEECH, **_LAYERWISE)),
        "hubert-ctc": lambda: hf.HubertForCTC(hf.HubertConfig(**_SPEECH, **_LAYERWISE)),
        "wavlm": lambda: hf.WavLMModel(hf.WavLMConfig(**_SPEECH, **_LAYERWISE, num_buckets=20)),
        "data2vec": lambda: hf.Data2VecAudioModel(
            hf.Data2VecAudioConfig(**{**_SPEECH, "num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5})
        ),
        "wav2vec2": lambda: hf.Wav2Vec2Model(hf.Wav2Vec2Config(**_SPEECH)),
        "wav2vec2-pretraining": lambda: hf.Wav2Vec2ForPreTraining(
            hf.Wav2Vec2Config(**_SPEECH, num_codevectors_per_group=4, codevector_dim=8, proj_codevector_dim=8)
        ),
        "wav2vec2-layer": lambda: hf.Wav2Vec2Model(hf.Wav2Vec2Config(**_SPEECH, **_LAYERWISE)),
        "unispeech": lambda: hf.UniSpeechModel(hf.UniSpeechConfig(**_SPEECH)),
        "whisper": lambda: hf.WhisperForConditionalGeneration(
            hf.WhisperConfig(
                d_model=WIDTH,
                encoder_layers=5,
                encoder_attention_heads=2,
                encoder_ffn_dim=32,
                decoder_layers=1,
                decoder_attention_heads=2,
                decoder_ffn_dim=32,
                num_mel_bins=20,
                max_source_positions=50,
                vocab_size=40,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
                decoder_start_token_id=1,
            )
        ),
    }
    return perturbed(picture[kind]())


def saved_model(kind: str, folder: Path, preprocessing: dict[str, Any] | None = None) -> Any:
    """Save a tiny model as `save_pretrained` does; give it back as it was saved."""
    if kind == "imagebind":
        return save_imagebind(folder)
    model = tiny_eva() if kind == "eva" else tiny_model(kind)
    if kind == "eva":
        save_eva(model, folder)
    else:
        model.save_pretrained(folder)
    if preprocessing is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing), encoding="utf-8")
    return model


EVA_ARGUMENTS = {"embed_dim": WIDTH, "depth": 2, "num_heads": 2, "img_size": SIZE, "patch_size": PATCH, "mlp_ratio": 2}


def tiny_eva() -> Any:
    """The class of EVA-01-CLIP-g/14 in timm, small."""
    import timm

    torch.manual_seed(0)
    return perturbed(timm.create_model("eva_giant_patch14_clip_224", pretrained=False, num_classes=12, **EVA_ARGUMENTS))


def save_eva(model: Any, folder: Path) -> None:
    """Save in timm's form of a hub repository."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    settings = {"architecture": "eva_giant_patch14_clip_224", "num_classes": 12, "model_args": EVA_ARGUMENTS}
    settings["pretrained_cfg"] = {"input_size": [3, SIZE, SIZE]}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    save_file(model.state_dict(), folder / "model.safetensors")


def save_imagebind(folder: Path) -> Any:
    """Save a tiny audio half by its published names, beside weights of another modality; the file as users have it."""
    from affect_lightning_plugins.audio_encoders.imagebind_network import (
        PUBLISHED_NAMES,
        ImageBindAudio,
        ImageBindSizes,
    )

    torch.manual_seed(0)
    model = perturbed(ImageBindAudio(ImageBindSizes(width=24, blocks=2, heads=12, embedding_width=WIDTH)))
    stored = {"modality_heads.vision.0.weight": torch.ones(3)}
    for name, value in model.state_dict().items():
        published, here = next(pair for pair in PUBLISHED_NAMES.items() if name.startswith(pair[1]))
        stored[published + name.removeprefix(here)] = value
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(stored, folder / "imagebind_huge.pth")
    return model


def some_frames(clips: int, frames: int, height: int = SIZE, width: int = SIZE, seed: int = 0) -> Tensor:
    """Smooth coloured pictures, uint8 [B, T, 3, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(clips * frames, 3, 5, 5, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)
    return (fine * 255).to(torch.uint8).view(clips, frames, 3, height, width)


def some_sound(clips: int, samples: int, seed: int = 0) -> Tensor:
    """Noise with a slow loudness contour, so that windows differ; float [B, S] in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    contour = torch.linspace(0.2, 5.0, samples).sin().abs() * 0.5 + 0.1
    return torch.randn(clips, samples, generator=generator).clamp(-1, 1) * contour
