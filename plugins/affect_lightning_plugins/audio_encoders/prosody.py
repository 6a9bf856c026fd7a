"""Audio encoder `prosody`: how something is said, measured by signal processing. It has no weights.

It replaces the paper's Chinese HuBERT-Large (Appendix B) where there is neither a GPU nor access to the hub. It cuts a
clip as the paper does: 8 windows of 2 seconds spread evenly. We found no pretrained voice encoder that pip alone can
install and that fits: the speaker network in `resemblyzer` is trained to recognise a voice in any tone, so it discards
what emotion needs, and its package needs a compiler. The pitch is YIN's (de Cheveigne and Kawahara, J. Acoust. Soc. Am.
111(4), 2002; step numbers below are the article's), in torch and without a loop. librosa's pyin would take most of a
second for each clip. `windows.py` cuts the sound, `window_statistics.py` turns frames into tokens.
Legend: B clips, S audio samples, F analysis frames, P samples in a frame, G lags, N windows, M mel bands, D feature
width.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.contracts import AudioEncoder, FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning.sending import sent
from affect_lightning_plugins.audio_encoders.window_statistics import FrameMeasures, statistics_width, window_statistics
from affect_lightning_plugins.audio_encoders.windows import checked_lengths, window_positions

SAMPLE_RATE = 16_000  # paper, Appendix B
HOP = 160  # 10 ms, the usual step of speech recognisers
PITCH_FRAME = 1024  # 64 ms: more than two periods of the lowest pitch
MEL_FRAME = 512  # 32 ms
SMALLEST_POWER = 1e-10  # -100 dB of full scale


class ProsodyAudioEncoder(AudioEncoder):
    """Pitch, loudness, tempo and timbre (log-mel) in windows of the clip; computed in torch, no weights.

    Tokens are statistics of each window, roughly standardised by fixed constants.

    Args:
        windows: Tokens a clip, N; 8 as in the paper (Appendix B).
        window_seconds: Length of a window; 2 seconds as in the paper (Appendix B).
        bands: Mel bands from 50 to 7600 Hz; 40 is our choice, as in classical speech recognisers.
        lowest_pitch: In Hz; 60 is our choice, below deep male voices.
        highest_pitch: In Hz; 600 is our choice, above excited female voices.

    Raises:
        ConfigurationError: An option is out of range.
    """

    plans_on_processor = True

    def __init__(
        self,
        windows: int = 8,
        window_seconds: float = 2.0,
        bands: int = 40,
        lowest_pitch: float = 60.0,
        highest_pitch: float = 600.0,
    ) -> None:
        super().__init__()
        if windows < 1 or window_seconds < 0.1 or not 4 <= bands <= 80:
            raise ConfigurationError(
                f"prosody needs windows >= 1, window_seconds >= 0.1 and 4 <= bands <= 80; got {windows}, "
                f"{window_seconds} and {bands}."
            )
        if not 40 <= lowest_pitch < highest_pitch <= 1000:
            raise ConfigurationError(
                f"prosody needs 40 <= lowest_pitch < highest_pitch <= 1000 Hz; got {lowest_pitch} and {highest_pitch}."
            )
        self.windows = windows
        self.window_frames = round(window_seconds * SAMPLE_RATE / HOP)
        self.bands = bands
        self.lowest_pitch = lowest_pitch
        self.highest_pitch = highest_pitch
        self.sample_rate = SAMPLE_RATE
        self.feature_width = statistics_width(bands)

    @torch.no_grad()
    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        """Measure every window; see `AudioEncoder.forward`.

        Returns:
            Tokens [B, windows, D], float32 whatever the waveform's type; all real, or none for a clip of length 0.
        """
        known = checked_lengths(waveform, lengths)
        lengths = sent(torch.tensor(known, dtype=torch.long), waveform.device)
        with torch.autocast(waveform.device.type, enabled=False):
            measures, counts = self.measure(waveform.float(), lengths, max([*known, 0]))
            positions, inside = window_positions(counts, self.windows, self.window_frames)
            tokens = window_statistics(measures, positions, inside, HOP / SAMPLE_RATE)
        mask = (lengths > 0)[:, None].expand(-1, self.windows)
        return FeatureSequence(tokens.masked_fill(~mask.unsqueeze(-1), 0.0), mask.clone())

    def measure(self, waveform: Tensor, lengths: Tensor, longest: int) -> tuple[FrameMeasures, Tensor]:
        """Measure every 10 ms of sound.

        Args:
            waveform: float32 [B, S] at 16 kHz; samples beyond a clip's length are not heard.
            lengths: Real samples a clip [B], int64.
            longest: The largest of them, or 0.

        Returns:
            The measures of all F frames, and the real frames a clip [B]: those that lie inside the clip, at least 1.
        """
        longest = max(longest, PITCH_FRAME)
        heard = functional.pad(waveform, (0, max(longest - waveform.shape[1], 0)))[:, :longest]
        heard = heard.masked_fill(torch.arange(longest, device=heard.device) >= lengths[:, None], 0.0)
        counts = (lengths - PITCH_FRAME).clamp(min=0) // HOP + 1
        frames = heard.unfold(1, PITCH_FRAME, HOP)  # [B, F, PITCH_FRAME]
        margin = (PITCH_FRAME - MEL_FRAME) // 2
        middle = frames[..., margin : margin + MEL_FRAME]  # both analyses look at the same moment
        window = torch.hann_window(MEL_FRAME, device=heard.device)
        spectrum = torch.view_as_real(torch.fft.rfft(middle * window))  # [B, F, bins, 2]
        power = spectrum.square().sum(dim=-1) / window.square().sum()
        mel = power @ sent(_kept_filters(self.bands), power.device, power.dtype)
        energy = middle.square().mean(dim=-1)
        pitch, aperiodicity = self._pitch(frames, counts)
        decibels = 10.0 * energy.clamp(min=SMALLEST_POWER).log10()
        measures = FrameMeasures(
            mel=mel.clamp(min=SMALLEST_POWER).log(),
            decibels=decibels,
            octaves=(pitch / self.lowest_pitch).log2(),
            # -55 dB: our choice, below the softest speech and above the noise of usual recordings.
            voiced=(aperiodicity < 0.3) & (decibels > -55.0),
            aperiodicity=aperiodicity,
        )
        return measures, counts

    def _pitch(self, frames: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Pitch [B, F] in Hz and aperiodicity [B, F], measured in every second frame and repeated: half the cost.

        Each pitch is the median of three neighbours, which corrects single octave errors; `counts` [B] real frames a clip
        keep neighbours from beyond the clip out of it.
        """
        batch, count, _ = frames.shape
        every_second = frames[:, ::2]
        pitch, aperiodicity = yin_pitch(
            every_second.reshape(-1, PITCH_FRAME), SAMPLE_RATE, self.lowest_pitch, self.highest_pitch
        )
        pitch, aperiodicity = pitch.view(batch, -1), aperiodicity.view(batch, -1)
        here = torch.arange(pitch.shape[1], device=pitch.device).expand_as(pitch)
        after = torch.minimum(here + 1, (counts[:, None] - 1) // 2)
        earlier, later = pitch.gather(1, (here - 1).clamp(min=0)), pitch.gather(1, after)
        # The median of three, by comparisons: CUDA has no deterministic kernel for `median`.
        low, high = torch.minimum(earlier, later), torch.maximum(earlier, later)
        median = torch.minimum(torch.maximum(pitch, low), high)
        return median.repeat_interleave(2, 1)[:, :count], aperiodicity.repeat_interleave(2, 1)[:, :count]


@cache
def _kept_filters(bands: int) -> Tensor:
    """The filters on the processor, made once; also for use outside the inference mode in which they were made."""
    with torch.inference_mode(False):
        return mel_filters(bands, MEL_FRAME // 2 + 1, SAMPLE_RATE)


def mel_filters(bands: int, bins: int, sample_rate: int) -> Tensor:
    """Triangular filters that are equally wide on the mel scale.

    Args:
        bands: Mel bands M, from 50 Hz to 7600 Hz (our choice: the band of wide-band telephony).
        bins: Bins of the spectrum, from 0 Hz to half the sample rate.
        sample_rate: In Hz.

    Returns:
        [bins, M], float32; each filter sums to 1, so that a band holds a mean power.
    """

    def mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    edges = torch.linspace(mel(50.0), mel(7600.0), bands + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
    hertz = torch.linspace(0.0, sample_rate / 2.0, bins, dtype=torch.float64)[:, None]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0.0)
    # Low bands may fall between two bins: they take the nearest one.
    nearest = (hertz - edges[1:-1]).abs().argmin(dim=0)
    empty = filters.sum(dim=0) <= 0
    filters[nearest[empty], empty.nonzero().squeeze(1)] = 1.0
    return (filters / filters.sum(dim=0)).float()


def yin_pitch(
    frames: Tensor, sample_rate: int, lowest: float, highest: float, threshold: float = 0.15
) -> tuple[Tensor, Tensor]:
    """Pitch and aperiodicity of frames.

    Args:
        frames: Sound [F, P], float32; P must be more than twice the longest lag, `sample_rate / lowest`.
        sample_rate: In Hz.
        lowest: Lowest pitch sought, in Hz.
        highest: Highest pitch sought, in Hz.
        threshold: Depth that a dip must reach to be taken before a deeper one at a longer lag (step 4); our choice
            between the article's 0.1 and the 0.2 of later toolkits.

    Returns:
        Pitch in Hz [F], and aperiodicity [F]: near 0 for a clear tone, about 1 for noise and for silence.

    >>> tone = torch.sin(torch.arange(1024) * (2 * torch.pi * 200 / 16000))
    >>> round(float(yin_pitch(tone[None], 16000, 60, 500)[0]))
    200
    """
    shortest, longest = max(int(sample_rate / highest), 2), int(sample_rate / lowest) + 1
    difference = _difference(frames, longest)  # [F, longest + 1]
    running = difference[:, 1:].cumsum(dim=1) / torch.arange(1, longest + 1, device=frames.device)
    quiet = running <= 1e-8 * frames.shape[1]
    normalised = torch.where(quiet, 1.0, difference[:, 1:] / running.clamp(min=1e-12))  # step 3; column 0 is lag 1
    middle = normalised[:, shortest - 1 : longest - 1]  # lags `shortest` to `longest - 1`, both with neighbours
    before, after = normalised[:, shortest - 2 : longest - 2], normalised[:, shortest:longest]
    dips = (middle < threshold) & (middle <= before) & (middle < after)
    chosen = torch.where(dips.any(dim=1), dips.float().argmax(dim=1), middle.argmin(dim=1))[:, None]
    low, centre, high = (part.gather(1, chosen) for part in (before, middle, after))
    curvature = low - 2.0 * centre + high
    shift = torch.where(curvature > 1e-9, 0.5 * (low - high) / curvature.clamp(min=1e-9), 0.0).clamp(-0.5, 0.5)
    lag = chosen + shortest + shift  # step 5: parabolic interpolation
    return (sample_rate / lag).squeeze(1), centre.squeeze(1).clamp(0.0, 1.0)


def _difference(frames: Tensor, longest: int) -> Tensor:
    """Squared difference of each frame and its copy at lags 0 to `longest` [F, longest + 1] (step 2), through FFT."""
    size = frames.shape[1]
    span = size - longest  # samples compared at every lag
    spectrum = torch.fft.rfft(frames, n=size)
    start = torch.fft.rfft(frames[:, :span], n=size)
    # No wrap-around: span + longest = size.
    product = torch.fft.irfft(spectrum * start.conj(), n=size)[:, : longest + 1]
    squares = torch.nn.functional.pad(frames.square().cumsum(dim=1), (1, 0))
    energy = squares[:, span : span + longest + 1] - squares[:, : longest + 1]
    return (energy[:, :1] + energy - 2.0 * product).clamp(min=0.0)
