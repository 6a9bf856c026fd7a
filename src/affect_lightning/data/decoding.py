"""Opens a clip once and decodes its sampled frames and its sound (paper, Appendix B: 8 frames a clip, 16 kHz).

Frames are spread uniformly by time, not by index, so variable frame rates are handled correctly. Only the packets that
the sampled frames need are decoded. The sound comes from the clip's WAV, or from the video's own track. `plain_wav.py`
reads plain WAV files, `faces.py` crops the frames, `dataset.py` calls both, and `quarantine.py` has the error that is
raised here.
Legend: T frames, S audio samples, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from affect_lightning.data.frame_choice import FrameChoice, decoding_runs, uniform_indices, uniform_times
from affect_lightning.data.media_files import MediaFile, NamedBytes, PackedFile
from affect_lightning.data.picture_conversion import UprightPictures, is_cover
from affect_lightning.data.picture_files import picture_format
from affect_lightning.data.plain_wav import read_plain_wav, says_no_length
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.file_kinds import pointer_kind

# Bounds on work, all our choice. They count pixels, samples and bytes, not seconds of the clock: what is refused does not
# depend on how busy the machine is. A clip lasts seconds; what passes one of these is broken, hostile or no clip.
MAX_PIXELS = 4096 * 2304  # of one picture: 4K; eight of them take 226 MB
MAX_CLIP_PIXELS = 2**35  # of all pictures of a clip: 11 minutes of 1080p at 25 a second
MAX_SECONDS = 1800.0  # of pictures and of sound: 115 MB at 16 kHz
MAX_PACKET_BYTES = 512 * 2**20  # of compressed data
MAX_PACKETS = 2**19  # 30 minutes of 60 frames a second and of 10 ms pieces of sound take 290,000
SAMPLE_RATES = (1_000, 768_000)  # Hz
COMPLETE_SHARE = 0.9  # our choice: a file with a smaller share of the frames or sound that it declares is truncated
MIN_SOUND_SECONDS = 0.025  # our choice: 25 ms is one window of the speech encoders; they fail on less
# A playlist in disguise must not reach the network, and a single picture under a video's name is no clip.
_FORMATS = "mov,matroska,avi,flv,asf,mpeg,mpegts,ogg,wav,w64,aiff,flac,mp3,aac"
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
# FFmpeg otherwise looks through a WAV for hidden surround sound, and reads it in crumbs: ten times slower to open.
_WAV_OPTIONS = {**_OPTIONS, "max_probe_packets": "1", "max_size": "65536"}


@dataclass(frozen=True)
class DecodedClip:
    """Frames and sound of one clip; what was not asked for is None.

    Attributes:
        frames: RGB pictures, uint8 [T, H, W, 3]; zeros where `frame_mask` is False.
        frame_mask: True where a frame is real [T]; a clip with fewer than T frames shows each once.
        frame_times: When each frame is shown, in seconds from the clip's start [T].
        waveform: Mono sound in [-1, 1], float32 [S].
    """

    frames: np.ndarray | None = None
    frame_mask: np.ndarray | None = None
    frame_times: np.ndarray | None = None
    waveform: np.ndarray | None = None


def decode_clip(
    video: MediaFile | None,
    audio: MediaFile | None,
    *,
    frame_count: int | None,
    sample_rate: int | None,
    frame_choice: FrameChoice = "middle",
) -> DecodedClip:
    """Decode a clip.

    Args:
        video: The video file, on disk or out of a shard; None only if no frames are wanted and `audio` is given.
        audio: The sound file; None means the video's own track.
        frame_count: T, or None to leave the pictures unread.
        sample_rate: Of the waveform in Hz, or None to leave the sound unread.
        frame_choice: Which frame of each of T equal parts.

    Raises:
        UnreadableClipError: A file is missing, broken, truncated or empty, or has no such track.
    """
    own_track = sample_rate is not None and audio is None
    frames = mask = times = waveform = None
    if frame_count is not None or own_track:
        with open_container(video, "video") as container:
            picture_stream = track_of(container, "video", video) if frame_count is not None else None
            sound_stream = track_of(container, "audio", video) if own_track else None
            packets = read_packets(container, [item for item in (picture_stream, sound_stream) if item], video)
            origin = _start_seconds(container)
            if picture_stream is not None and frame_count is not None:
                shown = packets[picture_stream.index]
                frames, mask, times = _sample_frames(picture_stream, shown, frame_count, frame_choice, video)
            if sound_stream is not None and sample_rate is not None:
                waveform = _decode_sound(sound_stream, packets[sound_stream.index], sample_rate, origin, video)
    if sample_rate is not None and audio is not None:
        waveform = read_plain_wav(audio, sample_rate, least_seconds=MIN_SOUND_SECONDS, most_seconds=MAX_SECONDS)
        if waveform is None:
            waveform = _decode_sound_file(audio, sample_rate)
    return DecodedClip(frames, mask, times, waveform)


def _decode_sound_file(audio: MediaFile, sample_rate: int) -> np.ndarray:
    """The waveform [S] of a sound file, by FFmpeg."""
    with open_container(audio, "audio") as container:
        stream = track_of(container, "audio", audio)
        packets = read_packets(container, [stream], audio)
        return _decode_sound(stream, packets[stream.index], sample_rate, _start_seconds(container), audio)


@contextmanager
def open_container(path: MediaFile | None, stage: str) -> Iterator[Any]:
    """The opened container; whatever FFmpeg or the file system reports becomes an `UnreadableClipError`."""
    import av

    if path is None:
        raise UnreadableClipError(None, stage, f"the inputs need a {stage} file, but the annotation names none.")
    try:
        source = _source(path, stage)
        options = _WAV_OPTIONS if path.suffix.lower() == ".wav" else _OPTIONS
        form = picture_format(path, source)
        options = options if form is None else {**_OPTIONS, "format_whitelist": form}
        # A title in another encoding must not fail the clip: av 19 sees to that by itself, and has no such option.
        lenient: Any = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
        with av.open(source, format=form, options=options, **lenient) as container:
            yield container
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        kind = None if isinstance(path, PackedFile) else pointer_kind(path)
        if kind is not None:
            raise UnreadableClipError(path, stage, f"it is {kind}.") from error
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableClipError(path, stage, f"{reason}; expected a media file that FFmpeg decodes.") from error


def _source(path: MediaFile, stage: str) -> str | NamedBytes:
    """What FFmpeg opens: a path, or a stream over the bytes of a packed file."""
    if isinstance(path, PackedFile):
        return path.opened(stage)
    if not path.is_file():
        what = "it is not a regular file" if path.exists() else "the file does not exist"
        raise UnreadableClipError(path, stage, f"{what}.")
    return str(path)


def track_of(container: Any, kind: str, path: MediaFile | None) -> Any:
    """The first sound track or the largest video track, set to decode in this thread: the workers are the parallelism."""
    streams = container.streams.video if kind == "video" else container.streams.audio
    if not streams:
        raise UnreadableClipError(path, kind, f"the file has no {kind} track.")
    stream = max(streams, key=_area) if kind == "video" else streams[0]  # a cover picture is a stream, too
    if stream.codec_context is None:
        raise UnreadableClipError(path, kind, f"its {kind} track has a codec that this FFmpeg cannot decode.")
    if kind == "video" and not 0 < stream.width * stream.height <= MAX_PIXELS:
        raise UnreadableClipError(
            path, kind, f"it declares {stream.width}x{stream.height} pixels; expected 1 to {MAX_PIXELS} in all."
        )
    if kind == "audio" and not SAMPLE_RATES[0] <= stream.codec_context.sample_rate <= SAMPLE_RATES[1]:
        raise UnreadableClipError(
            path,
            kind,
            f"it declares {stream.codec_context.sample_rate} samples a second; expected {SAMPLE_RATES[0]} to "
            f"{SAMPLE_RATES[1]}.",
        )
    stream.codec_context.thread_count = 1
    return stream


def _area(stream: Any) -> int:
    """Pixels of a video track; a cover and a track that cannot be decoded come last."""
    return -1 if stream.codec_context is None or is_cover(stream) else int(stream.width * stream.height)


def _start_seconds(container: Any) -> float:
    return (container.start_time or 0) / 1e6  # FFmpeg's container times are microseconds


def read_packets(container: Any, streams: Sequence[Any], path: MediaFile | None) -> dict[int, list[Any]]:
    """All packets of the streams, undecoded, in the file's order, by stream index."""
    packets: dict[int, list[Any]] = {stream.index: [] for stream in streams}
    is_endless = path is not None and says_no_length(path)  # FFmpeg then takes the end for a tear
    held_bytes = held_packets = 0
    for packet in container.demux(*streams):
        if packet.size == 0:  # the end marker of a stream
            continue
        if packet.is_corrupt and not is_endless:
            raise UnreadableClipError(path, packet.stream.type, "the file is truncated: its data ends inside a packet.")
        held_bytes, held_packets = held_bytes + packet.size, held_packets + 1
        if held_bytes > MAX_PACKET_BYTES or held_packets > MAX_PACKETS:
            raise UnreadableClipError(
                path,
                packet.stream.type,
                f"it is larger than {MAX_PACKET_BYTES >> 20} MiB or {MAX_PACKETS} packets; cut it into clips.",
            )
        packets[packet.stream.index].append(packet)
    for stream in streams:
        if not packets[stream.index]:
            raise UnreadableClipError(path, stream.type, f"its {stream.type} track is empty.")
        if stream.type == "video" and len(packets[stream.index]) < COMPLETE_SHARE * stream.frames:
            raise UnreadableClipError(
                path,
                "video",
                f"the file is truncated: {len(packets[stream.index])} of the {stream.frames} frames that it declares.",
            )
    return packets


