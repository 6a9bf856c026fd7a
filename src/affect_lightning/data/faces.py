"""From frames to crops of the speaker's face, while reading (paper, Section 4: the `face` stream, 224x224 crops).

The authors extract faces in advance with OpenFace, a Windows program. Here a detector plugin runs in the loader's
workers and its boxes are kept on disk, so that each clip's faces are detected once. `decoding.py` gives the frames,
`speaker.py` chooses the face, `box_cache.py` keeps the boxes, `dataset.py` calls the cropper.
Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.contracts.conformance import check_boxes
from affect_lightning.data.box_cache import BoxCache, rounded
from affect_lightning.data.frame_choice import FrameChoice, uniform_indices
from affect_lightning.data.media_files import MediaFile, PackedFile
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.data.speaker import centre_of, choose_speaker, side_of
from affect_lightning.errors import ConfigurationError
from affect_lightning.file_kinds import pointer_kind
from affect_lightning.plugin_loading import held_to_contract
from affect_lightning.safe_npz import BROKEN_ARRAY

CROP_SIZE = 224  # paper, Appendix B: encoders see 224x224
MARGIN = 0.2  # our choice: a fifth of the face on each side keeps chin and brows through small errors of the box
CROPS_LAYOUT = "crops-1"  # changes whenever the same options give other crops

FrameWithoutFace = Literal["nearest", "whole", "drop"]
ClipWithoutFace = Literal["whole", "drop"]


@dataclass(frozen=True)
class FacePolicy:
    """What replaces a face that was not found. Each case is counted, whatever the policy.

    Attributes:
        frame: For a frame without the speaker's face, in a clip that shows it elsewhere: `nearest` cuts the frame at
            the box of the nearest frame that has one (our choice: a face that is turned away is still there), `whole`
            takes the whole frame, `drop` masks the frame.
        clip: For a clip without any face: `whole` takes its whole frames (our choice: the clip still speaks, and its
            picture shows at least the scene), `drop` sends it to quarantine.

    Raises:
        ConfigurationError: A policy is unknown.
    """

    frame: FrameWithoutFace = "nearest"
    clip: ClipWithoutFace = "whole"

    def __post_init__(self) -> None:
        for option, value, known in (
            ("frame_without_face", self.frame, get_args(FrameWithoutFace)),
            ("clip_without_face", self.clip, get_args(ClipWithoutFace)),
        ):
            if value not in known:
                raise ConfigurationError(f"{option} must be one of {', '.join(known)}; got {value!r}.")


@dataclass(frozen=True)
class FoundFaces:
    """The faces in the real frames of one clip.

    Attributes:
        boxes: Of everybody, T lists, best score first.
        speaker: The speaker's among them, None where it was not found [T].
    """

    boxes: list[list[FaceBox]]
    speaker: list[FaceBox | None]


@dataclass(frozen=True)
class FaceCrops:
    """Face crops of one clip.

    Attributes:
        pictures: RGB, uint8 [T, crop_size, crop_size, 3].
        mask: True where a crop is real [T].
        frames_without_face: Real frames in which the speaker's face was not found.
        clips_without_face: 1 if it was found in none of them, else 0.
    """

    pictures: np.ndarray
    mask: np.ndarray
    frames_without_face: int = 0
    clips_without_face: int = 0


def _real(frames: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The real frames, without a copy of megabytes where all of them are."""
    return frames if mask.all() else frames[mask]


def fill_gaps(chosen: Sequence[FaceBox | None]) -> list[FaceBox | None]:
    """Give a frame without the face the box of the nearest frame with it (the earlier one of two equally near)."""
    known = [index for index, box in enumerate(chosen) if box is not None]
    if not known:
        return list(chosen)
    return [chosen[min(known, key=lambda other: (abs(other - index), other))] for index in range(len(chosen))]


