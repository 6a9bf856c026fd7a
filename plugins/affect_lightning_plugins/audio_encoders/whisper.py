"""Audio encoder `whisper`: the encoder of Whisper. Its decoder is not built.

Not in the paper's Figure 4. Whisper takes log-mel spectrograms of exactly 30 seconds, padded with silence. If windows
of 2 seconds were cut first, each would be encoded with 28 seconds of silence. So a clip is encoded once, in pieces of
30 seconds, and the windows are cut from the encoded frames. `pretrained_speech.py` has the options and makes the
tokens, `windows.py` has the positions of the windows.
Legend: B clips, S audio samples, N windows, R pieces of 30 s in the whole batch, C pieces a clip, F frames of 20 ms, M
mel bands, D feature width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning.sending import sent, sent_rows
from affect_lightning_plugins.audio_encoders.pretrained_speech import (
    Normalise,
    PretrainedSpeechEncoder,
    gather_tokens,
    mean_of_last_layers,
)
from affect_lightning_plugins.audio_encoders.windows import checked_lengths, window_positions
from affect_lightning_plugins.pretrained_models import ModelSource, Release

_MODEL = "openai/whisper-large-v3"
_FFT, _HOP = 400, 160  # 25 and 10 ms (arXiv 2212.04356, Section 2.2); the defaults of WhisperFeatureExtractor
_FRAME = 2 * _HOP  # the second convolution halves the rate
_SURPLUS = (r"^(model\.)?decoder\.", r"^proj_out\.")
# Of the encoder in the whole model, stored with or without its head; `model.` is taken off by transformers itself.
_RENAMING = {r"^model\.encoder\.": "model.", r"^encoder\.": ""}


class WhisperAudioEncoder(PretrainedSpeechEncoder):
    """The encoder of Whisper-large-v3, or of any Whisper by folder or hub name; frozen."""

    release = Release(
        _MODEL,
        "06f233fe06e710322aca913c1bc4249a0d71fce1",
        {  # arXiv 2212.04356, Table 1; 128 bands since v3
            "d_model": 1280,
            "encoder_layers": 32,
            "encoder_attention_heads": 20,
            "encoder_ffn_dim": 5120,
            "num_mel_bins": 128,
        },
    )

    def __init__(self, *, model: str = _MODEL, normalise: Normalise = "window", **options: Any) -> None:
        """Load the encoder.

        Args:
            model: Folder with config.json and weights, or hub name; large-v3 is our choice.
            normalise: Only "window": Whisper hears a spectrogram, which is scaled clip by clip.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        if normalise != "window":
            raise ConfigurationError(
                f"Leave `normalise` out: Whisper hears a spectrogram, which is scaled clip by clip. Got "
                f"{normalise!r}; the speech encoders that hear samples take it."
            )
        super().__init__(build=_build, model=model, **options)
        from transformers.audio_utils import mel_filter_bank

        self.frames_a_piece = int(self.network.config.max_source_positions)
        filters = mel_filter_bank(
            num_frequency_bins=1 + _FFT // 2,
            num_mel_filters=int(self.network.config.num_mel_bins),
            min_frequency=0.0,
            max_frequency=8000.0,
            sampling_rate=self.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        # No buffer: converting the model to 16 bits must not round the filters.
        self._filters = torch.from_numpy(filters).float()  # [bins, M]

    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        """Encode every clip, then cut; see `AudioEncoder.forward`.

        Returns:
            Tokens [B, N, D]: one a window; or [B, N * F, D] for frames, with those behind a sound's end masked. A
            clip of length 0 has no real token.
        """
        known = checked_lengths(waveform, lengths)
        size = self.frames_a_piece * _FRAME
        pieces = [-(-length // size) for length in known]  # of 30 s, with sound in them
        most = max([*pieces, 1])
        places = [most * clip + piece for clip, own in enumerate(pieces) for piece in range(own)]
        counts, lengths, places_sent = sent_rows([[-(-n // _FRAME) for n in known], known, places], waveform.device)
        frames = self._encode(waveform, lengths, most, places_sent)  # [B, C * frames_a_piece, D]
        longest = max(-(-max([*known, 0]) // _FRAME), 1)
        span = round(self.window_seconds * self.sample_rate / _FRAME) if self.window_seconds else longest
        positions, inside = window_positions(counts, self.windows, span)
        if self.pads_short_clips:  # the frames of the silence that Whisper always hears count too
            positions = positions[..., :1] + torch.arange(positions.shape[2], device=positions.device)
            inside = (counts > 0)[:, None, None] & (positions < frames.shape[1])
            positions = positions.clamp(max=frames.shape[1] - 1)
        clips = torch.arange(len(frames), device=frames.device)[:, None, None]
        hidden = frames[clips, positions].masked_fill(~inside.unsqueeze(-1), 0.0).flatten(0, 1)  # [B * N, F, D]
        index = torch.arange(len(hidden), device=frames.device).view(len(known), self.windows)
        mask = (lengths > 0)[:, None].expand(-1, self.windows)
        return gather_tokens(hidden, inside.sum(dim=-1).flatten(), index, mask, pools=self.pools)

    def _encode(self, waveform: Tensor, lengths: Tensor, pieces: int, places: Tensor) -> Tensor:
        """Encoded frames of every clip [B, C * frames_a_piece, D], zero where a piece has no sound.

        Args:
            waveform: [B, S].
            lengths: Real samples a clip [B].
            pieces: C.
            places: Of the pieces with sound, among all B * C [R].
        """
        dtype = self.network.conv1.weight.dtype
        size = self.frames_a_piece * _FRAME
        heard = functional.pad(waveform.float(), (0, max(pieces * size - waveform.shape[1], 0)))[:, : pieces * size]
        heard = heard.masked_fill(torch.arange(pieces * size, device=heard.device) >= lengths[:, None], 0.0)
        sound = heard.reshape(-1, size).index_select(0, places)  # [R, size]
        every = (len(heard) * pieces, self.frames_a_piece, self.feature_width)
        frames = torch.zeros(every, dtype=dtype, device=heard.device)
        if len(sound):
            found = [self._run(part, dtype) for part in sound.split(self.pieces_at_once)]
            frames = frames.index_copy(0, places, torch.cat(found).to(dtype))
        return frames.view(len(heard), -1, self.feature_width)

    def _run(self, sound: Tensor, dtype: torch.dtype) -> Tensor:
        found = self.network(log_mel(sound, self._filters).to(dtype), output_hidden_states=True)
        return mean_of_last_layers(found, self.last_layers)


def log_mel(sound: Tensor, filters: Tensor) -> Tensor:
    """Whisper's log-mel spectrogram [R, M, frames of 10 ms] of sounds [R, L] at 16 kHz (arXiv 2212.04356, Section 2.2).

    Args:
        sound: float32 [R, L].
        filters: [bins, M].
    """
    with torch.autocast(sound.device.type, enabled=False):
        window = torch.hann_window(_FFT, device=sound.device)
        spectrum = torch.stft(sound, _FFT, _HOP, window=window, return_complex=True)[..., :-1]
        power = spectrum.abs().square().transpose(1, 2)  # [R, frames, bins]
        decades = (power @ sent(filters, sound.device)).clamp(min=1e-10).log10()
        decades = torch.maximum(decades, decades.amax(dim=(1, 2), keepdim=True) - 8.0)
        return ((decades + 4.0) / 4.0).transpose(1, 2)


def _build(source: ModelSource) -> Any:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    configuration = source.configuration(WhisperConfig, ("whisper",))
    return source.network(WhisperEncoder, configuration, surplus=_SURPLUS, renaming=_RENAMING)
