"""Answers a request with a trained network, word by word, as `AffectGPT.describe` would (ours).

The clip is read and asked as `clip_answers` does it, so a greedy answer is equal to the character. `web_app.py` calls this in
one thread; `chat_replies.py` writes the reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from affect_lightning.clip_answers.asked_clips import AskedClips, GivenClips
from affect_lightning.clip_answers.describing_network import AffectGPT
from affect_lightning.contracts import STREAMS
from affect_lightning.contracts.generation_watch import GenerationStopped, GenerationWatch, watched_by
from affect_lightning.data.dataset import ReadingOptions
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.plugin_loading import needed_streams
from affect_lightning.serving.chat_requests import ChatRequest
from affect_lightning.serving.request_media import MediaRules, WantedStreams, media_of

# The end of a text that may still change or become the beginning of a stop text: a word, or a broken character.
_UNFINISHED = re.compile(r"\s*[!-~\ufffd]*\Z")


@dataclass(frozen=True)
class Choice:
    """One answer.

    Attributes:
        text: The answer.
        finish_reason: `stop`, or `length` if it was cut at `max_tokens` or at the end of the model's context.
        prompt_tokens: Tokens of the prompt; None if the language model does not tell.
        answer_tokens: Tokens of the answer; the same.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


@dataclass(frozen=True)
class Answer:
    """What is said of a request.

    Attributes:
        choices: As many as were asked for.
        missing: Streams that silence stands in for.
    """

    choices: tuple[Choice, ...]
    missing: tuple[str, ...] = ()


@dataclass
class AnswerWatch(GenerationWatch):
    """Hands out what is sure of an answer, and ends it at a stop text, or when nobody waits.

    Attributes:
        read: Takes the answer out of a text (`PromptStyle.read_answer`).
        stops: Texts before which it ends.
        tell: Is given what is new.
        check: Raises if nobody waits for the answer any more.
        margin: Characters at the end that may become the beginning of a stop text.
        sent: What was handed out.
        stopped: The answer, if a stop text ended it.
    """

    read: Callable[[str], str]
    stops: Sequence[str]
    tell: Callable[[str], None]
    check: Callable[[], None]
    margin: int = 0
    sent: str = ""
    stopped: str | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    is_full: bool = field(default=False)

    def reads(self, prompt_tokens: Sequence[int]) -> None:
        """See the contract."""
        self.check()
        self.prompt_tokens = prompt_tokens[0]

    def writes(self, texts: Sequence[str], tokens: Sequence[int], are_full: Sequence[bool]) -> None:
        """See the contract."""
        self.check()
        self.answer_tokens, self.is_full = tokens[0], are_full[0]
        text = self.read(texts[0]).rstrip("\ufffd")  # of a character that lacks bytes
        cut = cut_at(text, self.stops)
        if cut is not None:
            self.stopped = cut
            raise GenerationStopped
        sure = _UNFINISHED.sub("", text[: len(text) - self.margin])
        if sure.startswith(self.sent) and len(sure) > len(self.sent):
            self.tell(sure[len(self.sent) :])
            self.sent = sure

    def ends(self, text: str) -> Choice:
        """Hand out the rest of the answer.

        Args:
            text: The whole answer, as the network gave it.
        """
        cut = cut_at(text, self.stops) if self.stopped is None else self.stopped
        whole = text if cut is None else cut
        if not whole.startswith(self.sent):
            raise RuntimeError("the answer no longer begins with what was sent of it")
        if len(whole) > len(self.sent):
            self.tell(whole[len(self.sent) :])
        reason = "length" if cut is None and self.is_full else "stop"
        return Choice(whole, reason, self.prompt_tokens, self.answer_tokens)


def cut_at(text: str, stops: Sequence[str]) -> str | None:
    """The text before the first stop text; None if it has none.

    >>> cut_at("She is glad. ### Human", ["###", "glad"]), cut_at("She is glad.", ["###"])
    ('She is ', None)
    """
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else None


class ClipModel:
    """A network that answers requests, one after the other.

    Attributes:
        network: In eval mode, on its device.
        wanted: What it takes of a clip.
    """

    def __init__(
        self,
        network: AffectGPT,
        *,
        rules: MediaRules | None = None,
        reading: Mapping[str, Any] | None = None,
        silence_for_none: bool = False,
    ) -> None:
        """Check that requests can bring what the network takes.

        Args:
            network: Read from an exported folder.
            rules: Where parts may come from; None means only the request itself.
            reading: Options of `ClipDataModule`, over those of the folder.
            silence_for_none: See `WantedStreams`.

        Raises:
            ConfigurationError: The network takes a stream that no request can bring, or how clips are read is not known.
        """
        self.network, self._rules = network, rules or MediaRules()
        configuration = network.configuration
        streams = needed_streams(configuration.inputs, configuration.fused_streams)
        foreign = [name for name in streams if name not in STREAMS]
        if foreign:
            raise ConfigurationError(
                f"Serve a network without the streams {', '.join(foreign)}: a request cannot bring them."
            )
        self._reading = network.reading_options(reading, None)
        rate = self._reading.get("sample_rate", ReadingOptions.sample_rate)
        sees = any(name != "audio" for name in streams)
        self.wanted = WantedStreams(sees, "audio" in streams, rate, silence_for_none)

    def answer(self, request: ChatRequest, tell: Callable[[int, str], None], check: Callable[[], None]) -> Answer:
        """Read the clip and answer.

        Args:
            request: What is asked.
            tell: Is given the number of the choice and what is new of its text.
            check: Raises if nobody waits for the answer any more; what it raises comes out here.

        Raises:
            RequestError: The parts of the request are wrong.
            AffectLightningError: The clip cannot be read, or the question cannot be asked.
        """
        check()
        media, missing = media_of(request, self._rules, self.wanted)
        given = GivenClips(subtitle=request.subtitle, media=media)
        asked = {} if request.question is None else {"test_question": request.question}
        batches = list(AskedClips(given, {**self._reading, **asked}).batches())
        if not batches:
            raise DataError("The clip cannot be read.")
        options = self.network.decoding_options(request.decoding)
        choices = [
            self._choice(request, batches[0], _of_choice(options, number), partial(tell, number), check)
            for number in range(request.choices)
        ]
        return Answer(tuple(choices), tuple(missing))

    def _choice(
        self,
        request: ChatRequest,
        batch: Any,
        options: Mapping[str, Any],
        tell: Callable[[str], None],
        check: Callable[[], None],
    ) -> Choice:
        style = self.network.configuration.prompt_style
        margin = max(len(text) for text in (*request.stops, style.response_end, " ")) - 1
        watch = AnswerWatch(style.read_answer, request.stops, tell, check, margin)
        with watched_by(watch):
            try:
                text = self.network.responses(batch, options)[0]
            except GenerationStopped:
                text = ""
        return watch.ends(text)


def _of_choice(options: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The options of a choice: each has a seed of its own, so that they differ."""
    seed = options.get("seed")
    return {**options, "seed": None if seed is None else seed + number}
