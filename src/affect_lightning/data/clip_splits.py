"""ClipSplits: the official folders, or the user's own clips, as loaders; without Lightning, whose import takes long.

Paper: Section 2, Section 5 (training on MER-Caption+, testing on the nine sets of MER-UniBench). Holds options only:
`clip_sources.py` lists the clips of each split, or `packed_sets` has them; `dataset.py` reads them, or `feature_cache` has
what the encoders gave for them; `loading.py` hands them out. `clip_data_module.py` is its LightningDataModule. B: clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.contracts import ClipRecord, prompt_maker_of
from affect_lightning.corpora.official_folders import MissingSubtitle
from affect_lightning.corpora.predicted_clips import check_predicted, predicted_clips
from affect_lightning.data.box_cache import BoxCache
from affect_lightning.data.clip_sources import ClipSources, TestOverlap, hears_subtitles
from affect_lightning.data.dataset import (
    ClipDataset,
    FaceChannels,
    FrameScaling,
    ReadingOptions,
    SubtitleLanguage,
    built_readers,
)
from affect_lightning.data.faces import MARGIN, ClipWithoutFace, FaceCropper, FacePolicy, FrameWithoutFace
from affect_lightning.data.frame_choice import FrameChoice
from affect_lightning.data.header_checks import readable_clips
from affect_lightning.data.missing_streams import MissingStreams
from affect_lightning.data.ordering import BatchPlan, SetBalance, check_order_options
from affect_lightning.data.quarantine import BadClipOptions, BadClipPolicy, Quarantine
from affect_lightning.data.questions import NoWords, OneQuestion, QuestionDraw, Questioner
from affect_lightning.data.reading_workers import ReadingWorkers, WorkerStart
from affect_lightning.data.shares_of_test import BatchChoice, ChosenBatches, ClipKeys, ShareOfTest, facts_of_test
from affect_lightning.feature_cache.identity import FeaturePrecision
from affect_lightning.feature_cache.source import FeatureMode, FeatureOptions, FeatureSource
from affect_lightning.packed_sets.packed_clips import PackedClips, faces_are_released
from affect_lightning.packed_sets.packed_source import PackedSource
from affect_lightning.packed_sets.shard_order import ShardedPlan
from affect_lightning.plugin_loading import (
    EncoderChoices,
    PluginChoice,
    build_part,
    check_fused_streams,
    check_inputs,
    needed_streams,
    resolve_choice,
)

if TYPE_CHECKING:
    from affect_lightning.data.loading import ClipLoader

# What changes a response: an exported folder keeps these, with the face detector.
RESPONSE_OPTIONS = (
    "frames", "frame_choice", "frame_scaling", "face_channels", "crop_size", "sample_rate", "subtitle_language",
    "test_question", "frame_without_face", "clip_without_face",
)  # fmt: skip
_SPLITS = {"fit": ("train", "validation"), "validate": ("validation",), "test": ("test",), "predict": ("predict",)}


class ClipSplits:
    """Clips from the official folders, decoded and cropped on the fly.

    Args:
        train_root: Folder that contains the folders of the training sets, such as `mer-caption-plus/`.
        train_sets: Sets to train on: mer-caption-plus (the paper's choice, Section 5), ovmerd, mer2026-human, the
            training split of a benchmark set such as meld, or tables of your own (paths, see docs/data.md).
        packed: Packed set to train on instead of the folders: a folder, or s3://bucket/prefix (docs/streaming.md).
        packed_cache_folder: Where downloaded shards are kept; None means the user's cache folder.
        packed_cache_size: Most space for them, such as 20GB (our choice), 500MB, or a number of bytes.
        shuffle_window: Number of shards of a packed set that the order draws from at a time (16, our choice).
        benchmark_root: Folder that contains the `*-process/` folders; needed to test.
        test_sets: Keys of the sets to test, such as mer2023 or meld, or tables of your own; None means all
            known sets that `benchmark_root` has, those with a `benchmark_set.yaml` among them.
        expected_counts: Clips of each test set: `official` (Table 11, or a corpus's own), `any`, or numbers, such as {meld: 100}.
        test_overlap: Training clips with the name of a test clip: `error`, or `drop`, which leaves them out and counts them.
        neutral_share: Share of the purely neutral training clips to keep (1, our choice; 0 suits hit rate and WAF).
        set_balance: How often the sets of `train_sets` come up: by size (natural, our choice), its square root, or equally.
        set_weights: Weights of the sets on top of that, such as {mer-caption-plus: 1, ovmerd: 3}; 1 for the others.
        ratio: Share of the training clips to use, chosen by a stable hash (1, as in the paper).
        emotion_filter: Label extractor, such as rules: leave out training clips without any emotion word (Table 3); None for all.
        include: Training clips to use: names, or text files (.txt) with a name a line; None takes all.
        exclude: Training clips to leave out, in the same way.
        columns: Column names of your own tables by ours, such as {name: clip_id, labels: emotion}.
        length_pool: Training batches in a pool that is sorted by the subtitle's length, to pad less (0, our choice: no sorting).
        validation_share: Share of the training clips kept for validation, by a stable hash of the name (0.05, our choice).
        inputs: Streams that the prompt shows; they decide what is read. Linked to the model's option (paper, Section 5).
        fused_streams: Streams that `multi` is made of (paper, Eq. 3: audio and video); linked to the model's.
        stream_readers: Options of the readers of plugins' streams, by stream, such as {pose: {folder: joints}}.
        frames: Frames a clip, T (paper, Appendix B: 8).
        frame_choice: Of T equal parts the `middle` frame (our choice), or the `first` (released code); released crops alike.
        frame_scaling: What scales whole frames: `area` is OpenCV's (our choice), `decoder` FFmpeg's (released code).
        face_channels: Of crops made here: `rgb` (our choice) or `bgr`, as the authors' released crops are.
        missing_streams: A clip without sound or without pictures: `quarantine`, or `mask` the stream (our choice: quarantine).
        crop_size: Side of face crops and whole frames in pixels (paper, Appendix B: 224).
        sample_rate: Sample rate of the sound, in Hz (paper, Appendix B: 16 kHz).
        subtitle_language: english or chinese (english, our choice: the questions are in English).
        missing_subtitle: `error`, or `empty` to continue with an empty subtitle, counted in the log.
        describe_share: Share of training samples that ask for the description, the others for the names (0.5: released code).
        no_words: What a clip without words learns: to `describe` (our choice), or `neutral` as its name (released code).
        test_question: What test and predict ask: describe, name, sentiment, or task, which asks for the sentiment
            if a clip's only truth is a sentiment value (name, our choice: the benchmarks score words); or a text of your own.
        batch_size: Training clips a step and process (3; PAPER facts, Section "Model": batch 3).
        eval_batch_size: The same for validation, test and predict (32, our choice; docs/language_models.md).
        longest_first: Test and predict sort all sets' clips, the longest subtitle first (True, our choice: little padding).
        workers: Worker processes that read clips; 0 reads in the main process (0, our choice: it works everywhere).
        worker_start: How workers start: spawn, fork or forkserver (spawn, our choice: it is safe with threads).
        reading_threads: Number of clips that the main process reads at once if `workers` is 0 (1, our choice).
        face_detector: Plugin of the group face_detectors, used if a set has no released crops (centerface, ours).
        cache_folder: Where face boxes are kept; None means `SET/face_boxes`, or the user's cache if that cannot be written.
        frame_without_face: What to do with a frame without the speaker's face: `nearest` (cut at the box of the nearest
            frame that has one; our choice), `whole` (the whole frame) or `drop` (the frame is masked).
        clip_without_face: What to do with a clip without any face: `whole` (its whole frames; our choice) or `drop`.
        features: `live` decodes and encodes clips; `cached` reads what `affect-lightning cache` stored, except to predict.
        feature_folder: Where feature caches are, or one of them: a folder, s3:// or gs://; None means the user's cache.
        feature_precision: Precision of stored features: bf16, half the size (our choice), or fp32.
        video_encoder: The model's; linked to it. Only needed to check cached features.
        audio_encoder: The same.
        stream_encoders: The same.
        seed: Seed of the order of the training clips and of the questions. By default that of `seed_everything`, and 0
            in Python.
        on_bad_clip: What to do with a clip that cannot be read: `quarantine` (continue without it, and count it) or `error`.
        max_bad_share: Share of a split's clips that may be bad before the run stops (0.01, our choice).
        quarantine_file: JSONL file that names the bad clips; None means quarantine.jsonl in the run's folder.
        limit_train_clips: Most clips of the training set, validation included, chosen by a stable hash.
        limit_test_clips: Most clips of each test set, chosen by a stable hash.
        predict_video: What predict answers: a video, a folder, a pattern, or several of these; --clips for short.
        predict_audio: Their sound files; None means the videos' own tracks.
        predict_subtitle: What the people in them say; None means nothing.
        predict_table: Instead of these three, a table with the columns name, video, audio and text (docs/data.md).

    Raises:
        ConfigurationError: An option is out of range.
        PluginError: The face detector is unknown or its options are wrong.
    """

    trainer: Any = None  # Lightning sets it

    def __init__(
        self,
        *,
        train_root: Path | str | None = None,
        train_sets: Sequence[str] = ClipSources.train_sets,
        packed: str | None = None,
        packed_cache_folder: Path | str | None = None,
        packed_cache_size: str | int = PackedSource.cache_size,
        shuffle_window: int = PackedSource.window,
        benchmark_root: Path | str | None = None,
        test_sets: list[str] | None = None,
        expected_counts: dict[str, int] | str = ClipSources.expected_counts,
        test_overlap: TestOverlap = ClipSources.test_overlap,
        neutral_share: float = ClipSources.neutral_share,
        set_balance: SetBalance = BatchPlan.balance,
        set_weights: dict[str, float] | None = None,
        ratio: float = ClipSources.ratio,
        emotion_filter: PluginChoice | None = None,
        include: str | list[str] | None = None,
        exclude: str | list[str] | None = None,
        columns: dict[str, str] | None = None,
        length_pool: int = BatchPlan.length_pool,
        validation_share: float = 0.05,
        inputs: Sequence[str] | None = None,
        fused_streams: Sequence[str] | None = None,
        stream_readers: dict[str, dict[str, Any]] | None = None,
        frames: int = ReadingOptions.frame_count,
        frame_choice: FrameChoice = ReadingOptions.frame_choice,
        frame_scaling: FrameScaling = ReadingOptions.frame_scaling,
        face_channels: FaceChannels = ReadingOptions.face_channels,
        missing_streams: MissingStreams = ReadingOptions.missing_streams,
        crop_size: int = ReadingOptions.crop_size,
        sample_rate: int = ReadingOptions.sample_rate,
        subtitle_language: SubtitleLanguage = ReadingOptions.subtitle_language,
        missing_subtitle: MissingSubtitle = ClipSources.missing_subtitle,
        describe_share: float = QuestionDraw.describe_share,
        no_words: NoWords = QuestionDraw.no_words,
        test_question: str = OneQuestion.kind,
        batch_size: int = 3,
        eval_batch_size: int = 32,
        longest_first: bool = True,
        workers: int = ReadingWorkers.workers,
        worker_start: WorkerStart = ReadingWorkers.worker_start,
        reading_threads: int = ReadingWorkers.reading_threads,
        face_detector: PluginChoice = "centerface",
        cache_folder: Path | str | None = None,
        frame_without_face: FrameWithoutFace = FacePolicy.frame,
        clip_without_face: ClipWithoutFace = FacePolicy.clip,
        features: FeatureMode = FeatureOptions.mode,
        feature_folder: str | Path | None = None,
        feature_precision: FeaturePrecision = FeatureOptions.precision,
        video_encoder: PluginChoice | None = None,
        audio_encoder: PluginChoice | None = None,
        stream_encoders: dict[str, Any] | None = None,
        seed: int | None = None,
        on_bad_clip: BadClipPolicy = BadClipOptions.policy,
        max_bad_share: float = BadClipOptions.max_bad_share,
        quarantine_file: Path | str | None = None,
        limit_train_clips: int | None = None,
        limit_test_clips: int | None = None,
        predict_video: str | list[str] | None = None,
        predict_audio: str | list[str] | None = None,
        predict_subtitle: str | list[str] | None = None,
        predict_table: Path | str | None = None,
    ):
        seed = QuestionDraw.seed if seed is None else seed
        given = dict(locals())
        super().__init__()
        self._response_options = {name: given[name] for name in RESPONSE_OPTIONS}
        check_order_options(set_balance, length_pool)
        streams = needed_streams(check_inputs(inputs), check_fused_streams(fused_streams))
        self.options = ReadingOptions(
            **{item.name: given[item.name] for item in fields(ReadingOptions) if item.name in given}
            | {"streams": frozenset(streams), "readers": built_readers(streams, stream_readers or {})}
            | {"frame_count": frames, "face_policy": FacePolicy(frame_without_face, clip_without_face)}
        )
        self.benchmark_root = _path(benchmark_root)  # the benchmark callback looks for corpus.json there
        self.sources = ClipSources(
            **{item.name: given[item.name] for item in fields(ClipSources)}
            | {"train_root": _path(train_root), "train_sets": tuple(train_sets), "benchmark_root": self.benchmark_root}
            | {"test_sets": None if test_sets is None else tuple(test_sets)}
        )
        self.packed = PackedSource(packed, _path(packed_cache_folder), packed_cache_size, shuffle_window)
        self.set_balance, self.length_pool = set_balance, length_pool
        self.set_weights = self.sources.weights_by_corpus(set_weights)
        self.training_questions = QuestionDraw(describe_share, seed, no_words)
        self.test_questions = OneQuestion(test_question)
        self.batch_size, self.eval_batch_size, self.longest_first = batch_size, eval_batch_size, longest_first
        self.readers = ReadingWorkers(workers, worker_start, reading_threads)
        self.face_detector = face_detector
        self.cache_folder = _path(cache_folder)
        encoders = EncoderChoices(video_encoder, audio_encoder, stream_encoders or {})
        self.feature_options = FeatureOptions.at(feature_folder, features, feature_precision, encoders)
        self._features: FeatureSource | None = None
        self.seed = seed
        self.bad_clips = BadClipOptions(on_bad_clip, max_bad_share)
        self.quarantine_file = _path(quarantine_file)
        self.predict_clips = predicted_clips(predict_video, predict_audio, predict_subtitle, predict_table, columns)
        self._shows_text = "text" in check_inputs(inputs)
        self.records: dict[str, list[ClipRecord] | PackedClips] = {}
        self.quarantines: dict[str, Quarantine] = {}
        self._loaders: dict[str, ClipLoader] = {}
        self._cropper: FaceCropper | None = None
        self._test_share: ShareOfTest | None = None

    def setup(self, stage: str) -> None:
        """List the clips that the stage needs, and find the features that they have.

        Raises:
            DataError: A folder, file or column is missing, or a set is empty.
            ConfigurationError: The option that names the folder is not set.
        """
        self.list_clips(stage)
        for split in _SPLITS[stage]:
            self._loaders.pop(split, None)
        self._features = self._cached_features(stage)

    def list_clips(self, stage: str) -> None:
        """List the clips, once, without a Trainer. To fit, the names of the test clips are read too, to keep them out.

        Raises:
            DataError: A folder, file or column is missing, or a set is empty.
            ConfigurationError: The option that names the folder is not set.
        """
        if stage in ("fit", "validate") and "train" not in self.records:
            split: Any = self.sources.training_clips() if self.packed.place is None else self._packed_clips()
            self.records["train"], self.records["validation"] = split
        elif stage == "test" and "test" not in self.records:
            self.records["test"] = self.sources.test_clips()
        elif stage == "predict" and "predict" not in self.records:
            check_predicted(self.predict_clips, shows_text=self._shows_text and not hears_subtitles(self.trainer))
            known = self.quarantines[stage] = Quarantine(self.bad_clips.policy, 1.0, self._quarantine_path())
            admits = self.trainer is None or self.trainer.is_global_zero
            self.records[stage] = readable_clips(self.predict_clips, self.options, known, admits=admits)

    def _packed_clips(self) -> tuple[PackedClips, PackedClips]:
        """Of a set with what the run reads; where only the text is read, any will do."""
        payload = "media" if self.feature_options.mode == "live" else "features"
        return self.packed.training_clips(self.sources, payload if self.options.streams else None, self.options.readers)

    def _cached_features(self, stage: str) -> FeatureSource | None:
        """The cache that the stage reads, checked; None if it encodes live."""
        if self.feature_options.mode == "live" or stage == "predict":
            return None
        kept = self._features if self._features is not None and not self._features.is_packed else None
        source = kept or FeatureSource(self.feature_options)
        if self.options.streams:
            run = self.options, self.face_detector, self.trainer.precision if self.trainer else None
            splits = {split: self.records[split] for split in _SPLITS[stage]}
            listed = {split: clips for split, clips in splits.items() if not isinstance(clips, PackedClips)}
            packed = next((clips for clips in splits.values() if isinstance(clips, PackedClips)), None)
            if packed is None:
                source.prepare(listed, *run)
            else:
                source.use_packed(packed.folder, *run)
        return source

    @property
    def feature_widths(self) -> dict[str, int] | None:
        """Width by stream of the features that batches bring; None if the model encodes live."""
        return None if self._features is None else self._features.widths

    def teardown(self, stage: str) -> None:
        """End the worker processes of the stage; counts stay."""
        for split in _SPLITS[stage]:
            if split in self._loaders:
                self._loaders[split].close()

    def train_dataloader(self) -> ClipLoader:
        """Training clips in a new order every epoch."""
        return self._loader("train", self.batch_size, self.training_questions, shuffle=True)

    def val_dataloader(self) -> ClipLoader | list[ClipLoader]:
        """Validation clips with the questions and responses of training; no loader if there are none."""
        if not self.records["validation"]:
            return []
        return self._loader("validation", self.eval_batch_size, self.training_questions)

    def test_dataloader(self) -> ClipLoader:
        """The clips of all test sets, the longest first or one set after the other; see `ClipRecord.corpus`."""
        return self._loader("test", self.eval_batch_size, self.test_questions)

    def predict_dataloader(self) -> ClipLoader:
        """The user's own clips; one that cannot be read is left out, however many these are."""
        return self._loader("predict", self.eval_batch_size, self.test_questions)

    def reader(self, records: Sequence[ClipRecord]) -> ClipDataset:
        """Reads these clips as validation would; for checks, without a Trainer."""
        return ClipDataset(records, self.options, self.training_questions, self.cropper_for(records))

    def _loader(self, split: str, batch_size: int, questions: Questioner, shuffle: bool = False) -> ClipLoader:
        import torch

        from affect_lightning.data.loading import ClipLoader

        if split in self._loaders:
            return self._loaders[split]
        records = self.records[split]
        if split != "predict":  # its clips were opened, and have one
            self.quarantines[split] = Quarantine(**asdict(self.bad_clips), file=self._quarantine_path())
        self._loaders[split] = ClipLoader(
            self._dataset(split, records, questions),
            self._plan(split, batch_size, shuffle),
            self.quarantines[split],
            readers=self.readers.for_clips(len(records)),
            pin_memory=torch.cuda.is_available(),
            prompts=prompt_maker_of(self.trainer) if split in _SPLITS["fit"] else None,
        )
        return self._loaders[split]

    def _dataset(self, split: str, records: list[ClipRecord] | PackedClips, questions: Questioner) -> ClipDataset:
        if self._features is None or not self.options.streams:
            return ClipDataset(records, self.options, questions, self.cropper_for(records))
        features = None if isinstance(records, PackedClips) else self._features.reader(split)
        return ClipDataset(records, self.options, questions, features=features)

    def _plan(self, split: str, batch_size: int, shuffle: bool) -> BatchPlan | ShardedPlan | ChosenBatches:
        records = self.records[split]
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        order: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "seed": self.seed, "rank": rank}
        order |= {"world_size": world_size, "balance": self.set_balance, "length_pool": self.length_pool}
        if isinstance(records, PackedClips):
            here = world_size // (self.trainer.num_nodes if self.trainer else 1)
            return self.packed.plan(records, **order, weights=self.set_weights, ranks_here=here)
        language = "subtitle_chinese" if self.options.subtitle_language == "chinese" else "subtitle_english"
        order |= {"longest_first": self.longest_first and split in ("test", "predict")}
        plan = BatchPlan.of_clips(records, language, self.set_weights if shuffle else {}, **order)
        return plan if self._test_share is None or split != "test" else self._test_share.of(plan, records)

    def cropper_for(self, records: Sequence[ClipRecord] | PackedClips) -> FaceCropper | None:
        """What crops the clips' faces; built once, and only if a clip needs it."""
        if "face" not in self.options.streams or faces_are_released(records):
            return None
        if self._cropper is None:
            detector = self.readers.able_to_run(build_part("face_detectors", self.face_detector))
            how = BoxCache(self.cache_folder), MARGIN, self.options.face_policy, self.options.frame_choice
            self._cropper = FaceCropper(detector, self.options.crop_size, *how)
        return self._cropper

    def _quarantine_path(self) -> Path | None:
        folder = self.trainer.log_dir if self.trainer and self.quarantine_file is None else None
        return Path(folder) / "quarantine.jsonl" if folder else self.quarantine_file

    def test_facts(self) -> dict[str, Any]:
        """What all parts of a test must agree on; see `DividesTest`."""
        return facts_of_test(self.records["test"], self.eval_batch_size, self.longest_first, self.response_options())

    def share_test(self, choose: BatchChoice, answered: ClipKeys = frozenset()) -> None:
        """Answer only some batches of the test; see `DividesTest`."""
        self._test_share = ShareOfTest(choose, answered)

    def response_options(self) -> dict[str, Any]:
        """The options, by name, that change what a model says of a clip; plain values."""
        return {**self._response_options, "face_detector": resolve_choice("face_detectors", self.face_detector)}

    def quarantined(self, split: str | None = None) -> list[dict[str, str]]:
        """The clips of a split, or of all, that could not be read; see `BadClip` for the entries."""
        chosen = [known for name, known in self.quarantines.items() if split in (None, name)]
        return [asdict(clip) for known in chosen for clip in known.clips]

    def counts(self) -> dict[str, dict[str, int]]:
        """By split: the fields of `LoadingCounts` and `quarantined`, in this process so far."""
        bad = {split: len(known.clips) for split, known in self.quarantines.items()}
        return {split: {**asdict(loader.counts), "quarantined": bad[split]} for split, loader in self._loaders.items()}


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value).expanduser()
