"""Tiny random multimodal chat models of the real classes with their processors, saved as users have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from affect_lightning_plugins.language_models.tiny import byte_tokenizer

_TURN = (
    "{% for turn in messages %}{% for part in turn['content'] %}{% if part['type'] == 'video' %}VIDEO"
    "{% elif part['type'] == 'audio' %}AUDIO{% else %}{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}ANSWER: {% endif %}"
)
_IS_OLD = int(metadata.version("transformers").split(".")[0]) < 5
SIDE = 32  # of the pictures that these models see, in pixels


def save_chat_model(kind: str, folder: Path) -> str:
    """Write a tiny random model of a key of `CHAT_MODELS` and its processor into a folder; its path as text."""
    if not folder.is_dir():
        torch.manual_seed(0)
        model, processor = CHAT_MODELS[kind]()
        model.float().save_pretrained(folder)
        processor.save_pretrained(folder)
        if _IS_OLD and kind == "qwen2.5-omni":  # there both write one file, the later over the earlier
            parts = {**processor.image_processor.to_dict(), **processor.feature_extractor.to_dict()}
            (folder / "preprocessor_config.json").write_text(json.dumps(parts), encoding="utf-8")
    return str(folder)


def _tokenizer(*marks: str, family: str = "Qwen2", **named: str) -> Any:
    """One token a byte, marks, and marks that the processor asks for by name.

    Before 5.0 a processor takes the tokenizer of its own family only, so there the tokens are put into that class.
    """
    import transformers

    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [*marks, *named.values()]})
    if not named and not _IS_OLD:
        return tokenizer
    kind = getattr(transformers, f"{family}TokenizerFast") if _IS_OLD else transformers.PreTrainedTokenizerFast
    return kind(
        tokenizer_object=tokenizer.backend_tokenizer,
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        unk_token=None,
        extra_special_tokens=named,
    )


def _template(video: str = "", audio: str = "") -> str:
    return _TURN.replace("VIDEO", video).replace("AUDIO", audio)


def _text(tokenizer: Any, model_type: str = "qwen2", **more: Any) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **more,
    }


def _clip_vision() -> dict[str, Any]:
    return {
        "model_type": "clip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": 8,
        "projection_dim": 32,
    }


def _video_llava() -> tuple[Any, Any]:
    import transformers
    from transformers import (
        VideoLlavaConfig,
        VideoLlavaForConditionalGeneration,
        VideoLlavaProcessor,
        VideoLlavaVideoProcessor,
    )

    tokenizer = _tokenizer("<image>", "<video>", family="Llama")
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    pictures = getattr(transformers, "VideoLlavaImageProcessor" if _IS_OLD else "CLIPImageProcessor")
    processor = VideoLlavaProcessor(
        image_processor=pictures(**size),
        video_processor=VideoLlavaVideoProcessor(**size),
        tokenizer=tokenizer,
        patch_size=8,
        chat_template=_template("<video>"),
    )
    config = VideoLlavaConfig(
        vision_config=_clip_vision(),
        text_config=_text(tokenizer, "llama"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
    )
    return VideoLlavaForConditionalGeneration(config), processor


def _llava_next_video() -> tuple[Any, Any]:
    from transformers import (
        LlavaNextImageProcessor,
        LlavaNextVideoConfig,
        LlavaNextVideoForConditionalGeneration,
        LlavaNextVideoProcessor,
        LlavaNextVideoVideoProcessor,
    )

    tokenizer = _tokenizer("<image>", "<video>", family="Llama")
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    pinpoints = [[SIDE, SIDE]]
    processor = LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(**size),
        image_processor=LlavaNextImageProcessor(**size, image_grid_pinpoints=pinpoints),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_template("<video>"),
    )
    config = LlavaNextVideoConfig(
        vision_config=_clip_vision(),
        text_config=_text(tokenizer, "llama"),
        image_grid_pinpoints=pinpoints,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
    )
    return LlavaNextVideoForConditionalGeneration(config), processor


def _audio_tower(model_type: str) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "d_model": 32,
        "num_mel_bins": 16,
        "encoder_layers": 1,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "max_source_positions": 100,
    }


def _hearing() -> Any:
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=16, chunk_length=2)  # 200 frames, twice max_source_positions


def _qwen2_audio() -> tuple[Any, Any]:
    from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor

    tokenizer = _tokenizer("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
    processor = Qwen2AudioProcessor(
        feature_extractor=_hearing(),
        tokenizer=tokenizer,
        chat_template=_template(audio="<|audio_bos|><|AUDIO|><|audio_eos|>"),
    )
    config = Qwen2AudioConfig(
        audio_config=_audio_tower("qwen2_audio_encoder"),
        text_config=_text(tokenizer),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    return Qwen2AudioForConditionalGeneration(config), processor


def _qwen_vision(out: int = 32, **more: Any) -> dict[str, Any]:
    return {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 4,
        "patch_size": 8,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
        "window_size": 32,
        "fullatt_block_indexes": [1],
        "out_hidden_size": out,
        "in_channels": 3,
        **more,
    }


def _qwen_pictures() -> tuple[Any, Any]:
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    least, most = 16 * 16, SIDE * SIDE
    size: dict[str, Any] = {"patch_size": 8, "temporal_patch_size": 2, "merge_size": 2}
    if _IS_OLD:
        size |= {"min_pixels": least, "max_pixels": most}
    else:
        size["size"] = {"shortest_edge": least, "longest_edge": most}
    return Qwen2VLImageProcessor(**size), Qwen2VLVideoProcessor(**size)


_ROPE = {"rope_type": "default", "type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}


def _qwen25_vl() -> tuple[Any, Any]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

    marks = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = _tokenizer(*marks)
    pictures, videos = _qwen_pictures()
    processor = Qwen2_5_VLProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        video_processor=videos,
        chat_template=_template("<|vision_start|><|video_pad|><|vision_end|>"),
    )
    ids = dict(zip(marks, tokenizer.convert_tokens_to_ids(list(marks)), strict=True))
    config = Qwen2_5_VLConfig(
        text_config=_text(tokenizer, "qwen2_5_vl_text", rope_scaling=_ROPE),
        vision_config=_qwen_vision(),
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen25_omni() -> tuple[Any, Any]:
    from transformers import Qwen2_5OmniConfig, Qwen2_5OmniForConditionalGeneration, Qwen2_5OmniProcessor

    named = {
        "image_token": "<|IMAGE|>",
        "audio_token": "<|AUDIO|>",
        "video_token": "<|VIDEO|>",
        "vision_bos_token": "<|vision_bos|>",
        "vision_eos_token": "<|vision_eos|>",
        "audio_bos_token": "<|audio_bos|>",
        "audio_eos_token": "<|audio_eos|>",
    }
    tokenizer = _tokenizer(**named)
    pictures, videos = _qwen_pictures()
    template = _template("<|vision_bos|><|VIDEO|><|vision_eos|>", "<|audio_bos|><|AUDIO|><|audio_eos|>")
    processor = Qwen2_5OmniProcessor(pictures, videos, _hearing(), tokenizer, chat_template=template)
    index = {name: tokenizer.convert_tokens_to_ids(mark) for name, mark in named.items()}
    thinker = {
        "text_config": _text(tokenizer, "qwen2_5_omni_text", rope_scaling=_ROPE),
        "vision_config": {**_qwen_vision(), "model_type": "qwen2_5_omni_vision_encoder"},
        "audio_config": {**_audio_tower("qwen2_5_omni_audio_encoder"), "output_dim": 32, "n_window": 50},
        "audio_token_index": index["audio_token"],
        "image_token_index": index["image_token"],
        "video_token_index": index["video_token"],
        "vision_start_token_id": index["vision_bos_token"],
        "vision_end_token_id": index["vision_eos_token"],
        "audio_start_token_id": index["audio_bos_token"],
        "audio_end_token_id": index["audio_eos_token"],
        "user_token_id": tokenizer.bos_token_id,
    }
    config = Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    return Qwen2_5OmniForConditionalGeneration(config), processor


def _qwen3_omni() -> tuple[Any, Any]:
    from transformers import Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

    named = {
        "image_token": "<|image_pad|>",
        "audio_token": "<|audio_pad|>",
        "video_token": "<|video_pad|>",
        "vision_bos_token": "<|vision_start|>",
        "vision_eos_token": "<|vision_end|>",
        "audio_bos_token": "<|audio_start|>",
        "audio_eos_token": "<|audio_end|>",
    }
    tokenizer = _tokenizer(**named)
    pictures, videos = _qwen_pictures()
    template = _template("<|vision_start|><|video_pad|><|vision_end|>", "<|audio_start|><|audio_pad|><|audio_end|>")
    processor = Qwen3OmniMoeProcessor(pictures, videos, _hearing(), tokenizer, chat_template=template)
    index = {name: tokenizer.convert_tokens_to_ids(mark) for name, mark in named.items()}
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
    vision = {
        name: value for name, value in _qwen_vision().items() if name not in ("window_size", "fullatt_block_indexes")
    }
    thinker = {
        "text_config": _text(tokenizer, "qwen3_omni_moe_text", rope_parameters=_ROPE, **experts),
        "vision_config": {
            **vision, "model_type": "qwen3_omni_moe_vision_encoder", "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        "audio_config": {
            **_audio_tower("qwen3_omni_moe_audio_encoder"), "output_dim": 32, "n_window": 50, "n_window_infer": 100,
            "downsample_hidden_size": 16,
        },
        "audio_token_id": index["audio_token"],
        "image_token_id": index["image_token"],
        "video_token_id": index["video_token"],
        "vision_start_token_id": index["vision_bos_token"],
        "audio_start_token_id": index["audio_bos_token"],
        "user_token_id": tokenizer.bos_token_id,
    }  # fmt: skip
    config = Qwen3OmniMoeConfig(thinker_config=thinker, enable_audio_output=False)
    return Qwen3OmniMoeForConditionalGeneration(config), processor


CHAT_MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "video-llava": _video_llava,
    "llava-next-video": _llava_next_video,
    "qwen2-audio": _qwen2_audio,
    "qwen2.5-vl": _qwen25_vl,
    "qwen2.5-omni": _qwen25_omni,
    **({} if _IS_OLD else {"qwen3-omni": _qwen3_omni}),
}
"""Model and processor by a short name."""


def save_recogniser(folder: Path, multilingual: bool = False) -> str:
    """Write a tiny random Whisper that writes words, and its processor, into a folder; its path as text."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration, WhisperProcessor, WhisperTokenizer

    if folder.is_dir():
        return str(folder)
    tokens = byte_tokenizer()
    vocabulary = {token: index for token, index in tokens.get_vocab().items() if not token.startswith("<|")}
    words = {token: place for place, token in enumerate(sorted(vocabulary))} | {"<|endoftext|>": len(vocabulary)}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    tokenizer = WhisperTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    marks = ["<|startoftranscript|>", "<|en|>", "<|zh|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    ids = dict(zip(marks, tokenizer.convert_tokens_to_ids(marks), strict=True))
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=16, d_model=32, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48,
        max_source_positions=100, max_target_positions=64, init_std=0.2, bos_token_id=end, eos_token_id=end,
        pad_token_id=end, decoder_start_token_id=ids["<|startoftranscript|>"], suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config._from_model_config = False  # else its file is not read again
    model.generation_config.no_timestamps_token_id = ids["<|notimestamps|>"]
    model.generation_config.is_multilingual = multilingual
    if multilingual:
        model.generation_config.lang_to_id = {"<|en|>": ids["<|en|>"], "<|zh|>": ids["<|zh|>"]}
        model.generation_config.task_to_id = {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}
    model.save_pretrained(folder)
    WhisperProcessor(_hearing(), tokenizer).save_pretrained(folder)
    return str(folder)