def resize(picture: np.ndarray, size: int) -> np.ndarray:
    """Resize a picture [H, W, 3] to [size, size, 3], averaging when it shrinks."""
    import cv2

    if picture.shape[:2] == (size, size):
        return picture
    shrinks = min(picture.shape[:2]) > size
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def squashed(picture: np.ndarray, size: int) -> np.ndarray:
    """A whole picture [H, W, 3] scaled to [size, size, 3] by FFmpeg's bicubic scaler, as the released code's decoder does."""
    from av import VideoFrame

    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(width=size, height=size, interpolation="BICUBIC").to_ndarray()


def crop_square(picture: np.ndarray, box: FaceBox, size: int, margin: float = MARGIN) -> np.ndarray:
    """Cut a square around a face.

    The square is moved into the picture where it sticks out, and shrunk to the picture's shorter side if it must be.

    Args:
        picture: RGB, uint8 [H, W, 3].
        box: The face.
        size: Side of the result in pixels.
        margin: Added on each side, as a share of the face's longer side.

    Returns:
        RGB, uint8 [size, size, 3].
    """
    height, width = picture.shape[:2]
    side = max(1, min(round(side_of(box) * (1 + 2 * margin)), height, width))
    x, y = centre_of(box)
    left = min(max(round(x - side / 2), 0), width - side)
    top = min(max(round(y - side / 2), 0), height - side)
    return resize(picture[top : top + side, left : left + side], size)


DEFAULT_POLICY = FacePolicy()


class FaceCropper:
    """Detects, chooses, crops. Pickles before its first use, as its detector does.

    Args:
        detector: From the plugin group `face_detectors`.
        crop_size: Side of the crops in pixels (paper, Appendix B: 224).
        cache: Where boxes are kept; None detects again each time.
        margin: See `crop_square`.
        policy: What replaces a face that was not found.
        frame_choice: How the frames were chosen; kept boxes belong to one choice.
    """

    def __init__(
        self,
        detector: FaceDetector,
        crop_size: int = CROP_SIZE,
        cache: BoxCache | None = None,
        margin: float = MARGIN,
        policy: FacePolicy = DEFAULT_POLICY,
        frame_choice: FrameChoice = "middle",
    ):
        self.detector = detector
        self.crop_size = crop_size
        self.cache = cache
        self.margin = margin
        self.policy = policy
        self.frame_choice = frame_choice

    def identity(self) -> str:
        """All that the crops depend on, in one line; features of crops are only good under the same identity."""
        return (
            f"{CROPS_LAYOUT} {self.detector.identity()}; crop_size={self.crop_size} margin={self.margin:g} "
            f"frame_without_face={self.policy.frame} clip_without_face={self.policy.clip}"
        )

    def crop(self, frames: np.ndarray, mask: np.ndarray, source: MediaFile | None) -> FaceCrops:
        """Crop the speaker's face out of every real frame; `policy` says what a frame without it gives.

        Args:
            frames: RGB, uint8 [T, H, W, 3].
            mask: True where a frame is real [T].
            source: The video file, for the cache; None for frames that no file has.

        Raises:
            UnreadableClipError: No face was found in the clip and the policy is to drop it.
        """
        real = _real(frames, mask)
        if not self.detector.finds_faces:
            pictures = np.zeros((len(frames), self.crop_size, self.crop_size, 3), dtype=np.uint8)
            pictures[: len(real)] = [resize(frame, self.crop_size) for frame in real]
            return FaceCrops(pictures, mask)
        return self.cut(frames, mask, self.find(real, len(frames), source), source)

    def find(self, real: np.ndarray, frame_count: int, source: MediaFile | None) -> FoundFaces:
        """The faces of everybody and the speaker among them.

        Args:
            real: The real frames, RGB, uint8 [T, H, W, 3].
            frame_count: Frames that were asked for, for the cache.
            source: The video file, for the cache.

        Raises:
            UnreadableClipError: The file is gone.
        """
        boxes = self._boxes(real, frame_count, source)
        return FoundFaces(boxes, choose_speaker(boxes, real))

    def cut(self, frames: np.ndarray, mask: np.ndarray, found: FoundFaces, source: MediaFile | None) -> FaceCrops:
        """The crops of found faces; arguments and errors as in `crop`."""
        real, speaker = _real(frames, mask), found.speaker
        seen = np.array([box is not None for box in speaker])
        if not seen.any() and self.policy.clip == "drop":
            raise UnreadableClipError(
                source,
                "face",
                f"none of its {len(real)} frames shows a face, and clip_without_face is drop. Set it to whole to use "
                f"the whole frames.",
            )
        drops = seen.any() and self.policy.frame == "drop"
        stand_ins = fill_gaps(speaker) if self.policy.frame == "nearest" else speaker
        pictures = np.zeros((len(frames), self.crop_size, self.crop_size, 3), dtype=np.uint8)
        for index, (frame, box) in enumerate(zip(real, stand_ins, strict=True)):
            if box is not None:
                pictures[index] = crop_square(frame, box, self.crop_size, self.margin)
            elif not drops:
                pictures[index] = resize(frame, self.crop_size)
        kept = mask.copy()
        if drops:
            kept[np.flatnonzero(mask)[~seen]] = False
        return FaceCrops(pictures, kept, int((~seen).sum()), int(not seen.any()))

    def _detected(self, real: np.ndarray) -> list[list[FaceBox]]:
        """What the detector finds, checked against its contract."""
        with held_to_contract(self.detector):
            return check_boxes(self.detector.detect(real), frames=len(real))

    def _boxes(self, real: np.ndarray, frame_count: int, source: MediaFile | None) -> list[list[FaceBox]]:
        """From the cache or the detector, rounded alike."""
        if self.cache is None or source is None:
            return rounded(self._detected(real))
        try:
            chosen = "" if self.frame_choice == "middle" else f"; frame_choice={self.frame_choice}"
            key = self.cache.key(source, frame_count, self.detector.identity() + chosen)
        except OSError as error:
            raise UnreadableClipError(
                source, "video", f"{error.strerror or error}; the file changed after it was decoded."
            ) from error
        boxes = self.cache.read(source, key, len(real))
        if boxes is None:
            boxes = rounded(self._detected(real))
            self.cache.write(source, key, boxes)
        return boxes


