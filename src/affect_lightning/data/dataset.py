"""From a ClipRecord to a sample: the clip decoded, its face cropped, its question asked. Runs in worker processes.

A sample is a function of the clip, the seed, the epoch and the clip's position, so the number of workers changes
nothing. A clip that cannot be read comes back as a value, not as an exception: the main process decides
(`quarantine.py`). `questions.py` asks, `decoding.py` and `faces.py` do the parts, `loading.py` makes batches.
Legend: T steps of a stream (frames, samples, rows), H height and W width in pixels, C values a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from affect_lightning.contracts import STREAMS, ClipRecord, StreamReader
from affect_lightning.contracts.conformance import check_stream
from affect_lightning.data.decoding import DecodedClip
from affect_lightning.data.faces import CROP_SIZE, FaceCropper, FaceCrops, FacePolicy, read_face_file, resize, squashed
from affect_lightning.data.frame_choice import FRAME_COUNT, FrameChoice
from affect_lightning.data.media_files import CachedClip, MediaFiles
from affect_lightning.data.missing_streams import MissingStreams, absent_streams
from affect_lightning.data.ordering import SampleKey
from affect_lightning.data.quarantine import BadClip, UnreadableClipError
from affect_lightning.data.questions import Questioner
from affect_lightning.data.span_decoding import decode_files
from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.plugin_loading import build_part, encoded_streams, held_to_contract
from affect_lightning.plugin_loading.known_streams import STREAM_GROUP

if TYPE_CHECKING:
    from torch import Tensor

SubtitleLanguage = Literal["english", "chinese"]
FrameScaling = Literal["area", "decoder"]
FaceChannels = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class ReadingOptions:
    """What is decoded of a clip, and how.

    Attributes:
        streams: Encoded streams that are read.
        frame_count: T (paper, Appendix B: 8).
        crop_size: Side of face crops and whole frames in pixels (paper, Appendix B: 224).
        sample_rate: In Hz (paper, Appendix B: 16 kHz, what HuBERT hears).
        subtitle_language: Which subtitle goes into the prompt.
        face_policy: What is used where no face was found.
        readers: What reads those of the streams that come from plugins.
        frame_choice: Which picture of each of T equal parts; see `FrameChoice`.
        frame_scaling: What scales whole frames: `area` is OpenCV's (ours), `decoder` FFmpeg's, as in the released code.
        face_channels: Of crops made here: `rgb` (ours), or `bgr`, the order of the authors' released crops.
        missing_streams: A clip that has no sound, or no pictures: `quarantine`, or `mask` that stream (Table 3).
    """

    streams: frozenset[str] = frozenset({"audio", "face"})
    frame_count: int = FRAME_COUNT
    crop_size: int = CROP_SIZE
    sample_rate: int = 16_000
    subtitle_language: SubtitleLanguage = "english"
    face_policy: FacePolicy = field(default_factory=FacePolicy)
    readers: Mapping[str, StreamReader] = field(default_factory=dict)
    frame_choice: FrameChoice = "middle"
    frame_scaling: FrameScaling = "area"
    face_channels: FaceChannels = "rgb"
    missing_streams: MissingStreams = "quarantine"

    def __post_init__(self) -> None:
        for name in ("frame_count", "crop_size", "sample_rate"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1; got {getattr(self, name)}.")
        for name, known in (
            ("subtitle_language", get_args(SubtitleLanguage)),
            ("frame_choice", get_args(FrameChoice)),
            ("frame_scaling", get_args(FrameScaling)),
            ("face_channels", get_args(FaceChannels)),
            ("missing_streams", get_args(MissingStreams)),
        ):
            if getattr(self, name) not in known:
                raise ConfigurationError(f"{name} must be {' or '.join(known)}; got {getattr(self, name)!r}.")


def built_readers(streams: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> dict[str, StreamReader]:
    """Build the readers of those streams that come from plugins.

    Args:
        streams: Encoded streams that are read.
        options: Of the readers, by stream; a stream that is not read may have some.

    Raises:
        ConfigurationError: Options are given for what no plugin reads.
        PluginError: A plugin or one of its options is wrong.
    """
    unknown = sorted(options.keys() - set(encoded_streams()) | options.keys() & STREAMS.keys())
    if unknown:
        raise ConfigurationError(
            f"`stream_readers` has options for {', '.join(unknown)}, but no installed plugin reads them. "
            f"`affect-lightning plugins --group streams` lists the streams that plugins read."
        )
    names = [name for name in streams if name not in STREAMS]
    return {name: build_part(STREAM_GROUP, {**options.get(name, {}), "name": name}) for name in names}


@dataclass(frozen=True)
class ReadStream:
    """One stream of one clip.

    Attributes:
        values: Pictures uint8 [T, H, W, 3], sound float32 [T], or a series float32 [T, C].
        mask: True where a step is real [T].
    """

    values: np.ndarray
    mask: np.ndarray

    @classmethod
    def whole(cls, values: np.ndarray) -> ReadStream:
        """A stream of which every step is real."""
        return cls(values, np.ones(len(values), dtype=np.bool_))


@dataclass
class ClipSample:
    """One clip, read.

    Attributes:
        record: The clip.
        question: Without placeholders.
        response: The wanted one; empty if none is known.
        subtitle: In the language of the options.
        valid: See `SampleKey`.
        streams: What was read, by stream.
        frames: Real frames read, now or when the features were cached.
        frames_without_face: Real frames in which the face was not found.
        clips_without_face: 1 if the face was found in none of them, else 0.
        features: Cached tokens float32 [N, D] and which of them are real [N], by stream; nothing is decoded then.
    """

    record: ClipRecord
    question: str
    response: str
    subtitle: str
    valid: bool = True
    streams: dict[str, ReadStream] = field(default_factory=dict)
    frames: int = 0
    frames_without_face: int = 0
    clips_without_face: int = 0
    features: dict[str, tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True)
class FailedSample:
    """An error that no quarantine covers, such as a detector that cannot start; the main process raises it."""

    error: AffectLightningError


class PackedClipList(Protocol):
    """Clips that bring their files, such as `packed_sets.packed_clips.PackedClips`."""

    def __len__(self) -> int: ...

    def open(self, index: int) -> tuple[ClipRecord, MediaFiles]:
        """A clip's record and its files, in memory."""


