"""Whether what a part returned keeps its contract: cheap checks of type, shape and width.

The model and the data side call these on everything that a plugin returns. `affect_lightning.testing` calls the same
ones and says what was expected and received. `plugin_loading.origin` adds whose part it was.
Legend: B clips, T frames, N feature tokens, D feature width, L text tokens, E embedding width.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from affect_lightning.contracts.describers import Transcript
from affect_lightning.contracts.label_checks import ConformanceError, described
from affect_lightning.contracts.objectives import LossTerm
from affect_lightning.contracts.pipeline_parts import FaceBox
from affect_lightning.contracts.speakers import SpeakerScore
from affect_lightning.contracts.streams import FeatureSequence

if TYPE_CHECKING:
    from torch import Tensor


def _is_tensor(found: Any) -> TypeGuard[Tensor]:
    """Whether it is a tensor; where nothing has loaded torch, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(found, torch.Tensor)


def check_features(found: Any, *, clips: int, width: int, tokens: int | None = None) -> FeatureSequence:
    """Hold what an encoder or a pre-fusion returned against its contract.

    Args:
        found: What came.
        clips: B that went in.
        width: D that the part announces.
        tokens: N that the part announces; None for any.

    Raises:
        ConformanceError: It is no FeatureSequence [B, N, D].
    """
    if isinstance(found, FeatureSequence):
        shape = found.tokens.shape
        if shape[0] == clips and shape[2] == width and tokens in (None, shape[1]):
            return found
    expected = f"a FeatureSequence with tokens [{clips}, {'N' if tokens is None else tokens}, {width}]"
    raise ConformanceError(expected, described(found))


def check_stream_weights(found: Any, streams: Mapping[str, FeatureSequence]) -> dict[str, Tensor] | None:
    """Hold what `PreFusion.stream_weights` returned against its contract.

    Args:
        found: What came.
        streams: That went in, [B, N, D] each.

    Raises:
        ConformanceError: It is neither None nor floating point weights [B, N] of every stream.
    """
    if found is None:
        return None
    wanted = {name: list(stream.mask.shape) for name, stream in streams.items()}
    if isinstance(found, Mapping) and all(_is_tensor(value) for value in found.values()):
        shapes = {name: list(value.shape) for name, value in found.items()}
        if shapes == wanted and all(value.is_floating_point() for value in found.values()):
            return dict(found)
    raise ConformanceError(f"floating point weights by stream, {wanted}, or None", described(found))


def check_branch_tokens(found: Any, *, clips: int, tokens: int, width: int) -> Tensor:
    """Hold what a branch compression returned against its contract.

    Args:
        found: What came.
        clips: B that went in.
        tokens: K that the part announces.
        width: That the part announces.

    Raises:
        ConformanceError: It is no floating point tensor [B, K, width].
    """
    wanted = [clips, tokens, width]
    if not _is_tensor(found) or not found.is_floating_point() or list(found.shape) != wanted:
        raise ConformanceError(f"floating point tokens {wanted}", described(found))
    return found


def check_finite(values: Tensor, what: str) -> None:
    """Refuse NaN and infinity. It reads every value: meant for the first batch of a part.

    Args:
        values: Of any shape.
        what: Names them in the message, such as `features of real tokens`.

    Raises:
        ConformanceError: A value is not finite.
    """
    wrong = int((~values.detach().isfinite()).sum())
    if wrong:
        raise ConformanceError(f"finite {what}", f"{wrong} of {values.numel()} that are NaN or infinite")


def check_stream(found: Any, *, kind: str) -> np.ndarray:
    """Hold what `StreamReader.read` returned for a clip against its contract.

    Args:
        found: What came.
        kind: That the reader announces.

    Raises:
        ConformanceError: It is no array of that kind, or a series with NaN or infinity.
    """
    if isinstance(found, np.ndarray):
        if kind == "pictures" and found.dtype == np.uint8 and found.ndim == 4 and found.shape[3] == 3:
            return found
        if kind == "series" and found.dtype == np.float32 and found.ndim == 2 and found.shape[1]:
            if not np.isfinite(found).all():
                raise ConformanceError("a series of finite numbers", f"{int((~np.isfinite(found)).sum())} that are not")
            return found
        received = f"an array {found.dtype} {list(found.shape)}"
    else:
        received = described(found)
    forms = {"pictures": "uint8 [T, H, W, 3]", "series": "float32 [T, C]"}
    raise ConformanceError(f"an array {forms.get(kind, f'of a kind from {list(forms)}, not {kind!r}')}", received)


def check_embeddings(found: Any, *, ids: Tensor, width: int) -> Tensor:
    """Hold what `LanguageModel.embed` returned for ids [B, L] against its contract.

    Raises:
        ConformanceError: It is no floating point tensor [B, L, E].
    """
    wanted = [*ids.shape, width]
    if not _is_tensor(found) or not found.is_floating_point() or list(found.shape) != wanted:
        raise ConformanceError(f"floating point embeddings {wanted}", described(found))
    return found


