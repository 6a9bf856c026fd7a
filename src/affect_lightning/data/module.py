"""ClipDataModule: the official folders, or the user's own clip, as Lightning's loaders.

Paper: Section 5 (training on MER-Caption+, testing on the nine sets of MER-UniBench). Holds options and splits only:
`readers/` list the clips, `dataset.py` reads them, `loading.py` hands them out.
Legend: B clips, T frames.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule

from affect_lightning.contracts import ClipRecord, FaceDetector
from affect_lightning.data.box_cache import BoxCache
from affect_lightning.data.dataset import ClipDataset, Questioner, ReadingOptions, SubtitleLanguage
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.loading import BatchPlan, ClipLoader, LoadingCounts, WorkerStart
from affect_lightning.data.quarantine import BadClip, BadClipPolicy, Quarantine, check_bad_clip_options
from affect_lightning.data.questions import OneQuestion, QuestionDraw
from affect_lightning.data.readers import BENCHMARK_SETS, find_benchmark_set, read_benchmark_set, read_training_set
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.plugin_loading import PluginChoice, build_part, resolve_choice
from affect_lightning.prompting import check_inputs

OWN_CORPUS = "own"  # `ClipRecord.corpus` of the clips given to predict


def stable_share(name: str) -> float:
    """A number in [0, 1) that depends on the name alone: which split a clip is in never changes as a set grows.

    Example:
        >>> 0.0 <= stable_share("sample_00000123") < 1.0
        True
    """
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64


def default_cache_folder() -> Path:
    """`affect-lightning/face_boxes` in the user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "affect-lightning" / "face_boxes"


