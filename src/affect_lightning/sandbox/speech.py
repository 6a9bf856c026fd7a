"""Speech of the sandbox: espeak-ng sentences whose pitch, range, rate, loudness and timbre follow a voice code.

The cues are those of MER-Caption's acoustic descriptions (loud, hurried, high, flat, slow, low). The synthesiser comes
from the pip package espeakng-loader, which has the shared library and its data. `performing.py` calls `speak` and
`mouth_opening`; `identities.py` decides who speaks.
"""

from __future__ import annotations

import _ctypes
import ctypes
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.sandbox.emotions import VoiceCode
from affect_lightning.sandbox.identities import VoiceProfile

SAMPLE_RATE = 16000
#: Longest speech of a clip in seconds, so that lead-in and lead-out still fit into 5 s. Our choice.
LONGEST_SPEECH = 4.45

_SYNCHRONOUS = 2
_NEVER_EXIT_PROCESS = 0x8000
_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_FASTEST_WORDS_PER_MINUTE = 400
_BLOCK_IN, _BLOCK_OUT = 441, 320  # 22050 Hz to 16000 Hz
_SYNTHESISER_RATE = 22050
_one_sentence_at_a_time = threading.Lock()


@dataclass(frozen=True)
class VoiceManner:
    """How a voice code changes a voice at full strength. All amounts are our choice.

    Attributes:
        pitch: Added to espeak-ng's pitch (0 to 99).
        pitch_range: Added to espeak-ng's neutral pitch range of 50 (0 is monotone).
        rate: Relative change of the words per minute.
        level: Added to the level, dB.
        tilt: Change of the spectrum above 500 Hz, dB per octave.
        low_cut: Frequency in Hz below which the sound is thinned; 0 leaves it whole.
    """

    pitch: float
    pitch_range: float
    rate: float
    level: float
    tilt: float
    low_cut: float


