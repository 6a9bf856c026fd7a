"""What a visitor of the playground can do: give a clip, let its words be heard, ask (ours).

Plain Python: `page.py` connects these to a Gradio page, tests call them without one. A mistake is told in a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from affect_lightning.contracts import Transcriber
from affect_lightning.errors import AffectLightningError
from affect_lightning.metrics import Taxonomy
from affect_lightning.playground.asked_networks import Answer, Asked, AskedNetwork, heard_subtitle
from affect_lightning.playground.page_parts import answer_part, answers_part, clip_part, problem_part, wheels_part
from affect_lightning.playground.uploads import HeldClip, Limits, read_upload, with_sound_of
from affect_lightning.prompting import QUESTION_KINDS, is_own_question, question_text

OWN_QUESTION = "own"


@dataclass(frozen=True)
class Given:
    """What a visitor has given so far.

    Attributes:
        pictures: The video, or a file of sound that came in its place.
        sound: A sound file that takes the place of the video's sound.
    """

    pictures: HeldClip | None = None
    sound: HeldClip | None = None

    @property
    def clip(self) -> HeldClip | None:
        """The clip that is asked about; None before anything was given."""
        return with_sound_of(self.pictures, self.sound)


class Playground:
    """The actions, over one network or several that are asked side by side.

    Attributes:
        networks: At least one.
        limits: Of uploads.
        hears: Whether subtitles can be heard.
    """

    def __init__(
        self,
        networks: Sequence[AskedNetwork],
        taxonomy: Taxonomy,
        limits: Limits | None = None,
        transcriber: Transcriber | None = None,
        folder: Path | None = None,
    ) -> None:
        """Take what is needed.

        Args:
            networks: To ask.
            taxonomy: Whose wheels are shown.
            limits: Of uploads.
            transcriber: Hears subtitles; None for nobody.
            folder: In which uploads arrive, each in a folder of its own.
        """
        self.networks = tuple(networks)
        self.limits = limits or Limits()
        self.hears = transcriber is not None
        self._taxonomy, self._transcriber, self._folder = taxonomy, transcriber, folder

    @property
    def streams(self) -> list[str]:
        """The streams of all networks that can be switched off."""
        return list(dict.fromkeys(name for network in self.networks for name in network.streams))

    @property
    def questions(self) -> list[tuple[str, str]]:
        """Text and value of each question to choose from."""
        return [*((question_text(kind), kind) for kind in QUESTION_KINDS), ("A question of your own", OWN_QUESTION)]

    def take(self, path: str, is_sound: bool, given: Given) -> tuple[Given, str]:
        """Read an upload or a recording, and delete it.

        Args:
            path: Where it arrived.
            is_sound: Whether it was given as the sound of the clip.
            given: What was given before; kept where this upload is no clip.

        Returns:
            What is given now, and what to show.
        """
        place = Path(path)
        copies = self._copies(place)
        try:
            found = read_upload(place, [network.reading for network in self.networks], self.limits)
            now = replace(given, sound=found) if is_sound else Given(found)
            return now, clip_part(now.clip or found)
        except AffectLightningError as error:
            return given, problem_part(str(error))
        finally:
            for copy in copies:
                copy.unlink(missing_ok=True)
                with suppress(OSError):
                    copy.parent.rmdir()

    def _copies(self, place: Path) -> list[Path]:
        """The upload itself and what Gradio copied of it: files of its name and size in the folder of uploads."""
        if self._folder is None or not place.is_file():
            return []
        size = place.stat().st_size
        return [path for path in self._folder.glob("*/*") if path.name == place.name and path.stat().st_size == size]

    def hear(self, given: Given) -> tuple[str, str]:
        """The words that are heard in the clip, and a problem to show, empty if there is none."""
        if given.clip is None or self._transcriber is None:
            return "", problem_part("Choose a clip, or record one, first.")
        try:
            text = heard_subtitle(self._transcriber, given.clip)
        except AffectLightningError as error:
            return "", problem_part(str(error))
        return text, "" if text else problem_part("No words were heard. Type the subtitle.")

    def ask(self, given: Given, subtitle: str, question: str, own: str, shown: Sequence[str]) -> Iterator[str]:
        """Ask all networks, one after the other.

        Args:
            given: Holds the clip.
            subtitle: What the person says.
            question: Out of `questions`.
            own: The question of one's own.
            shown: Streams that are not switched off.

        Yields:
            The answers so far, to show.
        """
        if given.clip is None:
            yield problem_part("Choose a clip, or record one, first.")
            return
        if question == OWN_QUESTION and not is_own_question(own):
            yield problem_part("Write a question of two words or more.")
            return
        off = tuple(name for name in self.streams if name not in shown)
        asked = Asked(given.clip, subtitle.strip(), own.strip() if question == OWN_QUESTION else question, off)
        names = [network.name for network in self.networks]
        columns, wheels = [answer_part(name, Answer()) for name in names], [""] * len(names)
        try:
            for position, network in enumerate(self.networks):
                for answer in network.answers(asked):
                    columns[position] = answer_part(network.name, answer)
                    wheels[position] = wheels_part(network.name, answer, self._taxonomy)
                    yield answers_part(columns, wheels)
        except AffectLightningError as error:
            yield problem_part(str(error))