class ClipDataModule(LightningDataModule):
    """Clips from the official folders, decoded and cropped on the fly.

    Args:
        train_root: Folder that contains `mer-caption-plus/`; needed to fit and validate.
        benchmark_root: Folder that contains the `*-process/` folders; needed to test.
        test_sets: Keys of the sets to test, such as mer2023 or meld; None means all that `benchmark_root` has.
        validation_share: Share of the training clips kept for validation, chosen by a stable hash of the name (0.05,
            our choice: the paper validates on the test sets only).
        inputs: Streams that the prompt shows, of audio, face, frame, text and multi; decides what is decoded. Linked
            to the model's option of the same name (paper, Section 5: audio, face, text and the fused stream).
        fused_streams: Streams that `multi` is made of (paper, Eq. 3: audio and video); linked to the model's.
        frames: Frames a clip, T (paper, Appendix B: 8).
        crop_size: Side of face crops and whole frames in pixels (paper, Appendix B: 224).
        sample_rate: Of the sound, in Hz (paper, Appendix B: 16 kHz).
        subtitle_language: english or chinese (english, our choice: the questions are in English).
        missing_subtitle: `error`, or `empty` to go on with an empty subtitle, counted in the log.
        describe_share: Share of training samples that are asked for the description, the others for the names (0.5;
            the paper draws one of the two questions at random; the even share is ours).
        test_question: What test and predict ask, describe or name (name, our choice: the benchmarks score words).
        batch_size: Training clips a step and process (3; PAPER facts, Section "Model": batch 3).
        eval_batch_size: The same for validation, test and predict (8, our choice).
        workers: Worker processes that read clips; 0 reads in the main process (0, our choice: right everywhere).
        worker_start: How workers start: spawn, fork or forkserver (spawn, our choice: safe beside threads).
        face_detector: Plugin of the group face_detectors, used where a set has no released crops (centerface, ours).
        cache_folder: Where face boxes are kept; None means the user's cache folder.
        seed: Of the order of the training clips and of the draw of questions.
        on_bad_clip: What to do with a clip that cannot be read: `quarantine` (go on without it, counted) or `error`.
        max_bad_share: Share of a split's clips that may be bad before the run stops (0.01, our choice).
        quarantine_file: JSONL file that names the bad clips; None means quarantine.jsonl in the run's folder.
        limit_train_clips: At most so many clips of the training set, validation included, chosen by a stable hash.
        limit_test_clips: At most so many clips of each test set, chosen by a stable hash.
        predict_video: The user's own video file, or several, for predict.
        predict_audio: Their sound files; None means the videos' own tracks.
        predict_subtitle: What is said in them; None means nothing.

    Raises:
        ConfigurationError: An option is out of range.
        PluginError: The face detector is unknown or its options are wrong.
    """

    def __init__(
        self,
        *,
        train_root: Path | str | None = None,
        benchmark_root: Path | str | None = None,
        test_sets: list[str] | None = None,
        validation_share: float = 0.05,
        inputs: Sequence[str] = ("multi", "audio", "face", "text"),
        fused_streams: Sequence[str] = ("audio", "face"),
        frames: int = 8,
        crop_size: int = 224,
        sample_rate: int = 16_000,
        subtitle_language: SubtitleLanguage = "english",
        missing_subtitle: str = "error",
        describe_share: float = 0.5,
        test_question: str = "name",
        batch_size: int = 3,
        eval_batch_size: int = 8,
        workers: int = 0,
        worker_start: WorkerStart = "spawn",
        face_detector: PluginChoice = "centerface",
        cache_folder: Path | str | None = None,
        seed: int = 0,
        on_bad_clip: BadClipPolicy = "quarantine",
        max_bad_share: float = 0.01,
        quarantine_file: Path | str | None = None,
        limit_train_clips: int | None = None,
        limit_test_clips: int | None = None,
        predict_video: str | list[str] | None = None,
        predict_audio: str | list[str] | None = None,
        predict_subtitle: str | list[str] | None = None,
    ):
        super().__init__()
        if not 0.0 <= validation_share < 1.0:
            raise ConfigurationError(f"validation_share must be at least 0 and below 1; got {validation_share}.")
        if missing_subtitle not in ("error", "empty"):
            raise ConfigurationError(f"missing_subtitle must be error or empty; got {missing_subtitle!r}.")
        check_bad_clip_options(on_bad_clip, max_bad_share)
        shown = check_inputs(inputs)
        self.options = ReadingOptions(
            streams=frozenset({*shown, *(fused_streams if "multi" in shown else ())} & {"audio", "face", "frame"}),
            frame_count=frames,
            crop_size=crop_size,
            sample_rate=sample_rate,
            subtitle_language=subtitle_language,
        )
        self.train_root, self.benchmark_root = _path(train_root), _path(benchmark_root)
        self.test_sets = None if test_sets is None else [find_benchmark_set(key).key for key in test_sets]
        self.validation_share, self.missing_subtitle = validation_share, missing_subtitle
        self.training_questions = QuestionDraw(describe_share, seed)
        self.test_questions = OneQuestion(test_question)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.workers, self.worker_start = workers, worker_start
        self.face_detector = face_detector
        self.cache_folder = _path(cache_folder) or default_cache_folder()
        self.seed = seed
        self.on_bad_clip, self.max_bad_share = on_bad_clip, max_bad_share
        self.quarantine_file = _path(quarantine_file)
        self.limit_train_clips, self.limit_test_clips = limit_train_clips, limit_test_clips
        self.predict_clips = _own_clips(_listed(predict_video), _listed(predict_audio), _listed(predict_subtitle))
        self.records: dict[str, list[ClipRecord]] = {}
        self.quarantines: dict[str, Quarantine] = {}
        self._loaders: dict[str, ClipLoader] = {}
        self._cropper: FaceCropper | None = None

    def setup(self, stage: str) -> None:
        """List the clips that the stage needs; the other folders are not touched.

        Raises:
            DataError: A folder, file or column is missing, or a set is empty.
            ConfigurationError: The option that names the folder is not set.
        """
        if stage in ("fit", "validate") and "train" not in self.records:
            self.records["train"], self.records["validation"] = self._read_training()
        elif stage == "test" and "test" not in self.records:
            self.records["test"] = self._read_benchmarks()
        elif stage == "predict" and "predict" not in self.records:
            if not self.predict_clips:
                raise ConfigurationError("predict needs a clip: set data.predict_video to a video file.")
            self.records["predict"] = self.predict_clips
        self._loaders = {}

    def _read_training(self) -> tuple[list[ClipRecord], list[ClipRecord]]:
        if self.train_root is None:
            raise ConfigurationError(
                "data.train_root is not set. Give the folder that contains mer-caption-plus/; "
                "`affect-lightning sandbox --out DIR` writes a generated one."
            )
        clips = read_training_set(self.train_root, missing_subtitle=self.missing_subtitle)  # type: ignore[arg-type]
        clips = _limited(clips, self.limit_train_clips)
        training = [clip for clip in clips if stable_share(clip.name) >= self.validation_share]
        validation = [clip for clip in clips if stable_share(clip.name) < self.validation_share]
        if not training:
            raise DataError(
                f"No clip of the {len(clips)} in {self.train_root} is left to train on: validation_share is "
                f"{self.validation_share:g} and limit_train_clips {self.limit_train_clips}. Lower the one or raise the "
                f"other."
            )
        return training, validation

    def _read_benchmarks(self) -> list[ClipRecord]:
        root = self.benchmark_root
        if root is None:
            raise ConfigurationError(
                "data.benchmark_root is not set. Give the folder that contains the *-process/ folders of MER-UniBench; "
                "`affect-lightning sandbox --out DIR` writes generated ones."
            )
        if not root.is_dir():
            raise DataError(
                f"The folder {root} (data.benchmark_root) is missing. It should contain *-process/ folders."
            )
        keys = self.test_sets
        if keys is None:
            keys = [key for key, item in BENCHMARK_SETS.items() if (root / item.folder).is_dir()]
        if not keys:
            expected = ", ".join(item.folder for item in BENCHMARK_SETS.values())
            raise DataError(f"{root} (data.benchmark_root) has no test set. Expected one or more of {expected}.")
        return [clip for key in keys for clip in _limited(self._read_benchmark(root, key), self.limit_test_clips)]

    def _read_benchmark(self, root: Path, key: str) -> list[ClipRecord]:
        return read_benchmark_set(root, key, missing_subtitle=self.missing_subtitle)  # type: ignore[arg-type]

    def train_dataloader(self) -> ClipLoader:
        """Training clips in a new order every epoch."""
        return self._loader("train", self.batch_size, self.training_questions, shuffle=True)

    def val_dataloader(self) -> ClipLoader | list[ClipLoader]:
        """Validation clips with the questions and responses of training; no loader if there are none."""
        if not self.records["validation"]:
            return []
        return self._loader("validation", self.eval_batch_size, self.training_questions)

    def test_dataloader(self) -> ClipLoader:
        """The clips of all test sets, one set after the other; `ClipRecord.corpus` says which."""
        return self._loader("test", self.eval_batch_size, self.test_questions)

    def predict_dataloader(self) -> ClipLoader:
        """The user's own clips; one that cannot be read is an error."""
        return self._loader("predict", self.eval_batch_size, self.test_questions)

    def _loader(self, split: str, batch_size: int, questions: Questioner, shuffle: bool = False) -> ClipLoader:
        if split in self._loaders:
            return self._loaders[split]
        records = self.records[split]
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        policy = "error" if split == "predict" else self.on_bad_clip
        self.quarantines[split] = Quarantine(policy, self.max_bad_share, self._quarantine_path())
        self._loaders[split] = ClipLoader(
            ClipDataset(records, self.options, questions, self._cropper_for(records)),
            BatchPlan(len(records), batch_size, shuffle, self.seed, rank, world_size),
            self.quarantines[split],
            workers=min(self.workers, len(records)),
            worker_start=self.worker_start,
            pin_memory=torch.cuda.is_available(),
        )
        return self._loaders[split]

    def _cropper_for(self, records: Sequence[ClipRecord]) -> FaceCropper | None:
        """Built once, and only if a clip needs it."""
        if "face" not in self.options.streams or all(record.face is not None for record in records):
            return None
        if self._cropper is None:
            detector: FaceDetector = build_part("face_detectors", self.face_detector)
            self._cropper = FaceCropper(detector, self.options.crop_size, BoxCache(self.cache_folder))
        return self._cropper

    def _quarantine_path(self) -> Path | None:
        if self.quarantine_file is not None:
            return self.quarantine_file
        folder = self.trainer.log_dir if self.trainer else None
        return Path(folder) / "quarantine.jsonl" if folder else None

    @property
    def bad_clips(self) -> list[BadClip]:
        """Every clip in quarantine, of all splits."""
        return [clip for quarantine in self.quarantines.values() for clip in quarantine.clips]

    def counts(self) -> dict[str, dict[str, int]]:
        """By split: clips, frames, frames_without_face, lost_batches and quarantined, in this process so far."""
        met: dict[str, LoadingCounts] = {split: loader.counts for split, loader in self._loaders.items()}
        return {
            split: {**asdict(counts), "quarantined": len(self.quarantines[split].clips)}
            for split, counts in met.items()
        }

    def resolved_face_detector(self) -> dict[str, object]:
        """The face detector's name and all its options, as plain values."""
        return resolve_choice("face_detectors", self.face_detector)


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value).expanduser()


