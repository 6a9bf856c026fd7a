"""Files as the authors' code saves them, at sizes of the tiny parts; their names stand here once more, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FACE, AUDIO, EMBEDDING, RANK, LAYERS = 24, 16, 32, 4, 2
WIDEST = max(FACE, AUDIO)
RELEASED: dict[str, Any] = {
    "video_encoder": {"name": "tiny-video", "width": FACE},
    "audio_encoder": {"name": "tiny-audio", "width": AUDIO},
    "language_model": {"name": "tiny-lm", "lora_alpha": 32},
    "pre_fusion": "attention-released",
    "branch_compression": "attention-released",
    "fused_streams": ["face", "audio"],
    "inputs": ["multi", "audio", "face", "text"],
    "prompt_form": "plain",
    "response_end": "###",
}


def their_shapes() -> dict[str, tuple[int, ...]]:
    """Every name of their layout, with its tiny shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    projections = {"q": (32, 32), "k": (16, 32), "v": (16, 32), "o": (32, 32)}
    blocks = {f"self_attn.{name}_proj": size for name, size in projections.items()}
    blocks |= {"mlp.gate_proj": (64, 32), "mlp.up_proj": (64, 32), "mlp.down_proj": (32, 64)}
    for layer in range(LAYERS):
        for block, (out, into) in blocks.items():
            place = f"llama_model.base_model.model.model.layers.{layer}.{block}"
            shapes[f"{place}.lora_A.default.weight"] = (RANK, into)
            shapes[f"{place}.lora_B.default.weight"] = (out, RANK)
    layers = {
        "image_llama_proj": (EMBEDDING, FACE), "video_attention_mlp": (1, FACE), "affectgpt_proj": (EMBEDDING, FACE),
        "audio_attention_mlp": (1, AUDIO), "audio_llama_proj": (EMBEDDING, AUDIO), "multi_audio_embs": (WIDEST, AUDIO),
        "multi_video_embs": (WIDEST, FACE), "attention_mlp": (WIDEST, 2 * WIDEST), "fc_att": (2, WIDEST),
        "multi_llama_proj": (EMBEDDING, WIDEST),
    }  # fmt: skip
    for name, (out, into) in layers.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, into), (out,)
    return shapes


def random_weights(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in their_shapes().items()}


def write_their_file(
    path: Path, weights: dict[str, Tensor], shown: str = "multiface_audio_face_text", **more: Any
) -> Path:
    """A checkpoint with everything that their saver puts in."""
    config = {
        "run": {"init_lr": 1e-5, "train_splits": ["train"], "resume_ckpt_path": None},
        "model": {"arch": "affectgpt", "multi_fusion_type": "attention"},
        "datasets": {"mercaptionplus": {"data_type": "video", "face_or_frame": shown, "label_type": "hybird"}},
        "inference": {"face_or_frame": "xxx"},
    }
    moments = {index: {"step": torch.tensor(5.0), "exp_avg": value} for index, value in enumerate(weights.values())}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-5, "betas": (0.9, 0.999), "params": list(moments)}]}
    content = {"model": weights, "optimizer": optimizer, "config": config, "scaler": {"scale": 65536.0}, "epoch": 30}
    torch.save({**content, **more}, path)
    return path
