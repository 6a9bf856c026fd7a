"""Clips a second of four readers, in one run and one process, on 4 s clips of 1280x720 made for it.

    python benchmarks/data.py [--clips 4] [--rounds 2] [--json]

    plain      decodes every frame, turns it into RGB, and detects faces on all 8 chosen ones at full size
    cold       `ClipDataModule`: 8 frames and the sound, faces detected, boxes written to an empty cache
    boxes      the same with the boxes cached
    features   cached features of the paper's encoders' sizes: no decoding, no encoder

All read 8 frames and 16 kHz sound and give 8 face crops, except `features`. The clips show a person drawn by the
sandbox, scaled up, with film grain, so that their bit rate is that of a real clip (H.264 and AAC, FFmpeg's defaults).
Speed is counted in processor seconds of this process, in one thread, so that a busy machine gives the same.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.box_cache import BoxCache
from affect_lightning.data.dataset import ClipDataset, ReadingOptions
from affect_lightning.data.decoding import decode_clip, uniform_times
from affect_lightning.data.faces import FaceCropper, crop_square, fill_gaps
from affect_lightning.data.loading import ClipLoader
from affect_lightning.data.ordering import BatchPlan
from affect_lightning.data.quarantine import Quarantine
from affect_lightning.data.questions import OneQuestion
from affect_lightning.data.speaker import choose_speaker
from affect_lightning.feature_cache.cached_features import open_cached_features
from affect_lightning.feature_cache.identity import CacheManifest, StreamIdentity
from affect_lightning.feature_cache.shards import CacheEntry, ShardWriter
from affect_lightning.plugin_loading import build_part
from affect_lightning.sandbox.emotions import ClipScript
from affect_lightning.sandbox.performing import perform

WIDTH, HEIGHT, FRAMES, RATE = 1280, 720, 100, 25
GRAIN = 4.0  # grey levels of 255: with it the clips have about 2 Mbit/s
WIDTHS = {"audio": 1024, "face": 768}  # the paper's encoders: HuBERT-Large and CLIP ViT-L/14
FEATURE_CLIPS = 999  # clips of which features are cached: a pass over a few would be too short for the clock
REQUIRED = {"cold": 3.0, "boxes": 6.0, "features": 100.0}  # times the plain reader
Reader = Callable[[list[Path]], Iterator[int]]  # reads clips, tells after each batch how many it held


@dataclass
class Measured:
    """Clips read, and the processor and wall seconds that they took."""

    clips: int = 0
    processor: float = 0.0
    wall: float = 0.0


def make_clip(path: Path, number: int) -> None:
    """A drawn person who speaks, 4 s of 1280x720."""
    script = ClipScript(
        name=f"clip{number}",
        seed=number,
        identity=number,
        face=("smile", "wide", "distressed", "rest")[number % 4],
        voice="plain",
        intensity=0.8,
        sentence_english="I went to the market in the morning and then we all came home again.",
        sentence_chinese="早上我去了市场，然后我们都回家了。",
        topic="routine",
        fault=None,
    )
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn.mp4"
        perform(script, drawn, drawn.with_suffix(".wav"))
        with av.open(str(drawn)) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        waveform = decode_clip(None, drawn.with_suffix(".wav"), frame_count=None, sample_rate=16_000).waveform
    assert waveform is not None
    encode(path, pictures, np.resize(waveform, 4 * 16_000), np.random.default_rng(number))


def encode(path: Path, pictures: list[np.ndarray], waveform: np.ndarray, random: np.random.Generator) -> None:
    """Scale up, add grain, and write H.264 and AAC with FFmpeg's defaults."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=RATE, options={"threads": "1"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        for picture in itertools.islice(itertools.cycle(pictures), FRAMES):
            large = cv2.resize(picture, (WIDTH, WIDTH * 3 // 4), interpolation=cv2.INTER_CUBIC)[100 : 100 + HEIGHT]
            grain = random.normal(0.0, GRAIN, (HEIGHT, WIDTH, 1)).astype(np.float32)
            grained = np.clip(large + grain, 0, 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(grained, format="rgb24")))
        container.mux(video.encode(None))
        for start in range(0, len(waveform), 1024):
            piece = av.AudioFrame.from_ndarray(waveform[None, start : start + 1024], format="fltp", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))


class PlainReader:
    """What one writes without this package: every frame to RGB, faces at full size, the rest alike."""

    def __init__(self) -> None:
        self.detector = build_part("face_detectors", {"name": "centerface", "longest_side": WIDTH})

    def __call__(self, clips: list[Path]) -> Iterator[int]:
        for path in clips:
            with av.open(str(path)) as container:
                container.streams.video[0].codec_context.thread_count = 1
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            with av.open(str(path)) as container:
                resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
                pieces = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
                np.concatenate([piece.to_ndarray()[0] for piece in pieces])
            chosen = np.stack([frames[int(index)] for index in uniform_times(0, len(frames), 8)])
            faces = fill_gaps(choose_speaker(self.detector.detect(chosen), chosen))
            crops = [crop_square(frame, box, 224) for frame, box in zip(chosen, faces, strict=True) if box is not None]
            if len(crops) != 8:
                raise SystemExit(f"{path}: the plain reader found no face.")
            yield 1