class EncodedClipList(Protocol):
    """What the encoders gave for a list of clips, such as `feature_cache.cached_features.CachedFeatures`."""

    def read(self, position: int, record: ClipRecord | None = None) -> CachedClip:
        """The features of a clip."""


class ClipDataset:
    """Map-style data set of clips, for torch's DataLoader.

    Args:
        records: The clips, listed or packed.
        options: What is read.
        questions: What is asked.
        cropper: Needed if `face` is read and a clip has no released crops.
        features: Cached features of the clips, in their order: nothing is decoded then.
    """

    def __init__(
        self,
        records: Sequence[ClipRecord] | PackedClipList,
        options: ReadingOptions,
        questions: Questioner,
        cropper: FaceCropper | None = None,
        features: EncodedClipList | None = None,
    ):
        self.features = features
        self.records = list(records) if isinstance(records, Sequence) else records
        self.options = options
        self.questions = questions
        self.cropper = cropper

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: SampleKey) -> ClipSample | BadClip | FailedSample:
        """The clip, read; a `BadClip` if it cannot be read, a `FailedSample` if something else is wrong."""
        try:
            record, files = self._listed(key.clip)
            try:
                return self.read(key, record, files)
            except UnreadableClipError as error:
                path = error.path or str(record.video or record.audio or "")
                return BadClip(record.name, record.corpus, path, error.stage, error.reason)
        except AffectLightningError as error:
            return FailedSample(error)

    def _listed(self, position: int) -> tuple[ClipRecord, MediaFiles]:
        """A clip's annotation and files; those of a packed set are taken out of their shard here."""
        if isinstance(self.records, Sequence):
            return self.records[position], MediaFiles.on_disk(self.records[position])
        return self.records.open(position)

    def read(self, key: SampleKey, record: ClipRecord, files: MediaFiles) -> ClipSample:
        """The clip, read.

        Raises:
            UnreadableClipError: A file of it is missing or broken, or it has no annotation to learn from.
        """
        options = self.options
        question, response = self.questions.ask(record, key.epoch, key.clip)
        subtitle = record.subtitle_chinese if options.subtitle_language == "chinese" else record.subtitle_english
        sample = ClipSample(record, question, response, subtitle, key.valid)
        if not options.streams:
            return sample  # text only: no file of the clip is opened
        cached = self._encoded(key, record, files)
        if cached is not None:
            return replace(
                sample,
                features=cached.features,
                frames=cached.frames,
                frames_without_face=cached.frames_without_face,
                clips_without_face=int(0 < cached.frames == cached.frames_without_face),
            )
        self._decode(sample, record, files)
        for name in sorted(options.streams - STREAMS.keys()):
            sample.streams[name] = self._read_by_plugin(name, record)
        return sample

    def _decode(self, sample: ClipSample, record: ClipRecord, files: MediaFiles) -> None:
        """Put the streams of the media files into the sample; pictures and sound are opened once for all of them."""
        options = self.options
        released = files.face if "face" in options.streams else None
        needs_pictures = "frame" in options.streams or ("face" in options.streams and released is None)
        if options.missing_streams == "mask":
            wants = options.streams, needs_pictures, options.frame_count, options.crop_size, options.sample_rate
            absent = absent_streams(files, *wants)
            sample.streams.update({name: ReadStream(*stream) for name, stream in absent.items()})
        wanted = options.streams - sample.streams.keys()
        decoded = decode_files(
            files,
            frame_count=options.frame_count if needs_pictures and wanted & {"face", "frame"} else None,
            frame_choice=options.frame_choice,
            sample_rate=options.sample_rate if "audio" in wanted else None,
        )
        if decoded.waveform is not None:
            sample.streams["audio"] = ReadStream.whole(decoded.waveform)
        if "face" in wanted:
            crops = self._crops(record, files, decoded)
            sample.streams["face"] = ReadStream(crops.pictures, crops.mask)
            sample.frames = int(crops.mask.sum())
            sample.frames_without_face, sample.clips_without_face = crops.frames_without_face, crops.clips_without_face
        if decoded.frame_mask is not None and decoded.frames is not None:
            sample.frames = int(decoded.frame_mask.sum())
            if "frame" in wanted:
                scale = squashed if options.frame_scaling == "decoder" else resize
                pictures = np.stack([scale(frame, options.crop_size) for frame in decoded.frames])
                sample.streams["frame"] = ReadStream(pictures, decoded.frame_mask)

    def _read_by_plugin(self, name: str, record: ClipRecord) -> ReadStream:
        """A stream of a plugin, checked against its contract."""
        reader = self.options.readers[name]
        with held_to_contract(reader):
            try:
                return ReadStream.whole(check_stream(reader.read(record), kind=reader.kind))
            except (OSError, ValueError, EOFError) as error:  # NumPy raises the last for an empty file
                path = next(iter(reader.files(record).values()), None)
                raise UnreadableClipError(path, name, f"{error}") from error

    def _encoded(self, key: SampleKey, record: ClipRecord, files: MediaFiles) -> CachedClip | None:
        """What the encoders gave for the clip: out of its shard, or out of the cache."""
        if files.encoded is not None:
            return files.encoded.read(self.options.streams)
        return None if self.features is None else self.features.read(key.clip, record)

    def _crops(self, record: ClipRecord, files: MediaFiles, decoded: DecodedClip) -> FaceCrops:
        if files.face is not None:
            options = self.options
            return read_face_file(files.face, options.frame_count, options.crop_size, options.frame_choice)
        if self.cropper is None or decoded.frames is None or decoded.frame_mask is None:
            raise ConfigurationError(
                f"The clip {record.name} needs a face detector, because it has no released face crops. Set "
                f"face_detector, or remove face from inputs."
            )
        # Kept boxes belong to the frames of a whole file.
        source = files.video if files.span is None and not files.is_passing else None
        crops = self.cropper.crop(decoded.frames, decoded.frame_mask, source)
        return (
            crops if self.options.face_channels == "rgb" else replace(crops, pictures=crops.pictures[..., ::-1].copy())
        )