def read_face_file(
    path: MediaFile, frame_count: int, crop_size: int, frame_choice: FrameChoice = "middle"
) -> FaceCrops:
    """Read released crops (a `.npy` file, uint8 [T, H, W, 3]), spread uniformly over the clip.

    Raises:
        UnreadableClipError: The file is missing, empty, pickled or of another type or shape.
    """
    try:
        if isinstance(path, PackedFile):
            crops = np.load(path.opened("face"), allow_pickle=False)
        else:
            crops = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, *BROKEN_ARRAY) as error:
        pickled = "pickle" in str(error) or "Python objects" in str(error)  # NumPy would advise to load it all the same
        what = "it holds pickled objects or no array" if pickled else getattr(error, "strerror", None) or error
        kind = None if isinstance(path, PackedFile) else pointer_kind(path)
        reason = f"it is {kind}." if kind else f"{what}; expected a NumPy file of face crops."
        raise UnreadableClipError(path, "face", reason) from error
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[3] != 3 or 0 in crops.shape:
        raise UnreadableClipError(
            path, "face", f"it holds {crops.dtype} {list(crops.shape)}; expected uint8 [T, H, W, 3] with T at least 1."
        )
    chosen = uniform_indices(len(crops), frame_count, frame_choice)
    pictures = np.zeros((frame_count, crop_size, crop_size, 3), dtype=np.uint8)
    pictures[: len(chosen)] = [resize(np.asarray(crops[index]), crop_size) for index in chosen]
    return FaceCrops(pictures, np.arange(frame_count) < len(chosen))