def _sample_frames(
    stream: Any, packets: list[Any], count: int, choice: FrameChoice, path: MediaFile | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T frames, which of them are real, and their times in seconds."""
    if stream.width * stream.height * len(packets) > MAX_CLIP_PIXELS:
        raise UnreadableClipError(
            path,
            "video",
            f"its {len(packets)} frames of {stream.width}x{stream.height} are more than the {MAX_CLIP_PIXELS} pixels "
            f"that a clip may have; cut it into clips.",
        )
    if any(packet.pts is None for packet in packets):
        pictures, times = decode_by_order(stream, packets, count, choice)
    else:
        check_span(stream, packets, path)
        pictures, times = _decode_by_time(stream, packets, count, choice)
    if not pictures:
        raise UnreadableClipError(path, "video", "no frame could be decoded.")
    if any(picture.shape != pictures[0].shape for picture in pictures):
        raise UnreadableClipError(path, "video", "the size of its frames changes within the clip.")
    frames = np.zeros((count, *pictures[0].shape), dtype=np.uint8)
    frames[: len(pictures)] = pictures
    mask = np.arange(count) < len(pictures)
    padded_times = np.full(count, times[-1])
    padded_times[: len(times)] = times
    return frames, mask, padded_times


def check_span(stream: Any, packets: list[Any], path: MediaFile | None) -> None:
    """Refuse a clip whose times are spread over hours, by a broken header or one far-off frame."""
    shown = [(packet.pts, packet.duration or 0) for packet in packets]
    units = max(start + duration for start, duration in shown) - min(start for start, _ in shown)
    seconds = float(units * stream.time_base)
    if not 0.0 <= seconds <= MAX_SECONDS:
        raise UnreadableClipError(
            path, "video", f"its frames declare {seconds:.3g} seconds; expected 0 to {MAX_SECONDS:g}."
        )


def _decode_by_time(
    stream: Any, packets: list[Any], count: int, choice: FrameChoice
) -> tuple[list[np.ndarray], np.ndarray]:
    """Choose by presentation time, decode only what the chosen frames need."""
    shown = [packet for packet in packets if not packet.is_discard]
    if not shown:  # an edit list that shows nothing
        return [], np.zeros(0)
    starts = np.unique([packet.pts for packet in shown])
    if choice == "first":
        wanted = starts[uniform_indices(len(starts), count, choice)]
    elif len(starts) < count:
        wanted = starts
    else:
        last = max(shown, key=lambda packet: packet.pts)
        end = starts[-1] + (last.duration or (int(np.median(np.diff(starts))) if len(starts) > 1 else 1))
        wanted = starts[np.searchsorted(starts, uniform_times(starts[0], end, count), side="right") - 1]
    pictures = decode_wanted(stream, packets, set(wanted.tolist()))
    if not all(pts in pictures for pts in wanted.tolist()):  # a codec that re-stamps its frames
        return decode_by_order(stream, packets, count, choice)
    times = (wanted - starts[0]) * float(stream.time_base)
    return [pictures[pts] for pts in wanted.tolist()], times


def decode_wanted(
    stream: Any, packets: list[Any], wanted: set[int], longest_side: int | None = None
) -> dict[int, np.ndarray]:
    """Decode runs of packets from a key frame to a wanted frame; others are never decoded.

    Inside a run, frames that no other frame refers to are skipped by the codec unless they are wanted.

    Args:
        stream: The video track.
        packets: All of it, undecoded.
        wanted: Presentation times in the track's unit.
        longest_side: See `UprightPictures`.

    Returns:
        Pictures, uint8 [H, W, 3], by presentation time; a codec that re-stamps its frames leaves some out.
    """
    context, convert = stream.codec_context, UprightPictures(stream.sample_aspect_ratio, longest_side)
    pictures: dict[int, np.ndarray] = {}
    context.open(strict=False)  # dav1d (AV1) keeps to what it is opened with: no frame is skipped
    for first, stop in decoding_runs(packets, wanted):
        for packet in [*packets[first:stop], None]:
            if packet is not None:
                context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            for frame in context.decode(packet):
                if frame.pts in wanted:
                    _check_frame(frame)
                    pictures[frame.pts] = convert(frame)
        context.flush_buffers()
    context.skip_frame = "DEFAULT"
    return pictures


def decode_by_order(
    stream: Any, packets: list[Any], count: int, choice: FrameChoice, longest_side: int | None = None
) -> tuple[list[np.ndarray], np.ndarray]:
    """For containers without presentation times: count the frames, then pick by index; pictures and seconds."""
    context, convert = stream.codec_context, UprightPictures(stream.sample_aspect_ratio, longest_side)
    available = sum(len(context.decode(packet)) for packet in [*packets, None])
    context.flush_buffers()
    wanted = uniform_indices(available, count, choice).tolist() if available else []
    pictures: dict[int, np.ndarray] = {}
    position = 0
    for packet in [*packets, None]:
        for frame in context.decode(packet):
            if position in wanted:
                _check_frame(frame)
                pictures[position] = convert(frame)
            position += 1
    rate = float(stream.average_rate or 25)  # our choice: 25 pictures a second where the file does not say
    return [pictures[index] for index in wanted], np.asarray(wanted) / rate


def _check_frame(frame: Any) -> None:
    """A wanted frame must be whole and of the announced size.

    Raises:
        ValueError: It is not; `_open` turns this into an UnreadableClipError.
    """
    if frame.is_corrupt:
        raise ValueError(f"the frame at {frame.time or 0:.2f} s is damaged")
    if frame.width * frame.height > MAX_PIXELS:
        raise ValueError(f"a frame has {frame.width}x{frame.height} pixels, more than {MAX_PIXELS} in all")


def _decode_sound(
    stream: Any, packets: list[Any], sample_rate: int, origin: float, path: MediaFile | None
) -> np.ndarray:
    """Mono waveform [S] that starts with the clip and ends where the track says, encoder padding removed."""
    import av

    # The channels are averaged here: FFmpeg's own way to mono makes equal channels 1.4 times louder, past full scale.
    resampler = av.AudioResampler(format="fltp", rate=sample_rate)
    pieces: list[np.ndarray] = []
    begin: float | None = None
    samples = 0
    if stream.duration:
        _check_sound_length(float(stream.duration * stream.time_base), path)
    for packet in [*packets, None]:
        for frame in stream.codec_context.decode(packet):
            if begin is None:
                begin = frame.time if frame.time is not None else origin
            found = [_mono(piece) for piece in resampler.resample(frame)]
            pieces += found
            samples += sum(map(len, found))
            _check_sound_length(samples / sample_rate, path)
    pieces += [_mono(piece) for piece in resampler.resample(None)]
    waveform = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
    if not np.isfinite(waveform).all():
        raise UnreadableClipError(path, "audio", "its sound holds NaN or infinite values.")
    waveform = _trim(waveform, stream, sample_rate, (begin or 0.0) - origin, path)
    if len(waveform) < MIN_SOUND_SECONDS * sample_rate:
        seconds = f"{len(waveform) / sample_rate:.4f} s"
        raise UnreadableClipError(path, "audio", f"its sound lasts {seconds}; expected {MIN_SOUND_SECONDS} s or more.")
    return np.clip(waveform, -1.0, 1.0).astype(np.float32, copy=False)


def _mono(piece: Any) -> np.ndarray:
    """Average of the channels [S]; NaN and infinity pass quietly and are refused afterwards."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(piece.to_ndarray().mean(axis=0))


def _check_sound_length(seconds: float, path: MediaFile | None) -> None:
    if not seconds <= MAX_SECONDS:
        raise UnreadableClipError(
            path, "audio", f"its sound lasts more than {MAX_SECONDS:g} seconds; cut it into clips."
        )


def _trim(waveform: np.ndarray, stream: Any, sample_rate: int, delay: float, path: MediaFile | None) -> np.ndarray:
    """Cut the encoder's padding, and shift a track that starts `delay` seconds after (or before) the clip."""
    if stream.duration:
        announced = round(float(stream.duration * stream.time_base) * sample_rate)
        if len(waveform) < COMPLETE_SHARE * announced:
            raise UnreadableClipError(
                path,
                "audio",
                f"the file is truncated: {len(waveform) / sample_rate:.2f} s of the {announced / sample_rate:.2f} s of "
                f"sound that it declares.",
            )
        waveform = waveform[:announced]
    _check_sound_length(delay + len(waveform) / sample_rate, path)
    shift = round(delay * sample_rate)
    if shift < 0:
        return waveform[-shift:]
    return np.concatenate([np.zeros(shift, dtype=waveform.dtype), waveform]) if shift else waveform
