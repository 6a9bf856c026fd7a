"""What a chat completion asks for: the question, the clip's parts, how to decode (OpenAI's API; the parts of vLLM too).

A field is obeyed, has the value that changes nothing, or is refused: no field is ignored in silence. `request_media.py` fetches
the parts. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from affect_lightning.prompting import taken_apart

MOST_CHOICES, MOST_STOPS = 8, 4  # answers to a request (our choice), and texts to stop at (as OpenAI)
LEAST_TEMPERATURE = 0.01  # besides 0: below it, sampling is greedy but for overflow; our choice
_MOST_SEED = 2**63 - 1 - MOST_CHOICES
# Fields whose value changes nothing here, with these values. Any other value is refused.
_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
_FOR_THE_CALLER = ("user", "metadata", "safety_identifier")  # names of the caller's own; no answer depends on them
_URL_PARTS = {"video_url": "video", "input_video": "video", "audio_url": "audio", "image_url": "image"}
_PARTS = ("text", "input_audio", *_URL_PARTS)


class RequestError(Exception):
    """A request that is not answered.

    Attributes:
        status: Of HTTP.
        kind: `type` of OpenAI's error object.
        param: The field that is wrong, if one is.
        code: A word for programs.
        retry_after: Seconds after which to try again, if that may help.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.param, self.code, self.retry_after = status, kind, param, code, retry_after


@dataclass(frozen=True)
class MediaPart:
    """A file or picture of the clip.

    Attributes:
        kind: `video`, `audio` or `image`.
        url: `data:`, `http(s):` or `file:`.
        param: Where it stands in the request.
    """

    kind: str
    url: str = field(repr=False)
    param: str


@dataclass(frozen=True)
class ChatRequest:
    """A request, read and checked.

    Attributes:
        media: In the order given.
        question: What is asked; None means what the model's folder asks.
        subtitle: What the person says.
        decoding: Options of `AffectGPT.generate` that the request sets.
        choices: How many answers.
        stops: Texts before which an answer ends.
        is_streamed: Whether the answer is sent while it is written.
        tells_usage: Whether a streamed answer ends with the number of tokens.
    """

    media: tuple[MediaPart, ...]
    question: str | None
    subtitle: str
    decoding: Mapping[str, Any]
    choices: int = 1
    stops: tuple[str, ...] = ()
    is_streamed: bool = False
    tells_usage: bool = False


def read_request(body: Any, model: str) -> ChatRequest:
    """Read the JSON of a request.

    Args:
        body: The JSON value.
        model: Name of the model that is served.

    Raises:
        RequestError: A field is missing, wrong or cannot be obeyed.
    """
    if not isinstance(body, dict):
        raise RequestError(f"Send a JSON object; got {_kind_of(body)}.")
    given = {name: value for name, value in body.items() if value is not None}
    if given.get("model") != model:
        raise RequestError(
            f"Set `model` to {model!r}, the one that is served here; got {given.get('model')!r}.",
            status=404,
            param="model",
            code="model_not_found",
        )
    _refuse_unknown(given)
    is_streamed = _flag(given, "stream")
    media, text = _message(given.get("messages"))
    said, question = taken_apart(text)
    subtitle = _text(given, "subtitle")
    if subtitle and said is not None:
        raise RequestError(
            'Give the subtitle once: as the field `subtitle`, or as a first line `Says: "..."`.', param="subtitle"
        )
    return ChatRequest(
        media,
        question or None,
        subtitle or said or "",
        _decoding(given),
        _number(given, "n", int, 1, MOST_CHOICES) or 1,
        _stops(given.get("stop")),
        is_streamed,
        _tells_usage(given, is_streamed),
    )


_OBEYED = (
    *("model", "messages", "stream", "stream_options", "subtitle", "temperature", "top_p", "seed", "n", "stop"),
    *("max_tokens", "max_completion_tokens"),
)


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in _OBEYED or name in _FOR_THE_CALLER:
            continue
        if name not in _WITHOUT_EFFECT:
            raise RequestError(
                f"Leave `{name}` out: this server cannot obey it. It takes {', '.join(_OBEYED)}.",
                param=name,
                code="unsupported_parameter",
            )
        allowed = _WITHOUT_EFFECT[name]
        if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
            raise RequestError(
                f"Leave `{name}` out, or set it to {' or '.join(map(repr, allowed))}: this server cannot obey {value!r:.100}.",
                param=name,
                code="unsupported_value",
            )


