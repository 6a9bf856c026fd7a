"""Memory and time of `affect-lightning annotate` on many clips: `length`, `agree`, a crowd and an export, of rows made here.

    python benchmarks/annotate_memory.py --clips 1000000 --folder FOLDER
    python benchmarks/annotate_memory.py --clips 1000000 --folder FOLDER --export mercaptionplus
    python benchmarks/annotate_memory.py --clips 1000000 --folder FOLDER --stages crowd

The crowd learns from 60 labelled clips and votes on all; the features of each clip are six numbers, drawn here, so that the
memory is that of the look-up and the votes and not that of the features.
Prints one JSON object: the peak of the resident memory of this process, and seconds of each stage. The texts are drawn from a
small list of sentences, so the stages have labels to read and lengths to measure; nothing is said about their quality.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

SENTENCES = (
    "The voice trembles and is soft.", "She speaks quickly and the pitch rises.", "His brows are drawn together.",
    "The corners of the mouth turn up.", "She looks down and avoids the eyes of the other person.",
)  # fmt: skip
FEELINGS = ("happy", "sad", "angry", "afraid", "surprised", "calm", "disappointed", "proud")


def write_clips(path: Path, count: int) -> None:
    """A table with descriptions and what a crowd says of each clip; a part at a time."""
    import pyarrow
    from pyarrow import parquet

    draw = random.Random(0)
    schema = pyarrow.schema([("name", "string"), ("description", "string"), ("crowd_emotion", "string")])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, count, 10_000):
            rows = [_row(number, draw) for number in range(start, min(start + 10_000, count))]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _row(number: int, draw: random.Random) -> dict[str, str]:
    feeling = draw.choice(FEELINGS)
    said = draw.choices(SENTENCES, k=draw.randint(2, 9))
    crowd = feeling if draw.random() < 0.9 else draw.choice(FEELINGS)
    text = f"{' '.join(said)} The person number {number} feels {feeling}."
    return {"name": f"clip{number:07}", "description": text, "crowd_emotion": crowd}


def write_features(folder: Path, count: int) -> dict[str, Any]:
    """A labelled set of 60 clips, and a cache with its features and those of the clips; the options of a crowd on them."""
    import numpy as np

    from affect_lightning.feature_cache.identity import CacheManifest, StreamIdentity
    from affect_lightning.feature_cache.shards import CacheEntry, ShardWriter

    options = {"train": ("meld",), "data": str(folder), "features": (str(folder / "features"),), "seeds": (0, 1)}
    if (folder / "meld-process").is_dir():
        return {**options, "taxonomy": "builtin"}
    manifest = CacheManifest({"audio": StreamIdentity({"encoder.name": "made"}, {}, 6, "made")}, "fp32", "fp32")
    place = folder / "features" / manifest.folder_name()
    manifest.write(place)
    draw = np.random.default_rng(0)

    def commit(writer: ShardWriter, corpus: str, names: list[str], feelings: list[int]) -> None:
        values = draw.standard_normal((len(names), 6), np.float32)
        values[range(len(names)), feelings] += 3
        entries = [(CacheEntry(name, corpus, {}, tokens=(1,)), row.tobytes()) for name, row in zip(names, values)]  # noqa: B905
        writer.commit(entries)

    with ShardWriter(place) as writer:
        for start in range(0, count, 100):
            numbers = range(start, min(start + 100, count))
            commit(writer, "own", [f"clip{number:07}" for number in numbers], [number % 3 for number in numbers])
        labelled = {f"said{number:02}": {"emo": (1, 2, 3)[number % 3], "val": -10} for number in range(60)}
        commit(writer, "meld", list(labelled), [number % 3 for number in range(60)])
    (folder / "meld-process").mkdir()
    np.savez(
        folder / "meld-process" / "label.npz",
        train_corpus=np.array(labelled, dtype=object),
        test_corpus=np.array({}, dtype=object),
    )
    said = "".join(f"{name},,\n" for name in labelled)
    (folder / "meld-process" / "transcription-engchi-polish.csv").write_text(
        f"name,chinese,english\n{said}", encoding="utf-8"
    )
    return {**options, "taxonomy": "builtin"}


def main() -> None:
    """Make the clips, run the stages, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", default=["length", "agree"])
    parser.add_argument("--export", metavar="FORMAT", help="also write the clips that stay as a data set")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    table = options.folder / "made.parquet"
    if not table.is_file():
        write_clips(table, options.clips)

    from affect_lightning.annotation.catalogue import build_listed
    from affect_lightning.annotation.chunked_tables import ClipSource
    from affect_lightning.annotation.pipeline import Pipeline

    given: dict[str, dict[str, Any]] = {"agree": {"rule": "E", "taxonomy": "builtin"}}
    if "crowd" in options.stages:
        given["crowd"] = write_features(options.folder, options.clips)
    listed = [(name, given.get(name, {})) for name in options.stages]
    if options.export:
        listed.append(("export", {"format": options.export, "taxonomy": "builtin"}))
    stages, endings = build_listed(listed)
    before, begun = _peak(), time.process_time()
    done = Pipeline(ClipSource(table), stages, options.folder / "out", endings).run()
    told = {
        "clips": done[-1].clips,
        "mb_before": before,
        "mb_peak": _peak(),
        "processor_seconds": round(time.process_time() - begun, 1),
        "kept": done[-1].kept,
        "seconds": {one.stage: round(one.seconds, 1) for one in done},
    }
    print(json.dumps(told))


def _peak() -> int:
    """Peak of the resident memory so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


if __name__ == "__main__":
    main()
