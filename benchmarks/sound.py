"""Reading of 4 s WAV files at other rates, and prosody's measures, by librosa and by what it replaces or does not.

    python benchmarks/sound.py [--rounds 9] [--json]

    read 44100 Hz, stereo      `decode_clip` (librosa resamples) against FFmpeg for all, files of 16-bit samples
    pitch                      `prosody`'s YIN in torch against `librosa.yin`, the same frames of one clip
    mel filters                `prosody`'s table of filters against `librosa.filters.mel`
    import                     what the first use of librosa costs a process

Milliseconds of processor time in one thread, the median of the rounds, so that a busy machine gives nearly the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from affect_lightning.data.decoding import _decode_sound_file, decode_clip
from affect_lightning_plugins.audio_encoders.prosody import HOP, PITCH_FRAME, SAMPLE_RATE, mel_filters, yin_pitch

SECONDS = 4
FILES = ((8_000, 1), (22_050, 1), (44_100, 2), (48_000, 1), (48_000, 2))
YIN = {"fmin": 60, "fmax": 600, "sr": SAMPLE_RATE, "frame_length": PITCH_FRAME, "hop_length": 2 * HOP, "center": False}


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Processor time of one call, in milliseconds; the first call is not counted."""
    work()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - started))
    return statistics.median(taken)


def write_noise(path: Path, rate: int, channels: int) -> Path:
    noise = np.random.default_rng(0).standard_normal((SECONDS * rate, channels)) * 3000
    with wave.open(str(path), "wb") as stream:
        stream.setparams((channels, 2, rate, 0, "NONE", ""))
        stream.writeframes(noise.astype("<i2").tobytes())
    return path


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds by row, with librosa and without."""
    import librosa

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for rate, channels in FILES:
            path = write_noise(Path(folder) / f"{rate}-{channels}.wav", rate, channels)
            found[f"read {rate} Hz, {'mono' if channels == 1 else 'stereo'}"] = {
                "librosa": milliseconds(
                    lambda path=path: decode_clip(None, path, frame_count=None, sample_rate=SAMPLE_RATE), rounds
                ),
                "without": milliseconds(lambda path=path: _decode_sound_file(path, SAMPLE_RATE), rounds),
            }
    sound = torch.randn(SECONDS * SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    frames, samples = sound.unfold(0, PITCH_FRAME, 2 * HOP), sound.numpy()
    found["pitch"] = {
        "librosa": milliseconds(lambda: librosa.yin(samples, **YIN), rounds),
        "without": milliseconds(lambda: yin_pitch(frames, SAMPLE_RATE, 60, 600), rounds),
    }
    found["mel filters"] = {
        "librosa": milliseconds(
            lambda: librosa.filters.mel(sr=SAMPLE_RATE, n_fft=512, n_mels=40, fmin=50, fmax=7600, htk=True), rounds
        ),
        "without": milliseconds(lambda: mel_filters(40, 257, SAMPLE_RATE), rounds),
    }
    found["import"] = {"librosa": import_milliseconds(), "without": 0.0}
    return found


def import_milliseconds() -> float:
    """Processor time of the first resampling in a process that has numpy; what numba compiles is kept from before."""
    program = (
        "import time, numpy\nstarted = time.process_time()\nimport librosa\n"
        "librosa.resample(numpy.zeros(441, 'f4'), orig_sr=44100, target_sr=16000)\n"
        "print(1000 * (time.process_time() - started))"
    )
    return float(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, encoding="utf-8"
        ).stdout
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    for row, times in found.items():
        ratio = f"{times['without'] / times['librosa']:6.2f} times as fast" if times["without"] else ""
        print(f"{row:24} librosa {times['librosa']:9.2f} ms   without {times['without']:8.2f} ms   {ratio}")


if __name__ == "__main__":
    main()