MANNERS: dict[VoiceCode, VoiceManner] = {
    "plain": VoiceManner(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "energetic": VoiceManner(22.0, 48.0, 0.30, 8.0, 1.5, 0.0),
    "thin": VoiceManner(34.0, -42.0, 0.22, -9.0, 1.5, 450.0),
    "low": VoiceManner(-26.0, -22.0, -0.28, -6.0, -4.5, 0.0),
}
#: Level of the plain voice and of the room's noise, dB below full scale (root mean square). Our choice.
PLAIN_LEVEL = -27.0
ROOM_NOISE_LEVEL = -66.0


def _open_synthesiser() -> tuple[Any, str]:
    """A handle to espeak-ng's shared library and the path of its data."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise ConfigurationError(
            "Run `pip install 'affect-lightning[sandbox]'`: the sandbox speaks with espeak-ng, and its package "
            "espeakng-loader is not installed."
        ) from error
    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except OSError as error:
        raise ConfigurationError(
            f"The shared library of espeakng-loader cannot be loaded ({error}). Expected the wheel's library for this "
            "platform; reinstall it with: pip install --force-reinstall espeakng-loader."
        ) from error
    return library, str(espeakng_loader.get_data_path())


def _close_synthesiser(library: Any) -> None:
    """Unload the shared library where the platform can, so that the next sentence starts from a clean state."""
    library.espeak_Terminate()
    if hasattr(_ctypes, "dlclose"):
        _ctypes.dlclose(library._handle)
    else:
        _ctypes.FreeLibrary(library._handle)  # type: ignore[attr-defined]


def synthesise(sentence: str, espeak_voice: str, words_per_minute: int, pitch: int, pitch_range: int) -> np.ndarray:
    """Speak one sentence with espeak-ng.

    espeak-ng keeps phases, flutter and echo in static variables, so that a sentence depends on what was spoken before
    it. The library is therefore loaded afresh for each sentence (about 5 ms): a clip sounds the same in whichever
    process and order it is made. This is also safe under fork and spawn; threads of one process take turns.

    Args:
        sentence: English.
        espeak_voice: Language and variant.
        words_per_minute: Rate, 80 to 400.
        pitch: 0 to 99.
        pitch_range: 0 to 99.

    Returns:
        [S] float32 in -1 to 1 at 22050 Hz.

    Raises:
        ConfigurationError: espeak-ng or its data cannot be loaded, or it has no such voice.
        DataError: The sentence holds nothing that can be spoken.
    """
    pieces: list[np.ndarray] = []

    def collect(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    callback = callback_type(collect)
    with _one_sentence_at_a_time:
        library, data_path = _open_synthesiser()
        try:
            rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data_path.encode(), _NEVER_EXIT_PROCESS)
            if rate != _SYNTHESISER_RATE:
                raise ConfigurationError(
                    f"espeak-ng did not start with the data in {data_path} (answer {rate}, expected "
                    f"{_SYNTHESISER_RATE}). Its paths may hold at most about 150 characters: "
                    f"this one has {len(data_path)}. Install into a shorter path, or reinstall espeakng-loader."
                )
            if library.espeak_SetVoiceByName(espeak_voice.encode()) != 0:
                raise ConfigurationError(
                    f"espeak-ng has no voice {espeak_voice!r}. Expected a language and a variant such as 'en-us+f1' "
                    f"out of {Path(data_path) / 'voices'}; reinstall espeakng-loader if the folder is incomplete."
                )
            library.espeak_SetSynthCallback(callback)
            values = ((_RATE, words_per_minute), (_VOLUME, 100), (_PITCH, pitch), (_RANGE, pitch_range))
            for parameter, value in values:
                library.espeak_SetParameter(parameter, value, 0)
            text = sentence.encode()
            library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
            library.espeak_Synchronize()
        finally:
            _close_synthesiser(library)
    spoken = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    if not np.any(spoken):
        raise DataError(f"espeak-ng spoke nothing for {sentence!r}. Expected an English sentence with words in it.")
    return _trim(spoken.astype(np.float32) / 32768.0)


def _trim(samples: np.ndarray) -> np.ndarray:
    """Cut the silence at both ends: samples below 1% of the peak."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


def _shape_spectrum(samples: np.ndarray, tilt: float, low_cut: float) -> np.ndarray:
    """Resample 22050 Hz to 16000 Hz and colour the timbre, in one multiplication of the spectrum.

    Args:
        samples: [S] at 22050 Hz.
        tilt: dB per octave above 500 Hz.
        low_cut: Hz of a second-order low cut; 0 for none.

    Returns:
        [S * 320 / 441] at 16000 Hz.
    """
    blocks = -(-len(samples) // _BLOCK_IN)
    padded = np.zeros(blocks * _BLOCK_IN, np.float32)
    padded[: len(samples)] = samples
    size = blocks * _BLOCK_OUT
    spectrum = np.fft.rfft(padded)[: size // 2 + 1]
    frequencies = np.arange(len(spectrum)) * SAMPLE_RATE / size
    gain = 10.0 ** (tilt * np.log2(np.maximum(frequencies, 500.0) / 500.0) / 20.0)
    if low_cut > 0.0:
        squared = (frequencies / low_cut) ** 2
        gain *= squared / (1.0 + squared)
    gain *= np.clip((7900.0 - frequencies) / 400.0, 0.0, 1.0)
    return np.fft.irfft(spectrum * gain, size).astype(np.float32) * (_BLOCK_OUT / _BLOCK_IN)


def _speech_level(waveform: np.ndarray) -> float:
    """Root mean square of the louder half of the 40 ms windows: pauses do not count."""
    windows = waveform[: len(waveform) // 640 * 640].reshape(-1, 640) if len(waveform) >= 640 else waveform[None]
    power = np.sort(np.mean(windows.astype(np.float64) ** 2, axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean()))


def speak(
    sentence: str, voice: VoiceProfile, code: VoiceCode, intensity: float, generator: np.random.Generator
) -> np.ndarray:
    """Speak a sentence in the manner of a voice code; never longer than `LONGEST_SPEECH`.

    Args:
        sentence: English.
        voice: Of the speaker.
        code: Manner of speaking.
        intensity: 0.4 to 1; the manner is applied with strength 0.5 + 0.5 * intensity (our choice).
        generator: Source of the small differences between two performances.

    Returns:
        [S] float32 at 16000 Hz.

    Raises:
        ConfigurationError: espeak-ng is missing or broken.
        DataError: Nothing can be spoken, or the sentence is too long for a clip.
    """
    manner, strength = MANNERS[code], 0.5 + 0.5 * intensity
    pitch = int(np.clip(round(voice.pitch + strength * manner.pitch + generator.uniform(-2.0, 2.0)), 0, 99))
    pitch_range = int(np.clip(round(50 + strength * manner.pitch_range + generator.uniform(-3.0, 3.0)), 0, 99))
    level = PLAIN_LEVEL + strength * manner.level + generator.uniform(-0.7, 0.7)
    words_per_minute = voice.words_per_minute * (1.0 + strength * manner.rate) * generator.uniform(0.98, 1.02)
    samples = np.zeros(0, np.float32)
    for _attempt in range(4):
        rate = round(min(words_per_minute, _FASTEST_WORDS_PER_MINUTE))
        samples = synthesise(sentence, voice.espeak_voice, rate, pitch, pitch_range)
        seconds = len(samples) / _SYNTHESISER_RATE
        if seconds <= LONGEST_SPEECH:
            break
        words_per_minute *= 1.03 * seconds / LONGEST_SPEECH
    else:
        raise DataError(
            f"The sentence {sentence!r} takes {seconds:.1f} s at the fastest speed, but a clip has room for "
            f"{LONGEST_SPEECH} s. Write a sentence of 4 to 14 short words."
        )
    waveform = _shape_spectrum(samples, strength * manner.tilt, strength * manner.low_cut)
    waveform *= 10.0 ** (level / 20.0) / _speech_level(waveform)
    return np.tanh(waveform * 1.02) / 1.02


def room_noise(samples: int, generator: np.random.Generator) -> np.ndarray:
    """Faint brownish noise of a room.

    Args:
        samples: S.
        generator: Source of the noise.

    Returns:
        [S] float32.
    """
    white = generator.standard_normal(samples + 7).astype(np.float32)
    smooth = np.convolve(white, np.full(8, 8**-0.5, np.float32), mode="valid")
    return smooth * np.float32(10.0 ** (ROOM_NOISE_LEVEL / 20.0))


def mouth_opening(waveform: np.ndarray, frames: int) -> np.ndarray:
    """How far the speech opens the mouth in each frame: the loudness envelope over its own maximum.

    The division removes the level, so that the picture hardly tells the voice code.

    Args:
        waveform: [S] speech placed in the clip, before room noise, 640 samples a frame.
        frames: T.

    Returns:
        [T] in 0 to 1.
    """
    power = np.mean(waveform[: frames * 640].reshape(frames, 640).astype(np.float64) ** 2, axis=1)
    loudness = np.sqrt(np.convolve(power, (0.2, 0.6, 0.2), mode="same"))
    reference = float(np.percentile(loudness, 95))
    if reference <= 0.0:
        return np.zeros(frames)
    return np.clip(loudness / reference, 0.0, 1.0) ** 0.7