class OurReader:
    """The package's loader in this process, with the boxes kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self.cropper = FaceCropper(build_part("face_detectors", "centerface"), cache=BoxCache(folder))

    def __call__(self, clips: list[Path]) -> Iterator[int]:
        records = [ClipRecord(name=path.stem, corpus="benchmark", video=path) for path in clips]
        dataset = ClipDataset(records, ReadingOptions(), OneQuestion("name"), self.cropper)
        loader = ClipLoader(dataset, BatchPlan(len(records), batch_size=3), Quarantine("error"))
        for batch in loader:
            yield len(batch)
        if loader.counts.frames_without_face:
            raise SystemExit(f"{loader.counts.frames_without_face} frames without a face.")


class FeaturesReader:
    """The package's loader over cached features of the paper's sizes: 8 x 1024 of sound, 8 x 768 of faces, in bf16."""

    def __init__(self, folder: Path, clips: list[Path]) -> None:
        self.records = [ClipRecord(f"{number}", "benchmark", video=clips[0]) for number in range(FEATURE_CLIPS)]
        streams = {name: StreamIdentity({"encoder.name": "random"}, {}, width) for name, width in WIDTHS.items()}
        manifest = CacheManifest(streams, "bf16", "fp32")
        manifest.write(folder)
        numbers = np.random.default_rng(0).normal(0.0, 1.0, (FEATURE_CLIPS, 8 * sum(WIDTHS.values())))
        tokens = torch.from_numpy(numbers).bfloat16().view(torch.uint8).numpy()
        with ShardWriter(folder) as writer:
            for record, values in zip(self.records, tokens, strict=True):
                writer.commit([(CacheEntry(record.name, record.corpus, {}, tokens=(8, 8), frames=8), values.tobytes())])
        self.features = open_cached_features(folder)

    def __call__(self, clips: list[Path]) -> Iterator[int]:
        dataset = ClipDataset(self.records, ReadingOptions(), OneQuestion("name"), features=self.features)
        for batch in ClipLoader(dataset, BatchPlan(len(self.records), batch_size=3), Quarantine("error")):
            yield len(batch)


def measure(into: Measured, read: Reader, clips: list[Path]) -> None:
    """Add one pass over the clips."""
    wall, processor = time.perf_counter(), time.process_time()
    into.clips += sum(read(clips))
    into.processor += time.process_time() - processor
    into.wall += time.perf_counter() - wall


def run(clips: list[Path], rounds: int, folder: Path) -> dict[str, Measured]:
    """Measure all readers in turn, so that a change of the machine's speed meets all of them."""
    plain, warm = PlainReader(), OurReader(folder / "warm")
    features = FeaturesReader(folder / "features", clips)
    for reader in (plain, warm, features):  # opens sessions, fills the warm cache and the system's cache of files
        list(reader(clips))
    measured: dict[str, Measured] = {}
    for turn in range(rounds):
        cold = OurReader(folder / f"cold{turn}")
        cold.cropper.detector = warm.cropper.detector  # opened already
        readers: dict[str, Callable[[list[Path]], Iterator[int]]] = {
            "plain": plain,
            "cold": cold,
            "boxes": warm,
            "features": features,
        }
        for name, reader in readers.items():
            for _ in range(2 if name == "boxes" else 1):  # the quicker one more often, for the clock's sake
                measure(measured.setdefault(name, Measured()), reader, clips)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=4, help="clips to make (4)")
    parser.add_argument("--rounds", type=int, default=2, help="passes over them (2)")
    parser.add_argument("--folder", type=Path, help="keep the clips here, and use those that are there")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        clips = [folder / f"clip{number}.mp4" for number in range(options.clips)]
        for number, path in enumerate(clips):
            if not path.exists():
                make_clip(path, number)
        megabits = sum(path.stat().st_size for path in clips) * 8 / 4 / len(clips) / 1e6
        measured = run(clips, options.rounds, Path(temporary))
    speeds = {name: item.clips / item.processor for name, item in measured.items()}
    times = {name: speed / speeds["plain"] for name, speed in speeds.items()}
    if options.json:
        walls = {name: item.clips / item.wall for name, item in measured.items()}
        print(
            json.dumps({"clips_per_second": speeds, "by_the_clock": walls, "times_plain": times, "required": REQUIRED})
        )
        return
    print(f"{len(clips)} clips of 4 s, {WIDTH}x{HEIGHT}, {megabits:.1f} Mbit/s; clips per processor second")
    for name, speed in speeds.items():
        required = f"   required {REQUIRED[name]:g}" if name in REQUIRED else ""
        print(f"{name:9} {speed:9.2f} {times[name]:8.2f} x plain{required}")


if __name__ == "__main__":
    main()
