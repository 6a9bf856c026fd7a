"""Speech models that hear samples: HuBERT, WavLM, data2vec, wav2vec 2.0 and their kin.

Paper, Appendix B. Padding never reaches a result: models that mask exactly get a mask, all others see sounds of one
length at once. A clip that is shorter than a window is encoded once, as long as it is, or with silence behind it.
Neighbours: `pretrained_speech.py` (options, tokens), `windows.py` (the cut); one file a model next to this one.
Legend: B clips, S audio samples, N windows, R pieces of the whole batch, L samples in a piece, F frames of 20 ms in a
piece, D feature width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.audio_encoders.pretrained_speech import (
    SAMPLE_RATE,
    PretrainedSpeechEncoder,
    gather_tokens,
    mean_of_last_layers,
)
from affect_lightning_plugins.audio_encoders.windows import Pieces, check_waveform, cut_pieces
from affect_lightning_plugins.pretrained_models import ModelSource

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
        layerwise = getattr(configuration, "feat_extract_norm", "group") == "layer"
        self.masks = configuration.model_type in _MASKING_TYPES and layerwise

    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        """Encode every window or clip; see `AudioEncoder.forward`.

        Returns:
            Tokens [B, N, D]: one a window; or [B, N * F, D] for frames, with those behind a sound's end masked. A
            clip of length 0 has no real token.
        """
        check_waveform(waveform, lengths)
        pieces = cut_pieces(waveform, lengths, self.windows, self.window_samples, padded=self.pads_short_clips)
        dtype = next(self.network.parameters()).dtype
        if len(pieces.sound):
            hidden, counts = self._encode(pieces, dtype)
        else:
            frames = self._frame_counts(torch.tensor([self.window_samples or self.shortest]))
            hidden = torch.zeros(1, int(frames[0]), self.feature_width, dtype=dtype, device=waveform.device)
            counts = torch.zeros(1, dtype=torch.long, device=waveform.device)
        return gather_tokens(hidden, counts, pieces.index, pieces.mask, pools=self.pools)

    def _encode(self, pieces: Pieces, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean of the last layers [R, F, D], zero behind a piece's end, and real frames a piece [R]."""
        sound, lengths = pieces.sound, pieces.lengths
        if self.normalises and self.normalise == "batch":
            sound = standardised_together(sound, lengths, pieces.windows)
        elif self.normalises:
            sound = standardised(sound, lengths)
        lengths = lengths.clamp(min=self.shortest)  # less sound than one frame needs is filled up with silence
        sound = functional.pad(sound, (0, max(self.shortest - sound.shape[1], 0))).to(dtype)
        counts = self._frame_counts(lengths)
        width = max(sound.shape[1], self.window_samples or 0)
        total = int(self._frame_counts(torch.tensor([width]))[0])
        hidden = torch.zeros(len(sound), total, self.feature_width, dtype=dtype, device=sound.device)
        for chosen in self._groups(lengths):
            longest = int(lengths[chosen].max())
            found = self._run(sound[chosen, :longest], lengths[chosen])
            hidden[chosen, : found.shape[1]] = found.to(dtype)
        real = torch.arange(total, device=hidden.device) < counts[:, None]
        return hidden.masked_fill(~real.unsqueeze(-1), 0.0), counts

    def _groups(self, lengths: Tensor) -> Sequence[Tensor]:
        """Indices of the pieces of every call: all together with masks, or those of one length."""
        if self.masks or bool((lengths == lengths[0]).all()):
            return torch.arange(len(lengths), device=lengths.device).split(self.pieces_at_once)
        same = [(lengths == length).nonzero().squeeze(1) for length in lengths.unique()]
        return [part for group in same for part in group.split(self.pieces_at_once)]

    def _run(self, sound: Tensor, lengths: Tensor) -> Tensor:
        inside = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
        mask = None if bool(inside.all()) else inside.long()
        found = self.network(sound, attention_mask=mask, output_hidden_states=True)
        return mean_of_last_layers(found, self.last_layers)

    def _frame_counts(self, samples: Tensor) -> Tensor:
        return self.network._get_feat_extract_output_lengths(samples).long()


def standardised(sound: Tensor, lengths: Tensor) -> Tensor:
    """Sounds [R, L] brought to mean 0 and variance 1 over their real samples, as Wav2Vec2FeatureExtractor does it."""
    inside = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
    count = lengths.clamp(min=1)[:, None]
    sound = sound.float().masked_fill(~inside, 0.0)
    centred = (sound - sound.sum(dim=1, keepdim=True) / count).masked_fill(~inside, 0.0)
    variance = centred.square().sum(dim=1, keepdim=True) / count
    return centred / (variance + 1e-7).sqrt()


def standardised_together(sound: Tensor, lengths: Tensor, windows: Tensor) -> Tensor:
    """Sounds [R, L] brought to mean 0 and variance 1 over the real samples of all windows, as the released code does it.

    Args:
        sound: [R, L].
        lengths: Real samples a sound [R].
        windows: Windows that each sound stands for [R]; it counts so many times.
    """
    inside = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
    times = windows.to(sound.device)
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
