"""Read MER-Caption+, OV-MERD and the human-labelled part of MER2026 from their official folders.

Paper: Section 2 and Appendix C. Each folder holds `video/`, `audio/`, perhaps `openface_face/`, the subtitles, the
open-vocabulary words (track 2) and the reasoned descriptions (track 3). `tables.py` reads the files.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.media import MediaFolders
from affect_lightning.corpora.tables import (
    MissingSubtitle,
    count,
    find_file,
    index_rows,
    parse_labels,
    read_rows,
    subtitles_of,
)
from affect_lightning.errors import DataError

SUBTITLE_FILE = "subtitle_chieng.csv"


@dataclass(frozen=True)
class TrainingSet:
    """One annotated training set, as it lies on the disk.

    Attributes:
        key: Also `ClipRecord.corpus` and the folder's name.
        title: Name in messages.
        label_file: Table with the columns name and openset.
        description_file: Table with the columns name and reason; None where the set has no descriptions.
    """

    key: str
    title: str
    label_file: str
    description_file: str | None


TRAINING_SETS: dict[str, TrainingSet] = {
    item.key: item
    for item in (
        TrainingSet(
            "mer-caption-plus",
            "MER-Caption+",
            "track2_train_mercaptionplus.csv",
            "track3_train_mercaptionplus.csv",
        ),
        TrainingSet("ovmerd", "OV-MERD", "track2_train_ovmerd.csv", "track3_train_ovmerd.csv"),
        TrainingSet("mer2026-human", "the human-labelled part of MER2026", "track2_train_human.csv", None),
    )
}


def read_training_set(
    root: Path | str,
    key: str = "mer-caption-plus",
    *,
    missing_subtitle: MissingSubtitle = "error",
    counts: Counter[str] | None = None,
) -> list[ClipRecord]:
    """The annotated clips of a training set, sorted by name; videos without annotation are no part of it.

    Args:
        root: Folder that contains the set's folder (`mer-caption-plus/`, `ovmerd/`), or that folder itself. The three
            sets may share one folder, as they do in MER2026.
        key: Of the set; see TRAINING_SETS. MER-Caption+ is the paper's training set (Section 5).
        missing_subtitle: What to do with a clip that has no row in the table of subtitles: `error` (our choice, because
            the paper's models read the subtitle), or `empty`, which is logged and counted.
        counts: If given, `counts` grows by the clips found under "without subtitle", "without emotion words" and
            "without description".

    Returns:
        One record for each clip that has words, a description or both. `labels` or `description` is empty where the
        clip has none; such clips are logged and counted.

    Raises:
        DataError: Unknown key; folder, file or column missing; unreadable words; empty set; missing subtitle.
    """
    if key not in TRAINING_SETS:
        raise DataError(f"There is no training set {key!r}. The sets are {', '.join(TRAINING_SETS)}.")
    item = TRAINING_SETS[key]
    folder = _set_folder(Path(root), item)
    labels = _read_labels(folder, item)
    descriptions = _read_descriptions(folder, item)
    names = sorted({*labels, *descriptions})
    if not names:
        raise DataError(f"{folder / item.label_file} lists no clips of {item.title}. Restore the official file.")
    without_words = [name for name in names if not labels.get(name)]
    without_description = [name for name in names if not descriptions.get(name)]
    if without_words:
        count(counts, "without emotion words", without_words, folder / item.label_file)
    if without_description and item.description_file is not None:
        count(counts, "without description", without_description, folder / item.description_file)
    subtitle_path = find_file(folder, (SUBTITLE_FILE,), f"the subtitles of {item.title}")
    subtitles = subtitles_of(names, subtitle_path, missing_subtitle, counts)
    media = MediaFolders(folder, ("video",), ("audio",))
    return [
        ClipRecord(
            name=name,
            corpus=item.key,
            video=media.video(name),
            audio=media.audio(name),
            face=media.face(name),
            subtitle_english=subtitles[name].english,
            subtitle_chinese=subtitles[name].chinese,
            labels=labels.get(name, ()),
            description=descriptions.get(name, ""),
        )
        for name in names
    ]


def _set_folder(root: Path, item: TrainingSet) -> Path:
    if not root.is_dir():
        raise DataError(f"The folder {root} is missing. It should contain {item.key} ({item.title}).")
    for folder in (root, root / item.key):
        if (folder / item.label_file).is_file():
            return folder
    if (root / item.key).is_dir():
        return root / item.key
    if root.name == item.key:
        return root
    raise DataError(
        f"{item.title} is missing: {root} has neither a folder {item.key} nor the file {item.label_file}. Give the "
        f"folder that contains one of them; `affect-lightning sandbox` writes such a folder."
    )


def _read_labels(folder: Path, item: TrainingSet) -> dict[str, tuple[str, ...]]:
    path = find_file(folder, (item.label_file,), f"the emotion words of {item.title}")
    rows = index_rows(path, read_rows(path, ("name", "openset")))
    return {name: parse_labels(row["openset"], row.where("openset")) for name, row in rows.items()}


def _read_descriptions(folder: Path, item: TrainingSet) -> dict[str, str]:
    if item.description_file is None:
        return {}
    path = find_file(folder, (item.description_file,), f"the descriptions of {item.title}")
    return {name: row["reason"] for name, row in index_rows(path, read_rows(path, ("name", "reason"))).items()}
