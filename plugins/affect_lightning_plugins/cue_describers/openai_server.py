"""Plugin `openai`: any multimodal model behind an OpenAI-compatible server, asked with pictures and sound.

Paper: Table 9 and Section 2.1. A clip becomes JPEG pictures and a WAV sound inside one request. `asked_models.chat_server`
sends it, tries again and reads the answer. A clip leaves this machine only if the user has said that it may.
Legend: T frames, S audio samples.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import wave
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipBatch, CueDescriber
from affect_lightning.contracts.describers import Modality
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.asked_models.chat_server import ChatServer
from affect_lightning_plugins.asked_models.leaving import clips
from affect_lightning_plugins.cue_describers.clip_parts import ClipParts, asked_text, parts_of


class OpenAIDescriber(CueDescriber):
    """A multimodal model behind any OpenAI-compatible server (vLLM and others), many clips at once."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str = "http://localhost:8000/v1",
        clips_may_leave: bool = False,
        modality: Modality = "both",
        frames: int = 8,
        largest_side: int = 512,
        jpeg_quality: int = 90,
        revision: str | None = None,
        api_key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout: float = 120.0,
        attempts: int = 6,
        pause: float = 1.0,
        max_new_tokens: int = 256,
        system: str | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        """Check the options; the server is asked at the first clip.

        Args:
            model: Name of the model on the server.
            base_url: Address up to and with /v1; the default is vLLM's on this machine.
            clips_may_leave: Set this to true to let pictures and sound of people leave this machine for a server that is
                not on a loopback address; without it such a server is not asked.
            modality: What is sent: audio, video or both.
            frames: Pictures of a clip (8, as the paper shows its own model, Appendix B).
            largest_side: Pictures are scaled down to this many pixels; 512 is our choice.
            jpeg_quality: Of the pictures, 1 to 100; 90 is our choice.
            revision: What you know of the model's version, such as a commit or a date; kept beside every answer.
            api_key_variable: Environment variable that holds the key; unset means no key. The key itself is never an
                option, so no file holds it.
            concurrency: Requests in flight at once; 8 is our choice. A killed run repeats at most as many.
            timeout: Seconds to wait for a connection and for an answer; our choice.
            attempts: Tries for one clip when the server is busy or breaks off; our choice.
            pause: Seconds before the second try, doubled for each further try up to a minute, unless the server names a
                time (Retry-After); our choice.
            max_new_tokens: Longest answer in tokens; our choice: a description has 100 to 200.
            system: Text put before the question; None for none.
            extra_body: Further fields of every request, added to ours (model, temperature 0, max_tokens); null removes one.

        Raises:
            ConfigurationError: An option is out of range, or the address is none.
        """
        if frames < 1 or largest_side < 16 or not 1 <= jpeg_quality <= 100:
            raise ConfigurationError(
                f"openai needs frames >= 1, largest_side >= 16 and jpeg_quality from 1 to 100; got {frames}, "
                f"{largest_side} and {jpeg_quality}."
            )
        self.modality: Modality = modality
        self._frames, self._side, self._quality, self._system = frames, largest_side, jpeg_quality, system
        self._revision = revision
        self._server = ChatServer.of_model(
            model,
            base_url=base_url,
            api_key_variable=api_key_variable,
            max_new_tokens=max_new_tokens,
            extra_body=extra_body,
            leaving=clips(clips_may_leave),
            concurrency=concurrency,
            timeout=timeout,
            attempts=attempts,
            pause=pause,
        )

    @property
    def reading(self) -> Mapping[str, Any]:
        """The number of frames, and 16 kHz, what speech models hear."""
        return {**({"frames": self._frames} if self.modality != "audio" else {}), "sample_rate": 16_000}

    def describe(self, batch: ClipBatch) -> list[str]:
        """The model's answers; an empty text for a clip that has nothing of what is sent. Raises as `answers` does."""
        texts = {index: text for found in self.answers(batch) for index, text in found.items()}
        return [texts[index] for index in range(len(batch))]

    def check(self) -> None:
        """Whether clips may be sent to the server.

        Raises:
            ConfigurationError: They would leave this machine, and nobody said that they may.
        """
        self._server.check()

    def answers(self, batch: ClipBatch) -> Iterator[Mapping[int, str]]:
        """See the contract; each answer as soon as the server gives it.

        Raises:
            ConfigurationError: Clips may not leave this machine; or the server refuses the key, or does not know the
                model or address.
            ServerError: The server gives no answer; ask again to continue.
        """
        self.check()
        found_clips = parts_of(batch, self.modality)
        shown = [index for index, clip in enumerate(found_clips) if clip.frames is not None or clip.sound is not None]
        if len(shown) < len(found_clips):
            yield dict.fromkeys([index for index in range(len(found_clips)) if index not in shown], "")
        for found in self._server.ask_all([self._content(found_clips[index]) for index in shown]):
            yield {shown[position]: answer.strip() for position, answer in found.items()}

    def _content(self, clip: ClipParts) -> list[dict[str, Any]]:
        """Pictures, sound and question of a clip as parts of one message."""
        parts: list[dict[str, Any]] = []
        for frame in () if clip.frames is None else clip.frames:
            address = f"data:image/jpeg;base64,{_jpeg(frame, self._side, self._quality)}"
            parts.append({"type": "image_url", "image_url": {"url": address}})
        if clip.sound is not None:
            data = _wav(clip.sound, clip.sample_rate)
            parts.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
        text = asked_text(clip)
        parts.append({"type": "text", "text": text if self._system is None else f"{self._system}\n{text}"})
        return parts

    def identity(self) -> str:
        """`openai` with model, server, revision, modality, and a hash of everything that answers depend on."""
        values = {
            "request": dict(self._server.request),
            "system": self._system,
            "pictures": [self._frames, self._side, self._quality],
        }
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
        return (
            f"openai {self._server.request['model']} at {self._server.base_url}, revision "
            f"{self._revision or 'unstated'}, {self.modality}, settings {digest}"
        )


def _jpeg(frame: np.ndarray, largest_side: int, quality: int) -> str:
    """A picture uint8 [H, W, 3] in RGB as base64 of a JPEG file."""
    import cv2

    scale = min(1.0, largest_side / max(frame.shape[:2]))
    if scale < 1.0:
        size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return base64.b64encode(content.tobytes()).decode()


def _wav(sound: np.ndarray, sample_rate: int) -> str:
    """Sound float32 [S] as base64 of a WAV file of 16 bits."""
    samples = (np.clip(sound, -1.0, 1.0) * 32767).round().astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.tobytes())
    return base64.b64encode(content.getvalue()).decode()
