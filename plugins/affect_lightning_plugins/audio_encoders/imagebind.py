"""Audio encoder `imagebind`: the audio half of ImageBind, from the user's own `imagebind_huge.pth`.

Paper, Figure 4 (ImageBind). The published weights may be used for non-commercial purposes only (CC BY-NC 4.0), so no
package has them and nothing is downloaded: the user names the file. Nothing in it is executed, and the tensors of the other
modalities are not read.
ImageBind hears log-mel filter banks as Kaldi computes them. Kaldi differs from librosa in five points that matter: no
padding at the ends, the mean of every frame removed, pre-emphasis within the frame, a symmetric window, and triangles that
are straight in mel.
`imagebind_network.py` is the network, `windows.py` cuts the sound.
Legend: B clips, S audio samples, N windows, R pieces of the whole batch, L samples in a piece, M mel bands, F frames of
10 ms, D feature width.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.contracts import AudioEncoder, FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning.sending import sent
from affect_lightning.weights import builds_without_weights, compare_weights
from affect_lightning_plugins.audio_encoders.imagebind_network import (
    BANDS,
    FRAMES,
    ImageBindAudio,
    ImageBindSizes,
    own_name,
    sizes_of,
)
from affect_lightning_plugins.audio_encoders.pretrained_speech import ShortClips, gather_tokens
from affect_lightning_plugins.audio_encoders.windows import checked_lengths, cut_pieces
from affect_lightning_plugins.pretrained_models import Weights

SAMPLE_RATE = 16_000  # Hz
FRAME, HOP = 400, 160  # 25 and 10 ms: Kaldi's defaults
_FFT = 512  # the next power of two
_PRE_EMPHASIS = 0.97  # Kaldi's default
_LOWEST = 20.0  # Hz; Kaldi's default
_SMALLEST = torch.finfo(torch.float32).eps  # under the logarithm, as in Kaldi


def frame_counts(lengths: Tensor) -> Tensor:
    """Whole frames in sounds of so many samples.

    >>> frame_counts(torch.tensor([399, 400, 560, 32_000])).tolist()
    [0, 1, 2, 198]
    """
    return ((lengths - FRAME).div(HOP, rounding_mode="floor") + 1).clamp(min=0)


def mel_filters(bands: int) -> Tensor:
    """Triangles from 20 Hz to half the sample rate, even and straight in mel (HTK's scale).

    Returns:
        Weights of the power spectrum [257, M], float32.
    """
    low, high = _mel(torch.tensor([_LOWEST, SAMPLE_RATE / 2], dtype=torch.float64))
    edges = torch.linspace(float(low), float(high), bands + 2, dtype=torch.float64)
    bins = _mel(torch.arange(_FFT // 2 + 1, dtype=torch.float64) * (SAMPLE_RATE / _FFT))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0.0)
    filters[-1] = 0.0  # Kaldi leaves the last bin, half the sample rate, out
    return filters.float()


def log_filter_banks(sound: Tensor, filters: Tensor) -> Tensor:
    """Natural logarithm of the filter banks [R, F, M] of sounds [R, L] of at least one frame.

    Args:
        sound: float32, in [-1, 1].
        filters: From `mel_filters`.
    """
    with torch.autocast(sound.device.type, enabled=False):
        frames = sound.unfold(1, FRAME, HOP)  # [R, F, FRAME]
        frames = frames - frames.mean(dim=-1, keepdim=True)
        before = functional.pad(frames, (1, 0), mode="replicate")[..., :-1]
        window = torch.hann_window(FRAME, periodic=False, device=sound.device)
        spectrum = torch.fft.rfft((frames - _PRE_EMPHASIS * before) * window, n=_FFT)
        power = spectrum.abs().square()  # [R, F, 257]
        return (power @ sent(filters, sound.device)).clamp(min=_SMALLEST).log()


def _mel(hertz: Tensor) -> Tensor:
    return 1127.0 * (1.0 + hertz / 700.0).log()


_WINDOW = 2 * SAMPLE_RATE  # samples; the published positions are those of 2 seconds (arXiv 2305.05665, Appendix B)
_MEAN, _TWO_DEVIATIONS = -4.268, 9.138  # of the filter banks the model was trained on
_FILE = "imagebind_huge.pth"


class ImageBindAudioEncoder(AudioEncoder):
    """The audio half of ImageBind on windows of 2 seconds, from the user's own weights (CC BY-NC 4.0); frozen.

    Attributes:
        source: What was loaded, in words.
    """

    plans_on_processor = True

    def __init__(
        self,
        *,
        model: str | None = None,
        weights: Weights = "pretrained",
        seed: int = 0,
        features: Literal["projected", "pooled"] = "projected",
        windows: int = 8,
        short_clips: ShortClips = "as_they_are",
        num_heads: int = 12,
        pieces_at_once: int = 128,
    ) -> None:
        """Load the audio half.

        Args:
            model: The file `imagebind_huge.pth`, or a folder that holds it. It is the user's own: CC BY-NC 4.0.
            weights: `pretrained`, or `random` for the architecture alone (benchmarks, tests).
            seed: Of random weights.
            features: What a window gives: `projected`, its embedding in the space shared with pictures and texts, which
                the authors' released code takes; `pooled`, the class token before the projection.
            windows: Windows of 2 seconds a clip, N; 8 as for the other encoders (paper, Appendix B).
            short_clips: A clip shorter than a window has its filter banks filled with zeros (`as_they_are`, as in
                ImageBind's own code), or is `padded` with silence first (as the authors' released code does).
            num_heads: Attention heads; 12 as in the published model, whose weights do not show it.
            pieces_at_once: Most windows in one call of the model, to bound memory; 128 is our choice: 16 clips of 8
                windows.

        Raises:
            ConfigurationError: The file is not given, cannot be read or does not fill the network, or an option is out
                of range.
        """
        super().__init__()
        if windows < 1 or pieces_at_once < 1 or num_heads < 1:
            raise ConfigurationError(
                f"windows, num_heads and pieces_at_once must be at least 1; got {windows}, {num_heads} and "
                f"{pieces_at_once}."
            )
        if weights == "random" or builds_without_weights():
            self.network = _random_network(ImageBindSizes(heads=num_heads), seed)
            self.source = (
                f"ImageBind's audio half, architecture only ({'meta device' if builds_without_weights() else seed})"
            )
        else:
            self.network = _filled_network(_weights_file(model), num_heads)
            self.source = str(_weights_file(model))
        self.network.requires_grad_(False)
        self.projects = features == "projected"
        layer = self.network.projection
        self.feature_width = layer.out_features if self.projects else layer.in_features
        self.sample_rate = SAMPLE_RATE
        self.windows = windows
        self.pads_short_clips = short_clips == "padded"
        self.pieces_at_once = pieces_at_once
        # No buffer: converting the model to 16 bits must not round the filters.
        self._filters = torch.empty(0) if builds_without_weights() else mel_filters(BANDS)
        self.eval()

    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        """Encode every window; see `AudioEncoder.forward`.

        Returns:
            Tokens [B, N, D], one a window. A clip of length 0 has no real token.
        """
        known = checked_lengths(waveform, lengths)
        pieces = cut_pieces(waveform, known, self.windows, _WINDOW, padded=self.pads_short_clips)
        dtype = self.network.projection.weight.dtype
        vectors = torch.zeros(max(len(pieces.sound), 1), 1, self.feature_width, dtype=dtype, device=waveform.device)
        if len(pieces.sound):
            mel = self.spectrograms(pieces.sound, pieces.lengths).to(dtype)
            found = [self.network(part)[1 if self.projects else 0] for part in mel.split(self.pieces_at_once)]
            vectors = torch.cat(found).unsqueeze(1).to(dtype)
        counts = torch.ones(len(vectors), dtype=torch.long, device=waveform.device)
        return gather_tokens(vectors, counts, pieces.index, pieces.mask, pools=True)

    def spectrograms(self, sound: Tensor, lengths: Tensor) -> Tensor:
        """What the network hears of windows.

        Args:
            sound: Samples of windows [R, L], zero behind their lengths.
            lengths: Real samples a window [R].

        Returns:
            Scaled log-mel filter banks [R, 1, M, F], float32; frames behind a window's end are zero before scaling.
        """
        sound = functional.pad(sound.float(), (0, max(FRAME - sound.shape[1], 0)))
        inside = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
        mean = sound.sum(dim=1, keepdim=True) / lengths.clamp(min=1)[:, None]
        banks = log_filter_banks((sound - mean).masked_fill(~inside, 0.0), self._filters)  # [R, frames, M]
        real = torch.arange(banks.shape[1], device=banks.device) < frame_counts(lengths.clamp(min=FRAME))[:, None]
        banks = banks.masked_fill(~real.unsqueeze(-1), 0.0)[:, :FRAMES]
        banks = functional.pad(banks, (0, 0, 0, FRAMES - banks.shape[1]))
        return ((banks - _MEAN) / _TWO_DEVIATIONS).transpose(1, 2).unsqueeze(1)


def _weights_file(model: str | None) -> Path:
    path = None if model is None else Path(model).expanduser()
    if path is not None and path.is_dir():
        path = path / _FILE
    if path is None or not path.is_file():
        raise ConfigurationError(
            f"Give the file with ImageBind's weights as `model: FOLDER/{_FILE}`; got {model!r}, which is no such file. "
            f"Its publisher offers it for non-commercial use (CC BY-NC 4.0), so it is not fetched for you: "
            f"docs/encoders.md says where it is."
        )
    return path


def _random_network(sizes: ImageBindSizes, seed: int) -> ImageBindAudio:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ImageBindAudio(sizes)
    return network


def _filled_network(path: Path, heads: int) -> ImageBindAudio:
    """The network with the file's weights, all of them or none.

    Raises:
        ConfigurationError: The file cannot be read, or its audio half is another one.
    """
    try:
        stored = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(
            f"Fetch {path} again: it cannot be read as a file of weights ({type(error).__name__}: {reason})."
        ) from error
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ConfigurationError(
            f"Give ImageBind's published file: {path} holds {type(stored).__name__}, and not a table of tensors by name."
        )
    named = {own_name(name) or name: value for name, value in stored.items() if ".audio." in name}
    sizes = sizes_of(named, heads) or ImageBindSizes(heads=heads)
    if sizes.width % heads:
        raise ConfigurationError(f"`num_heads: {heads}` must divide {sizes.width}, the width of the model in {path}.")
    network = ImageBindAudio(sizes)
    differences = compare_weights(named, network.state_dict())
    differences.refuse(str(path), "ImageBind's audio half", "Fetch the published file again.", ConfigurationError)
    network.load_state_dict(named)
    return network
