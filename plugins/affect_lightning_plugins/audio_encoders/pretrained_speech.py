"""What the pretrained speech encoders share: options, and hidden layers to feature tokens.

Paper, Appendix B: HuBERT on 8 windows of 2 seconds spread over the clip, mean of the last four hidden layers, mean over
time in a window; Figure 4 puts other speech models in its place.
`speech_models.py` has the models that hear samples (HuBERT, WavLM, data2vec, wav2vec 2.0), `whisper.py` hears a
spectrogram. `windows.py` cuts the sound; `pretrained_models.py`, one folder up, loads weights.
Legend: B clips, N windows, R pieces of the whole batch, F frames of 20 ms in a piece, D feature width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from affect_lightning.contracts import AudioEncoder, FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.pretrained_models import ModelSource, Release, Weights

Features = Literal["pooled", "frames"]
Span = Literal["windows", "clip"]
Normalise = Literal["window", "batch"]
ShortClips = Literal["as_they_are", "padded"]
SAMPLE_RATE = 16_000  # Hz; of every published model of this kind, and of the paper (Appendix B)
_WINDOWS, _WINDOW_SECONDS = 8, 2.0  # as in the paper (Appendix B)


class PretrainedSpeechEncoder(AudioEncoder):
    """A frozen speech model of transformers; plugins say which.

    Attributes:
        source: What was loaded, in words.
    """

    plans_on_processor = True
    #: What the plugin's default model is; None where the user must name one.
    release: Release | None = None

    def __init__(
        self,
        *,
        build: Callable[[ModelSource], Any],
        model: str,
        revision: str | None = None,
        weights: Weights = "pretrained",
        seed: int = 0,
        span: Span = "windows",
        windows: int = _WINDOWS,
        window_seconds: float = _WINDOW_SECONDS,
        features: Features = "pooled",
        last_layers: int = 4,
        normalise: Normalise = "window",
        short_clips: ShortClips = "as_they_are",
        pieces_at_once: int = 128,
    ) -> None:
        """Load the model.

        Args:
            build: Of the plugin: from source to the model.
            model: Folder with config.json and weights, or hub name.
            revision: Commit, tag or branch of a hub name; None: the pinned commit of the plugin's default model.
            weights: `pretrained`, or `random` for the architecture alone (benchmarks, tests).
            seed: Seed of random weights.
            span: What a token covers: `windows` as in the paper (Appendix B), or the whole `clip`.
            windows: Windows a clip, N; 8 as in the paper (Appendix B).
            window_seconds: Length of a window; 2 seconds as in the paper (Appendix B).
            features: `pooled`: one token a window or clip, the mean over time (paper, Appendix B); `frames`: a token
                for every 20 ms.
            last_layers: Number of hidden layers in the average, counted from the last one; 4 as in the paper
                (Appendix B).
            normalise: What is brought to mean 0 and variance 1 at once, for models that were trained on such sound: each
                `window` by itself (our choice: a clip's tokens depend on the clip alone), or all windows of all clips
                of the `batch` together (as the authors' released code does).
            short_clips: A clip shorter than a window is encoded `as_they_are`, at its own length (our choice), or
                `padded` with silence up to a window (as the authors' released code does).
            pieces_at_once: Most windows or clips in one call of the model, to bound memory; 128 is our choice: 16
                clips of 8 windows in one call.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__()
        if windows < 1 or window_seconds < 0.02 or pieces_at_once < 1:
            raise ConfigurationError(
                f"windows and pieces_at_once must be at least 1 and window_seconds at least 0.02; got {windows}, "
                f"{pieces_at_once} and {window_seconds}."
            )
        if span == "clip":
            _refuse_window_options(windows, window_seconds, short_clips)
        model_source = ModelSource(model, revision, weights, seed, self.release)
        self.network: Any = build(model_source)
        configuration = self.network.config
        layers = int(configuration.num_hidden_layers)
        if not 1 <= last_layers <= layers:
            raise ConfigurationError(
                f"last_layers must be from 1 to {layers}, the layers of {model!r}; got {last_layers}."
            )
        self.settings = model_source.settings("preprocessor_config.json") or {}
        rate = int(self.settings.get("sampling_rate", SAMPLE_RATE))
        if rate != SAMPLE_RATE:
            raise ConfigurationError(f"{model!r} hears {rate} Hz; this encoder needs a model of {SAMPLE_RATE} Hz.")
        self.sample_rate = SAMPLE_RATE
        self.feature_width = int(configuration.hidden_size)
        self.windows = windows if span == "windows" else 1
        self.window_seconds = window_seconds if span == "windows" else None
        self.pools = features == "pooled"
        self.last_layers = last_layers
        self.normalise = normalise
        self.pads_short_clips = short_clips == "padded"
        self.pieces_at_once = pieces_at_once
        self.source = model_source.description(configuration)
        self.eval()


def _refuse_window_options(windows: int, window_seconds: float, short_clips: str) -> None:
    """Refuse what only windows obey."""
    usual: dict[str, tuple[object, object]] = {
        "windows": (windows, _WINDOWS),
        "window_seconds": (window_seconds, _WINDOW_SECONDS),
        "short_clips": (short_clips, "as_they_are"),
    }
    if given := [f"{name} {value}" for name, (value, default) in usual.items() if value != default]:
        raise ConfigurationError(
            f"Set `span: windows`, or leave out {', '.join(given)}: `span: clip` cuts no windows, and encodes each clip whole."
        )


def mean_of_last_layers(output: Any, layers: int) -> Tensor:
    """Mean [R, F, D] of the last hidden layers of an output of transformers; the last one as the model gives it.

    Models that normalise behind their last layer count that normalised output as the last layer, as transformers did
    when the paper was written; newer versions list the layer before the normalisation.
    """
    states = (*output.hidden_states[:-1], output.last_hidden_state)[-layers:]
    return torch.stack(states).mean(dim=0)


def gather_tokens(hidden: Tensor, counts: Tensor, index: Tensor, mask: Tensor, *, pools: bool) -> FeatureSequence:
    """Tokens of the batch out of encoded pieces.

    Args:
        hidden: [R, F, D], zero behind a piece's end.
        counts: Real frames a piece [R], int64.
        index: Which piece a window is [B, N], int64.
        mask: True where a clip has sound [B, N], bool.
        pools: One token a piece, the mean over its real frames; else one a frame.
    """
    if pools:
        sums = hidden.sum(dim=1, dtype=torch.float32)
        vectors = (sums / counts.clamp(min=1).unsqueeze(-1)).to(hidden.dtype)
        return FeatureSequence(vectors[index].masked_fill(~mask.unsqueeze(-1), 0.0), mask.clone())
    real = torch.arange(hidden.shape[1], device=hidden.device) < counts[:, None]  # [R, F]
    frames = (real[index] & mask.unsqueeze(-1)).flatten(1)
    return FeatureSequence(hidden[index].flatten(1, 2).masked_fill(~frames.unsqueeze(-1), 0.0), frames)