def check_loss(found: Any) -> Tensor:
    """Hold what `LanguageModel.loss` returned against its contract.

    Raises:
        ConformanceError: It is no floating point scalar.
    """
    if not _is_tensor(found) or not found.is_floating_point() or found.ndim:
        raise ConformanceError("a loss that is one floating point number, a tensor []", described(found))
    return found


def check_terms(found: Any) -> dict[str, LossTerm]:
    """Hold what `Objective.terms` returned against its contract.

    Raises:
        ConformanceError: It is no mapping of names to terms, or a mean or a number of items is no scalar.
    """
    if not isinstance(found, Mapping) or not found or not all(isinstance(term, LossTerm) for term in found.values()):
        raise ConformanceError("a mapping of names to LossTerm, with at least one", described(found))
    for name, term in found.items():
        check_loss(term.mean)
        if not _is_tensor(term.items) or term.items.ndim:
            raise ConformanceError(f"the number of items of {name!r}, a tensor []", described(term.items))
    return dict(found)


def check_texts(found: Any, *, count: int, what: str) -> list[str]:
    """Hold a list of texts, such as responses, against its contract.

    Raises:
        ConformanceError: It is no list of `count` texts.
    """
    if not isinstance(found, list) or len(found) != count or not all(isinstance(text, str) for text in found):
        raise ConformanceError(f"a list of {count} {what}", described(found))
    return found


def check_transcripts(found: Any, *, count: int) -> list[Transcript]:
    """Hold what `Transcriber.transcribe` returned against its contract.

    Raises:
        ConformanceError: It is no list of `count` transcripts with texts.
    """
    expected = f"a list of {count} Transcript with texts"
    if not isinstance(found, list) or len(found) != count:
        raise ConformanceError(expected, described(found))
    for one in found:
        if not isinstance(one, Transcript) or not isinstance(one.text, str) or not isinstance(one.language, str):
            raise ConformanceError(expected, f"a list with {one!r:.80}")
    return found


def check_speaker_score(found: Any) -> SpeakerScore:
    """Hold what `SpeakerDetector.score` returned against its contract.

    Raises:
        ConformanceError: It is no SpeakerScore with either a finite number or the reason why there is none.
    """
    if not isinstance(found, SpeakerScore):
        raise ConformanceError("a SpeakerScore", described(found))
    has_value = isinstance(found.value, float | int) and math.isfinite(found.value)
    has_reason = isinstance(found.reason, str) and bool(found.reason.strip()) and "\n" not in found.reason
    if not (has_value and found.reason == "") and not (found.value is None and has_reason):
        raise ConformanceError(
            "a SpeakerScore with a finite value, or without one and with a reason in one line", str(found)
        )
    return found


def check_boxes(found: Any, *, frames: int) -> list[list[FaceBox]]:
    """Hold what `FaceDetector.detect` returned against its contract.

    Raises:
        ConformanceError: It is no list of T lists of FaceBox, best score first, with edges in order.
    """
    expected = f"a list of {frames} lists of FaceBox"
    if not isinstance(found, list) or len(found) != frames:
        raise ConformanceError(expected, described(found))
    for boxes in found:
        if not isinstance(boxes, list) or not all(isinstance(box, FaceBox) for box in boxes):
            raise ConformanceError(expected, f"a list with {described(boxes)}")
        for box in boxes:
            if not (box.x0 < box.x1 and box.y0 < box.y1 and 0 <= box.score <= 1):
                raise ConformanceError("boxes with x0 < x1, y0 < y1 and a score in [0, 1]", str(box))
        scores = [box.score for box in boxes]
        if scores != sorted(scores, reverse=True):
            raise ConformanceError("boxes with the best score first", f"the scores {scores[:4]}")
    return found


def check_token_scores(found: Any, *, count: int) -> tuple[Tensor, Tensor]:
    """Hold what `LanguageModel.token_scores` returned for R supervised tokens against its contract.

    Raises:
        ConformanceError: It is no pair of floating point tensors [R].
    """
    pair = isinstance(found, tuple) and len(found) == 2
    if not pair or not all(_is_tensor(one) and one.is_floating_point() for one in found):
        raise ConformanceError(f"two floating point tensors [{count}]", described(found))
    if any(list(one.shape) != [count] for one in found):
        raise ConformanceError(f"two tensors [{count}]", " and ".join(str(list(one.shape)) for one in found))
    return found


def check_rewards(found: Any, *, count: int) -> list[float]:
    """Hold what `Reward.score` returned against its contract.

    Raises:
        ConformanceError: It is no list of `count` numbers that are finite or NaN.
    """
    expected = f"a list of {count} numbers, finite or NaN"
    if not isinstance(found, list) or len(found) != count:
        raise ConformanceError(expected, described(found))
    for one in found:
        if not isinstance(one, float | int) or math.isinf(one):
            raise ConformanceError(expected, f"a list with {one!r:.80}")
    return [float(one) for one in found]
