"""Plugin options on the command line: `--model.pre_fusion qformer --model.pre_fusion.num_queries 16`.

jsonargparse sees one option for each plugin choice, `--model.pre_fusion`, that takes a name or a mapping. The words
for one choice are gathered here, laid over what the YAML files say, and handed on as one mapping, so that naming
another plugin drops the options of the former one, and an option alone keeps the plugin that the YAML chose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from affect_lightning.command_line.plugins_command import describe_plugin
from affect_lightning.errors import ConfigurationError, PluginError
from affect_lightning.plugin_loading import GROUPS, PluginChoice, find_plugin, split_choice

# Where LightningCLI options choose a plugin, and from which group.
PLUGIN_OPTIONS: dict[str, str] = {
    "model.video_encoder": "video_encoders",
    "model.audio_encoder": "audio_encoders",
    "model.pre_fusion": "pre_fusions",
    "model.branch_compression": "branch_compressions",
    "model.language_model": "language_models",
    "model.objective": "objectives",
    "data.face_detector": "face_detectors",
    "benchmark.label_extractor": "label_extractors",
    "subtitles.transcriber": "transcribers",
}

_WHOLE = {"--merge"}  # options of their own, which begin as another does: --merger
_SHORTEST = 6  # characters of such a beginning, dashes included; a shorter one may mean another option. Our choice
_SHORT = {"--transcriber": "--subtitles.transcriber"}


@dataclass
class ChoiceOverride:
    """What the command line says about one plugin choice.

    Attributes:
        name: Plugin named on the command line, or None.
        options: Options given one by one.
    """

    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def over(self, configured: PluginChoice | None) -> dict[str, Any]:
        """Lay this over the configured choice."""
        name, options = split_choice(configured) if configured is not None else ("", {})
        if self.name is not None and self.name != name:
            name, options = self.name, {}
        return {"name": name, **options, **self.options}


@dataclass(frozen=True)
class HelpRequest:
    """`--model.pre_fusion.help qformer`: the option and the plugin to explain."""

    option: str
    name: str | None


def with_long_options(words: Sequence[str]) -> list[str]:
    """A command line of the trainer commands with long names: `--transcriber` stands for `--subtitles.transcriber`.

    >>> with_long_options(["predict", "--transcriber.language", "en", "--transcriber=whisper"])
    ['predict', '--subtitles.transcriber.language', 'en', '--subtitles.transcriber=whisper']
    """
    return [_lengthened(word) for word in words]


def _lengthened(word: str) -> str:
    for short, whole in _SHORT.items():
        rest = word[len(short) :]
        if word.startswith(short) and (not rest or rest[0] in ".="):
            return whole + rest
    return word


def take_plugin_words(
    words: Sequence[str], options: Mapping[str, str] = PLUGIN_OPTIONS
) -> tuple[list[str], dict[str, ChoiceOverride], HelpRequest | None]:
    """Take the words about plugin choices out of a command line.

    Args:
        words: The command line without the program's name.
        options: Options that choose a plugin, and from which group; by default those of the trainer commands.

    Returns:
        The other words, the overrides by option, and a request for a plugin's help if there is one.

    Raises:
        ConfigurationError: A word that needs a value stands last.
    """
    kept: list[str] = []
    overrides: dict[str, ChoiceOverride] = {}
    asked: HelpRequest | None = None
    position = 0
    while position < len(words):
        word = words[position]
        option, key, value, used = _match(words, position, options)
        position += used
        if option is None:
            kept.append(word)
        elif key == "help":
            asked = HelpRequest(option, value)
        elif value is None:
            raise ConfigurationError(f"{word} needs a value. `--{option}.help NAME` explains a plugin's options.")
        else:
            _record(overrides.setdefault(option, ChoiceOverride()), key, value)
    return kept, overrides, asked


def _match(words: Sequence[str], position: int, options: Mapping[str, str]) -> tuple[str | None, str, str | None, int]:
    """Option, key below it, value and the number of words used; the option is None for a word of others."""
    word, _, joined = words[position].partition("=")
    has_joined = "=" in words[position]
    for option in options:
        whole = word == f"--{option}" or _abbreviates(word, option)
        if whole or word.startswith(f"--{option}."):
            key = "" if whole else word[len(option) + 3 :]
            if has_joined:
                return option, key, joined, 1
            following = words[position + 1] if position + 1 < len(words) else None
            if following is None or (following.startswith("--") and key == "help"):
                return option, key, None, 1
            return option, key, following, 2
    return None, "", None, 1


def _abbreviates(word: str, option: str) -> bool:
    """Whether a word is the beginning of an option without a section, as argparse takes it."""
    return "." not in option and len(word) >= _SHORTEST and word not in _WHOLE and f"--{option}".startswith(word)


def _record(override: ChoiceOverride, key: str, value: str) -> None:
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:  # such as a chat template, which begins with braces
        parsed = value
    if key and key != "name":
        override.options[key] = parsed
        return
    name, options = split_choice(parsed if isinstance(parsed, Mapping) else value)
    override.name = name
    override.options = dict(options)


def plugin_help(request: HelpRequest, options: Mapping[str, str] = PLUGIN_OPTIONS) -> str:
    """Text for a help request: one plugin, or the names of its group; see `take_plugin_words` for `options`."""
    group = options[request.option]
    if request.name is None:
        return f"--{request.option} takes one of: {', '.join(installed_names(group))}. Add a name to see its options."
    return f"{describe_plugin(find_plugin(group, request.name))}\n\nSet one with --{request.option}.OPTION VALUE."


def installed_names(group: str) -> list[str]:
    """Names of the installed plugins of a group, without importing any."""
    from affect_lightning.plugin_loading import list_plugins

    return sorted({listing.name for listing in list_plugins(group)})


def override_words(overrides: Mapping[str, ChoiceOverride], configured: Mapping[str, Any]) -> list[str]:
    """The overrides as words that jsonargparse takes, one mapping a choice.

    Args:
        overrides: By option, from `take_plugin_words`.
        configured: What YAML and defaults say, by option.

    Raises:
        PluginError: Options are given, but neither the command line nor the configuration names a plugin.
    """
    words = []
    for option, override in overrides.items():
        choice = override.over(configured.get(option))
        if not choice["name"]:
            part = GROUPS[PLUGIN_OPTIONS[option]].part
            raise PluginError(f"Add `--{option} NAME`: options for the {part} were given, but no {part}.")
        # Not as escapes: YAML would read those of a sign beyond the first 65,536 as two halves.
        words.append(f"--{option}={json.dumps(choice, ensure_ascii=False)}")
    return words