def _listed(value: str | list[str] | None) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, (str, Path)) else [str(item) for item in value]


def _limited(clips: list[ClipRecord], limit: int | None) -> list[ClipRecord]:
    """At most `limit` clips, the same for every run and independent of the set's order; the order is kept."""
    if limit is None or limit >= len(clips):
        return clips
    if limit < 1:
        raise ConfigurationError(f"A limit of clips must be at least 1; got {limit}.")
    chosen = {clip.name for clip in sorted(clips, key=lambda clip: stable_share(clip.name))[:limit]}
    return [clip for clip in clips if clip.name in chosen]


def _own_clips(videos: list[str], sounds: list[str], subtitles: list[str]) -> list[ClipRecord]:
    """Records of the user's own clips.

    Raises:
        ConfigurationError: The lists differ in length.
    """
    count = max(len(videos), len(sounds))
    for option, values in (
        ("predict_video", videos),
        ("predict_audio", sounds),
        ("predict_subtitle", subtitles),
    ):
        if values and len(values) != count:
            raise ConfigurationError(f"{option} has {len(values)} entries for {count} clips; give one a clip, or none.")
    return [
        ClipRecord(
            name=Path((videos or sounds)[index]).stem,
            corpus=OWN_CORPUS,
            video=Path(videos[index]).expanduser() if videos else None,
            audio=Path(sounds[index]).expanduser() if sounds else None,
            subtitle_english=subtitles[index] if subtitles else "",
            subtitle_chinese=subtitles[index] if subtitles else "",
        )
        for index in range(count)
    ]