def _message(messages: Any) -> tuple[tuple[MediaPart, ...], str]:
    """Media and text of the one message."""
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise RequestError("Set `messages` to a list with one message of the role `user`.", param="messages")
    roles = [one.get("role") for one in messages]
    if roles != ["user"]:
        raise RequestError(
            f"Send one message of the role `user`, with the clip and the question: the network answers one question about "
            f"one clip. Put the text of other roles into it. Got the roles {', '.join(map(repr, roles))[:200]}.",
            param="messages",
        )
    content = messages[0].get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise RequestError("Set `content` to a text or to a list of parts.", param="messages[0].content")
    media: list[MediaPart] = []
    texts: list[str] = []
    for number, part in enumerate(parts):
        param = f"messages[0].content[{number}]"
        if part.get("type") == "text":
            texts.append(_part_text(part, param))
        else:
            media.append(_media(part, param))
    return tuple(media), "\n".join(texts)


def _part_text(part: Mapping[str, Any], param: str) -> str:
    text = part.get("text")
    if not isinstance(text, str):
        raise RequestError(f"Set `text` of {param} to a text; got {_kind_of(text)}.", param=param)
    return text


def _media(part: Mapping[str, Any], param: str) -> MediaPart:
    kind = part.get("type")
    if kind == "input_audio":
        sound = part.get("input_audio")
        data, name = (sound.get("data"), sound.get("format")) if isinstance(sound, dict) else (None, None)
        if not isinstance(data, str) or not isinstance(name, str) or not name.isalnum():
            raise RequestError(f"Set `input_audio` of {param} to data in base64 and a format such as wav.", param=param)
        return MediaPart("audio", data if data.startswith("data:") else f"data:audio/{name};base64,{data}", param)
    if not isinstance(kind, str) or kind not in _URL_PARTS:
        raise RequestError(
            f"{param} has the type {kind!r:.100}; this server takes {', '.join(_PARTS)}.",
            param=param,
            code="unsupported_value",
        )
    held = part.get("video_url" if kind == "input_video" else kind)
    url = held.get("url") if isinstance(held, dict) else held
    if not isinstance(url, str):
        raise RequestError(f"Set the `url` of {param} to a text such as data:video/mp4;base64,...", param=param)
    return MediaPart(_URL_PARTS[kind], url, param)


def _decoding(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `generate` that are set."""
    temperature = _number(given, "temperature", float, 0.0, 2.0)
    if temperature is not None and 0 < temperature < LEAST_TEMPERATURE:
        raise RequestError(
            f"`temperature` is 0 (greedy) or {LEAST_TEMPERATURE} and more; got {temperature}.", param="temperature"
        )
    top_p = _number(given, "top_p", float, 0.0, 1.0)
    if top_p == 0.0:
        raise RequestError("`top_p` is above 0 and at most 1; got 0.", param="top_p")
    lengths = {_number(given, name, int, 1, 2**31 - 1) for name in ("max_tokens", "max_completion_tokens")} - {None}
    if len(lengths) > 1:
        raise RequestError(
            "Give `max_tokens` or `max_completion_tokens`; got both, and they differ.", param="max_tokens"
        )
    seed = _number(given, "seed", int, 0, _MOST_SEED)
    found = {"temperature": temperature, "top_p": top_p, "max_new_tokens": next(iter(lengths), None), "seed": seed}
    return {name: value for name, value in found.items() if value is not None}


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(one, str) and one for one in stops):
        raise RequestError(f"Set `stop` to a text, or to {MOST_STOPS} texts at most, none of them empty.", param="stop")
    return tuple(stops)


def _tells_usage(given: Mapping[str, Any], is_streamed: bool) -> bool:
    options = given.get("stream_options", {})
    if not isinstance(options, dict) or options.keys() - {"include_usage"} or (options and not is_streamed):
        raise RequestError(
            "`stream_options` may have `include_usage`, and only with `stream`: true.", param="stream_options"
        )
    return _flag(options, "include_usage")


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise RequestError(f"Set `{name}` to true or false; got {value!r:.100}.", param=name)
    return value


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise RequestError(f"Set `{name}` to a text; got {_kind_of(value)}.", param=name)
    return value


def _number(given: Mapping[str, Any], name: str, kind: type, least: float, most: float) -> Any:
    """The number of a field within its bounds; None if it is not set."""
    value = given.get(name)
    if value is None:
        return None
    is_number = isinstance(value, (int, kind)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= most:
        what = "a whole number" if kind is int else "a number"
        raise RequestError(f"Set `{name}` to {what} from {least:g} to {most:g}; got {value!r:.100}.", param=name)
    return kind(value)


def _kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def kinds_of(media: Sequence[MediaPart]) -> dict[str, list[MediaPart]]:
    """The parts by kind, with an empty list where there is none."""
    return {kind: [part for part in media if part.kind == kind] for kind in ("video", "audio", "image")}
