"""Packed sets for the tests, and a small server that speaks the part of S3 that reading needs."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipBatch, ClipRecord
from affect_lightning.data.dataset import ClipDataset, ReadingOptions
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.loading import ClipLoader
from affect_lightning.data.ordering import BatchPlan
from affect_lightning.data.quarantine import Quarantine
from affect_lightning.data.questions import QuestionDraw
from affect_lightning.data.reading_workers import ReadingWorkers, WorkerStart
from affect_lightning.packed_sets.packed_clips import PackedClips, open_packed_set
from affect_lightning.packed_sets.packed_source import PackedSource
from affect_lightning.plugin_loading import build_part
from affect_lightning.storage import Part
from clip_making import tone, write_clip, write_wav
from model_cases import stream_values
from patience import LONGEST

OPTIONS = ReadingOptions(frozenset({"audio", "face", "frame"}), frame_count=3, crop_size=16)


def write_records(folder: Path, count: int = 12) -> list[ClipRecord]:
    """Clips with sound beside them, in their own track, and with released crops; the fourth is broken, the fifth gone."""
    records = []
    for index in range(count):
        own_track = index % 3 == 1
        name = f"clip {index} 片'"
        video = write_clip(
            folder / f"{name}.mp4", range(0, 400 + 40 * index, 40), waveform=tone(0.5, 200) if own_track else None
        )
        face = None
        if index % 3 == 2:
            face = folder / f"{name}.npy"
            np.save(face, np.random.default_rng(index).integers(0, 256, (5, 20, 20, 3), dtype=np.uint8))
        records.append(
            ClipRecord(
                name=name,
                corpus="made" if index % 2 else "other",
                video=video,
                audio=None
                if own_track
                else write_wav(folder / f"{name}.wav", tone(0.4 + 0.04 * index, 300 + 50 * index)),
                face=face,
                subtitle_english=f"words {index}",
                subtitle_chinese=f"中文 {index}",
                labels=("happy", f"mood{index}"),
                description=f"reasons {index}",
                sentiment=index / 7,
            )
        )
    assert records[3].video is not None
    assert records[4].audio is None or records[4].audio.is_file()
    records[3].video.write_bytes(records[3].video.read_bytes()[:300])
    records[6].audio.unlink()  # type: ignore[union-attr]
    return records


def tiny_records(count: int) -> list[ClipRecord]:
    """Clips without files."""
    return [ClipRecord(f"clip{index:06}", "made", labels=("happy",), subtitle_english="w") for index in range(count)]


def pack_tiny(folder: Path, count: int, halt: int | None = None, part: str | None = None) -> None:
    """Many shards of a few clips; in a process that is killed it waits for that at the clip `halt`."""
    from affect_lightning.packed_sets.layout import Payload, media_parts
    from affect_lightning.packed_sets.packing import Packing

    def parts(position: int, clip: ClipRecord) -> Any:
        while position == halt:
            time.sleep(LONGEST)
        return media_parts(position, clip)

    packing = Packing(tiny_records(count), folder, Payload("media", parts), shard_bytes=1000, range_clips=20)
    packing.whole() if part is None else packing.part(Part.parse(part))


def open_first_clip(place: str, cache: Path, environment: dict[str, str]) -> None:
    """Open a set out of storage, and its first clip; runs in a process of its own."""
    os.environ.update(environment)
    assert open_packed_set(place, cache_folder=cache).open(0)[0].name == "clip000000"


def make_dataset(records: Sequence[ClipRecord] | PackedClips, options: ReadingOptions = OPTIONS) -> ClipDataset:
    return ClipDataset(records, options, QuestionDraw(seed=5), FaceCropper(build_part("face_detectors", "none"), 16))


def make_loader(
    clips: Sequence[ClipRecord] | PackedClips,
    workers: int = 0,
    options: ReadingOptions = OPTIONS,
    quarantine: Quarantine | None = None,
    window: int = 2,
    worker_start: WorkerStart = "forkserver",
    **plan: Any,
) -> ClipLoader:
    values = {"batch_size": 2, "shuffle": True, "seed": 5, "rank": 0, "world_size": 1, "balance": "natural", **plan}
    if isinstance(clips, PackedClips):
        made: Any = PackedSource("x", window=window).plan(clips, length_pool=0, **values)  # type: ignore[arg-type]
    else:
        made = BatchPlan(len(clips), **values)  # type: ignore[arg-type]
    dataset, bad = make_dataset(clips, options), quarantine or Quarantine(max_bad_share=1.0)
    return ClipLoader(dataset, made, bad, readers=ReadingWorkers(workers, worker_start))


def contents(batch: ClipBatch) -> list[Any]:
    """Everything of a batch, for comparison."""
    listed = [batch.valid.tolist(), stream_values(batch)]
    return [batch.records, batch.questions, batch.responses, batch.subtitles, *listed]


class _Handler(BaseHTTPRequestHandler):
    """HEAD and GET with ranges, as S3 answers them."""

    protocol_version = "HTTP/1.1"
    root: Path
    requests: Counter[str]
    broken: set[str]

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        name = self.path.split("?")[0].lstrip("/")
        path = self.root / name
        if with_body:
            self.requests[path.name] += 1
        if not path.is_file() or path.name in self.broken:
            status = 503 if path.name in self.broken else 404
            code = "SlowDown" if status == 503 else "NoSuchKey"
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            self._send(status, body, with_body)
            return
        content = path.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not found:
            self._send(200, content, with_body)
            return
        start, stop = int(found[1]), int(found[2] or len(content) - 1)
        extra = {"Content-Range": f"bytes {start}-{stop}/{len(content)}"}
        self._send(206, content[start : stop + 1], with_body, extra)

    def _send(self, status: int, body: bytes, with_body: bool, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), "ETag": '"tag"', **(extra or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@contextmanager
def storage_server(root: Path) -> Iterator[tuple[str, Counter[str], set[str]]]:
    """Serve the folders below `root` as buckets.

    Yields:
        The address, the number of GETs by file name, and a set of names that answer with an error when put there.
    """
    requests: Counter[str] = Counter()
    broken: set[str] = set()
    handler = type("Handler", (_Handler,), {"root": root, "requests": requests, "broken": broken})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests, broken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
