"""The speech models that hear samples, a plugin for each: the paper's Chinese HuBERT-Large and those of its Figure 4.

- `chinese-hubert-large`: the paper's default (Appendix B), HuBERT-Large trained on 10,000 hours of Chinese (WenetSpeech).
- `hubert-large`, `wavlm-large` and `data2vec-audio-base`: HuBERT-L, WavLM-L and data2vec-base of Figure 4. The positions
  of data2vec come from five convolutions, one after the other, so a mask cannot keep padding out of the last frames:
  sounds of one length are encoded together.
- `wav2vec2`: not in Figure 4; the usual baseline of speech emotion recognition. The base model normalises over time, so
  sounds of one length are encoded together; the large ones take masks.
- `hf-audio`: any other speech model of transformers. The class that config.json names is loaded, so that its weights
  fill it exactly, and its body is used without the head. Models that hear spectrograms are refused; Whisper has a
  plugin of its own.

Each takes other models of its family by folder or hub name. Padding never changes a result: models that mask exactly get a
mask, all others see sounds of one length at once. A clip that is shorter than a window is encoded once, at its own length
or followed by silence.
`pretrained_speech.py` has the options and makes the tokens, `windows.py` cuts the sound.
Legend: B clips, S audio samples, N windows, R pieces of the whole batch, L samples in a piece, F frames of 20 ms in a
piece, D feature width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning.sending import sent_rows
from affect_lightning_plugins.audio_encoders.masked_attention import use_masks_as_given
from affect_lightning_plugins.audio_encoders.pretrained_speech import (
    SAMPLE_RATE,
    PretrainedSpeechEncoder,
    gather_tokens,
    mean_of_last_layers,
)
from affect_lightning_plugins.audio_encoders.windows import Pieces, checked_lengths, cut_pieces
from affect_lightning_plugins.pretrained_models import ModelSource, Release

# Their convolutions normalise each frame by itself and one convolution gives positions, with zeros for masked frames:
# what is behind a sound's end changes nothing. A normalisation over time, or positions from several convolutions
# (data2vec), would let padding in; WavLM's masks torch takes with a warning only.
_MASKING_TYPES = ("hubert", "wav2vec2", "unispeech", "unispeech-sat")
# Stands for masked frames in training only; and heads that sit on published models.
DISPENSABLE = (r"masked_spec_embed$",)
HEADS = (r"^lm_head\.", r"^quantizer\.", r"^project_(hid|q)\.", r"^final_proj\.", r"^label_embs_concat$")


class RawSoundEncoder(PretrainedSpeechEncoder):
    """A frozen model of transformers that hears samples; plugins say which."""

    def __init__(self, *, build: Callable[[ModelSource], Any], model: str, **options: Any) -> None:
        """Load the model.

        Args:
            build: Of the plugin: from source to the model.
            model: Folder with config.json and weights, or hub name.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=build, model=model, **options)
        configuration = self.network.config
        self.shortest = shortest_sound(configuration)
        self.window_samples = None if self.window_seconds is None else round(self.window_seconds * SAMPLE_RATE)
        if self.window_samples is not None and self.window_samples < self.shortest:
            raise ConfigurationError(
                f"window_seconds {self.window_seconds} is too short. Raise it: one frame of {model!r} needs {self.shortest} "
                f"samples, that is {self.shortest / SAMPLE_RATE:.3f} seconds."
            )
        # Without the file: the default of Wav2Vec2FeatureExtractor, which all these models were published with.
        self.normalises = bool(self.settings.get("do_normalize", True))
        if self.normalise != "window" and not self.normalises:
            raise ConfigurationError(
                f"Leave `normalise` out: {model!r} was trained on sound that is not normalised (do_normalize in its "
                f"preprocessor_config.json). Got {self.normalise!r}."
            )
        layerwise = getattr(configuration, "feat_extract_norm", "group") == "layer"
        self.masks = configuration.model_type in _MASKING_TYPES and layerwise
        if self.masks:
            use_masks_as_given(self.network)

    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        """Encode every window or clip; see `AudioEncoder.forward`.

        Returns:
            Tokens [B, N, D]: one a window; or [B, N * F, D] for frames, with those behind a sound's end masked. A
            clip of length 0 has no real token.
        """
        known = checked_lengths(waveform, lengths)
        pieces = cut_pieces(waveform, known, self.windows, self.window_samples, padded=self.pads_short_clips)
        dtype = next(self.network.parameters()).dtype
        if len(pieces.sound):
            hidden, counts = self._encode(pieces, dtype)
        else:
            frames = self._frames(self.window_samples or self.shortest)
            hidden = torch.zeros(1, frames, self.feature_width, dtype=dtype, device=waveform.device)
            counts = torch.zeros(1, dtype=torch.long, device=waveform.device)
        return gather_tokens(hidden, counts, pieces.index, pieces.mask, pools=self.pools)

    def _encode(self, pieces: Pieces, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean of the last layers [R, F, D], zero behind a piece's end, and real frames a piece [R]."""
        sound = pieces.sound
        if self.normalises and self.normalise == "batch":
            sound = standardised_together(sound, pieces.lengths, pieces.times)
        elif self.normalises:
            sound = standardised(sound, pieces.lengths)
        # Less sound than one frame needs is filled up with silence.
        known = [max(length, self.shortest) for length in pieces.known_lengths]
        sound = functional.pad(sound, (0, max(self.shortest - sound.shape[1], 0))).to(dtype)
        total = self._frames(max(sound.shape[1], self.window_samples or 0))
        order, groups = self._groups(known)
        places = sorted(range(len(order)), key=order.__getitem__)  # where each piece went
        plan = [order, places, [known[piece] for piece in order], [self._frames(length) for length in known]]
        sent_order, sent_places, lengths, counts = sent_rows(plan, sound.device)
        moved = order != sorted(order)
        sound = sound.index_select(0, sent_order) if moved else sound
        hidden = torch.zeros(len(sound), total, self.feature_width, dtype=dtype, device=sound.device)
        for first, last in groups:
            own = [known[piece] for piece in order[first:last]]
            mask_lengths = lengths[first:last] if min(own) < max(own) else None
            found = self._run(sound[first:last, : max(own)], mask_lengths)
            hidden[first:last, : found.shape[1]] = found.to(dtype)
        hidden = hidden.index_select(0, sent_places) if moved else hidden
        real = torch.arange(total, device=hidden.device) < counts[:, None]
        return hidden.masked_fill(~real.unsqueeze(-1), 0.0), counts

    def _groups(self, lengths: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
        """An order of the pieces, and the first and last place in it of every call: with masks any, else of one length."""
        together = self.masks or min(lengths) == max(lengths)
        order = list(range(len(lengths)))
        runs = [order]
        if not together:
            order.sort(key=lengths.__getitem__)
            runs = [list(run) for _, run in groupby(order, key=lengths.__getitem__)]
        groups, first = [], 0
        for run in runs:
            cuts = [*range(first, first + len(run), self.pieces_at_once), first + len(run)]
            groups += list(pairwise(cuts))
            first += len(run)
        return order, groups

    def _run(self, sound: Tensor, lengths: Tensor | None) -> Tensor:
        """Mean of the last layers of sounds [R, L]; their lengths [R] where they differ."""
        mask = None
        if lengths is not None:
            mask = (torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]).long()
        found = self.network(sound, attention_mask=mask, output_hidden_states=True)
        return mean_of_last_layers(found, self.last_layers)

    def _frames(self, samples: int) -> int:
        """Frames that the convolutions make of so many samples."""
        configuration = self.network.config
        for kernel, stride in zip(configuration.conv_kernel, configuration.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples


def standardised(sound: Tensor, lengths: Tensor) -> Tensor:
    """Sounds [R, L] brought to mean 0 and variance 1 over their real samples, as Wav2Vec2FeatureExtractor does it."""
    inside = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
    count = lengths.clamp(min=1)[:, None]
    sound = sound.float().masked_fill(~inside, 0.0)
    centred = (sound - sound.sum(dim=1, keepdim=True) / count).masked_fill(~inside, 0.0)
    variance = centred.square().sum(dim=1, keepdim=True) / count
    return centred / (variance + 1e-7).sqrt()


def standardised_together(sound: Tensor, lengths: Tensor, times: Tensor) -> Tensor:
    """Sounds [R, L] brought to mean 0 and variance 1 over the real samples of all windows, as the released code does it.

    Args:
        sound: [R, L].
        lengths: Real samples a sound [R].
        times: Windows that each sound stands for [R]; it counts so many times.
    """
    inside = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
    count = (lengths * times).sum().clamp(min=1)
    sound = sound.float().masked_fill(~inside, 0.0)
    centred = (sound - (sound.sum(dim=1) * times).sum() / count).masked_fill(~inside, 0.0)
    variance = (centred.square().sum(dim=1) * times).sum() / count
    return centred / (variance + 1e-7).sqrt()


def shortest_sound(configuration: Any) -> int:
    """Samples that one frame needs: the reach of the convolutions."""
    reach = 1
    for kernel, stride in zip(reversed(configuration.conv_kernel), reversed(configuration.conv_stride), strict=True):
        reach = (reach - 1) * stride + kernel
    return reach


_CHINESE_HUBERT = "TencentGameMate/chinese-hubert-large"
_HUBERT = "facebook/hubert-large-ll60k"
_WAVLM = "microsoft/wavlm-large"
_DATA2VEC = "facebook/data2vec-audio-base"
_WAV2VEC2 = "facebook/wav2vec2-base"
_HUBERT_LARGE = {  # arXiv 2106.07447, Table 1; the rest as in the published config.json
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


def _family(name: str, model_type: str) -> Callable[[ModelSource], Any]:
    """From a source to a model of one family of transformers, such as `Hubert` of the type `hubert`."""

    def build(source: ModelSource) -> Any:
        import transformers

        configuration = source.configuration(getattr(transformers, f"{name}Config"), (model_type,))
        network = getattr(transformers, f"{name}Model")
        return source.network(network, configuration, surplus=HEADS, dispensable=DISPENSABLE)

    return build


class ChineseHubertLargeAudioEncoder(RawSoundEncoder):
    """The paper's Chinese HuBERT-Large, or any HuBERT by folder or hub name; frozen."""

    release = Release(_CHINESE_HUBERT, "90cb660492214f687e60f5ca509b20edae6e75bd", _HUBERT_LARGE)

    def __init__(self, *, model: str = _CHINESE_HUBERT, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; Chinese HuBERT-Large as in the paper (Appendix B).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("Hubert", "hubert"), model=model, **options)


class HubertLargeAudioEncoder(RawSoundEncoder):
    """HuBERT-Large (LibriLight 60k hours), or any HuBERT by folder or hub name; frozen."""

    release = Release(_HUBERT, "ff022d095678a2995f3c49bab18a96a9e553f782", _HUBERT_LARGE)

    def __init__(self, *, model: str = _HUBERT, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; HuBERT-L as in the paper (Figure 4).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("Hubert", "hubert"), model=model, **options)


class WavLMLargeAudioEncoder(RawSoundEncoder):
    """WavLM-Large (94k hours), or any WavLM by folder or hub name; frozen."""

    release = Release(
        _WAVLM,
        "c1423ed94bb01d80a3f5ce5bc39f6026a0f4828c",
        {  # arXiv 2110.13900, Section IV; the rest as in the published config.json
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_buckets": 320,
            "max_bucket_distance": 800,
            "feat_extract_norm": "layer",
            "do_stable_layer_norm": True,
            "conv_bias": False,
        },
    )

    def __init__(self, *, model: str = _WAVLM, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; WavLM-L as in the paper (Figure 4).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("WavLM", "wavlm"), model=model, **options)


class Data2VecAudioBaseEncoder(RawSoundEncoder):
    """data2vec-audio base (LibriSpeech), or any data2vec-audio by folder or hub name; frozen."""

    # The library's defaults are this model's sizes (arXiv 2202.03555, Section 4).
    release = Release(_DATA2VEC, configuration={"num_conv_pos_embeddings": 5, "num_conv_pos_embedding_groups": 16})

    def __init__(self, *, model: str = _DATA2VEC, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; data2vec-base as in the paper (Figure 4). We
                know no commit of it for sure, so a hub name needs `revision`.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("Data2VecAudio", "data2vec-audio"), model=model, **options)


class Wav2Vec2AudioEncoder(RawSoundEncoder):
    """wav2vec 2.0 base, or any wav2vec 2.0 by folder or hub name (XLSR and Chinese ones too); frozen."""

    # The library's defaults are this model's sizes (arXiv 2006.11477, Section 4.2).
    release = Release(_WAV2VEC2, "0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8", {"feat_extract_norm": "group"})

    def __init__(self, *, model: str = _WAV2VEC2, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; the base model is our choice.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("Wav2Vec2", "wav2vec2"), model=model, **options)


class HuggingFaceAudioEncoder(RawSoundEncoder):
    """Any speech model of transformers that hears samples (UniSpeech, WavLM, ...) by folder or hub name; frozen."""

    def __init__(self, *, model: str, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name with `revision`.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, takes other input than samples, or
                an option is out of range.
        """
        super().__init__(build=_any_model, model=model, **options)


def _any_model(source: ModelSource) -> Any:
    import transformers

    configuration = source.configuration(transformers.AutoConfig, ())
    named = (configuration.architectures or ["AutoModel"])[0]
    hears = hasattr(configuration, "conv_kernel") and hasattr(configuration, "conv_stride")
    if not hears or not hasattr(transformers, named) or getattr(configuration, "add_adapter", False):
        raise ConfigurationError(
            f"{source.model!r} is a {named} of the type {configuration.model_type!r}; hf-audio takes models of "
            f"transformers {transformers.__version__} that read samples through convolutions and have no "
            f"adapter after them. Use `whisper` for Whisper, or write a plugin."
        )
    model_class = getattr(transformers, named)
    if named == "AutoModel":
        model_class = transformers.MODEL_MAPPING[type(configuration)]
    return source.network(model_class, configuration, dispensable=DISPENSABLE).base_model
