"""Networks and clips of the paper's sizes with random weights, for the benchmarks; and small and tiny ones.

8 frames of 224 x 224, 5 s of sound in 8 windows of 2 s, LoRA of rank 16 on seven projections; responses have the lengths
of 166 real descriptions (62 to 521 words, 222 on average), prompts those of a question and a subtitle. Nothing is read or
downloaded, and no media library is needed: clips are tensors.

`train_step.py` and `gpu_check.py` measure with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from affect_lightning.contracts import ClipBatch, ClipRecord, FeatureSequence, StreamInput
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.language_models.adapters import AdapterOptions
from affect_lightning_plugins.language_models.hub_models import published_origin
from affect_lightning_plugins.language_models.model_files import apply_liger_kernels
from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM

RATE = 16_000
# English words of the 166 descriptions of OV-MERD that the authors published: least, 5%, 10%, ... 95%, most.
WORD_QUANTILES = (62, 124, 153, 183, 200, 209, 218, 233, 240, 257, 284, 301, 521)
QUANTILE_PLACES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
TOKENS_A_WORD = 1.3  # of Qwen2.5 and SmolLM2 on English, about
VOCABULARY = ("word", "other", "again", "quite", "more")
SMALL_MODEL = {"model_type": "llama", "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536}
SMALL_MODEL |= {
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
TINY_MODEL = {"model_type": "qwen2", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128}
TINY_MODEL |= {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}
PAPER_ENCODERS = {"video_encoder": "clip-vit-large-patch14", "audio_encoder": "chinese-hubert-large"}
TEMPLATE = "{% for m in messages %}<s> user {{ m['content'] }} </s> {% endfor %}<s> assistant "


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        language_model: Values of the language model's configuration, `model_type` among them.
        encoders: Choices by option.
        widths: Of the encoders' features, by stream.
        frames: A clip.
        side: Of a frame, in pixels.
        seconds: Of sound a clip.
        text: Length of responses and subtitles relative to real ones.
    """

    language_model: Mapping[str, Any]
    encoders: Mapping[str, Any]
    widths: Mapping[str, int]
    frames: int = 8
    side: int = 224
    seconds: float = 5.0
    text: float = 1.0


_WIDTHS = {"audio": 1024, "face": 768}
_RANDOM = {option: {"name": name, "weights": "random"} for option, name in PAPER_ENCODERS.items()}
PAPER = Scale(published_origin("qwen2.5", "7B").config or {}, _RANDOM, _WIDTHS)
SMALL = Scale(SMALL_MODEL, _RANDOM, _WIDTHS)
_TINY_ENCODERS = {"video_encoder": "tiny-video", "audio_encoder": "tiny-audio"}
TINY = Scale(TINY_MODEL, _TINY_ENCODERS, {"audio": 16, "face": 24}, frames=2, side=32, seconds=0.5, text=0.1)


def word_tokenizer() -> Any:
    """One token a word, so that lengths are what they are meant to be."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", *VOCABULARY]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        chat_template=TEMPLATE,
    )


def build_language_model(
    device: torch.device, dtype: torch.dtype, liger: bool = False, scale: Scale | None = None
) -> AdaptedCausalLM:
    """The paper's sizes on a GPU, the small one's on a CPU, or those of a scale; random weights, made on the device."""
    from transformers import AutoConfig, AutoModelForCausalLM

    values = dict((scale or default_scale(device)).language_model)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    if liger:
        apply_liger_kernels(model)
    return AdaptedCausalLM(model, word_tokenizer(), AdapterOptions())


def default_scale(device: torch.device) -> Scale:
    """What this device computes in reasonable time."""
    return PAPER if device.type == "cuda" else SMALL


def build_network(
    device: torch.device, dtype: torch.dtype, live: bool, liger: bool = False, scale: Scale | None = None
) -> AffectGPT:
    """AffectGPT with encoders, or without any for ready features; random weights, made on the device."""
    scale = scale or default_scale(device)
    configuration = ModelConfiguration.resolve(
        **scale.encoders,
        pre_fusion="attention",
        language_model="tiny-lm",  # replaced below: this option only has to be valid
        inputs=["multi", "audio", "face", "text"],
    )
    language_model = build_language_model(device, dtype, liger, scale)
    encoders: dict[str, Any] = {}
    if live:
        with device:  # drawn there: what they say does not matter here, and 600 million numbers take long elsewhere
            for key in ("video_encoder", "audio_encoder"):
                encoders[key] = build_part(f"{key}s", getattr(configuration, key))
    network = AffectGPT(
        configuration,
        language_model=language_model,
        encoders=encoders,
        pre_fusion=build_part("pre_fusions", configuration.pre_fusion, stream_widths=dict(scale.widths)),
        feature_widths=dict(scale.widths),
    ).to(device)
    if dtype != torch.float32:
        network.encoders.to(dtype)
    return network.train()


def make_batch(size: int, number: int, cached: bool, device: torch.device, scale: Scale | None = None) -> ClipBatch:
    """Clips whose texts have the lengths of real ones."""
    scale = scale or default_scale(device)
    frames, side = scale.frames, scale.side
    generator = torch.Generator().manual_seed(number)
    shares = torch.rand(size, generator=generator).tolist()
    words = [int(scale.text * TOKENS_A_WORD * quantile(share)) for share in shares]
    spoken = torch.randint(5, 26, (size,), generator=generator).tolist()
    media: dict[str, Any] = {}
    if cached:
        mask = torch.ones(size, frames, dtype=torch.bool)
        media["features"] = {
            name: FeatureSequence(torch.randn(size, frames, width, generator=generator), mask)
            for name, width in scale.widths.items()
        }
    else:
        pictures = (size, frames, 3, side, side)
        faces = torch.randint(0, 256, pictures, generator=generator, dtype=torch.uint8)
        waveform = torch.rand(size, int(scale.seconds * RATE), generator=generator) * 0.2 - 0.1
        media["streams"] = {
            "face": StreamInput(faces, torch.ones(size, frames, dtype=torch.bool)),
            "audio": StreamInput(waveform, torch.ones_like(waveform, dtype=torch.bool), RATE),
        }
    return ClipBatch(
        records=[ClipRecord(name=f"clip{index}", corpus="benchmark") for index in range(size)],
        questions=["word other again more quite word other again"] * size,
        responses=[" ".join(VOCABULARY[index % 5] for index in range(count)) for count in words],
        subtitles=[" ".join(VOCABULARY[index % 5] for index in range(count)) for count in spoken],
        **media,
    ).to(device)


def tokenised(network: Any, batch: ClipBatch) -> ClipBatch:
    """The batch with its prompts in tokens, where the loader makes them; `network` is a network or a module."""
    maker = getattr(network, "prompt_maker", lambda: None)()
    return batch if maker is None else replace(batch, prompts=maker(batch))


def quantile(share: float) -> float:
    """Words of a description, from the distribution of the real ones."""
    for place in range(1, len(QUANTILE_PLACES)):
        low, high = QUANTILE_PLACES[place - 1 : place + 1]
        if share <= high:
            inside = (share - low) / (high - low)
            return WORD_QUANTILES[place - 1] + inside * (WORD_QUANTILES[place] - WORD_QUANTILES[place - 1])
    return WORD_QUANTILES[-1]
