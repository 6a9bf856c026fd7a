"""The stages by name: the one place that a configuration, the help and the pipeline ask.

Paper: Section 2. A stage is one entry here: its class, its group of options, the plugins that it asks, and its settings. All
of it is imported when the stage is built, not before. `pipeline.py` runs the stages.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, get_type_hints

from affect_lightning.annotation.stages import Ending, Stage
from affect_lightning.errors import ConfigurationError
from affect_lightning.metrics import taxonomy_by_name
from affect_lightning.plugin_loading import build_part, plugin_options, resolve_choice, split_choice
from affect_lightning.plugin_loading.listing import nearest_hint

NO_PLUGIN = "none"  # leaves a part out


@dataclass(frozen=True)
class PluginSlot:
    """A part of a stage that is a plugin.

    Attributes:
        group: Of the plugins.
        default: Name of the plugin that is taken where none is chosen; None for no part.
        options: Options that are set where the plugin has them and nobody has chosen otherwise.
        solo: What such options are where every part of `alone` is left out.
        alone: Other parts of the stage.
    """

    group: str
    default: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    solo: Mapping[str, Any] = field(default_factory=dict)
    alone: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageEntry:
    """A stage.

    Attributes:
        summary: One line.
        stage: Module below `affect_lightning.annotation`, a colon, and the class.
        options: The same for the group of its options.
        plugins: Its parts, by the name of the argument.
        settings: Texts that become arguments: `taxonomy`.
        services: Arguments that the caller of `build_stage` may give, because this folder must not know how they work.
        needs_files: Whether it looks at the clips' files.
    """

    summary: str
    stage: str
    options: str
    plugins: Mapping[str, PluginSlot] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    needs_files: bool = False


STAGES: dict[str, StageEntry] = {
    "describe": StageEntry(
        "Describe what is heard and seen, and merge it with what is said.",
        "descriptions:DescribeStage",
        "descriptions:DescribeOptions",
        {
            "audio": PluginSlot("cue_describers", "signal", {"modality": "audio"}),
            "visual": PluginSlot(
                "cue_describers", "signal", {"modality": "video"}, solo={"modality": "both"}, alone=("audio",)
            ),
            "merger": PluginSlot("clue_mergers", "template"),
            "transcriber": PluginSlot("transcribers", None),
        },
        needs_files=True,
    ),
    "speaker": StageEntry(
        "Drop clips that do not show the person who is heard.",
        "speaker:SpeakerStage",
        "speaker:SpeakerOptions",
        {
            "detector": PluginSlot("speaker_detectors", "sync"),
            "faces": PluginSlot("face_detectors", "centerface"),
        },
        needs_files=True,
    ),
    "length": StageEntry(
        "Drop descriptions in the tails of the lengths.", "lengths:LengthStage", "lengths:LengthOptions"
    ),
    "crowd": StageEntry(
        "Let members trained on human labels, or the votes of a table, decide on emotion and sentiment.",
        "trained_crowd.stage:TrainedCrowdStage",
        "trained_crowd.stage:TrainedCrowdOptions",
        settings=("taxonomy",),
        services=("encode",),
    ),
    "agree": StageEntry(
        "Drop descriptions that disagree with the crowd.",
        "agreement:AgreeStage",
        "agreement:AgreementOptions",
        {"extractor": PluginSlot("label_extractors", "rules")},
        settings=("taxonomy",),
    ),
}
ENDINGS: dict[str, StageEntry] = {
    "export": StageEntry(
        "Write the clips that stay as a data set with a datasheet.",
        "exporting.ending:ExportEnding",
        "exporting.ending:ExportOptions",
        settings=("taxonomy",),
    ),
}
"""What may stand last: it writes a folder, and no table."""
_SETTINGS = {"taxonomy": taxonomy_by_name}


def stage_entry(name: str) -> StageEntry:
    """The entry of a stage.

    Raises:
        ConfigurationError: There is no such stage.
    """
    known = {**STAGES, **ENDINGS}
    if name not in known:
        raise ConfigurationError(f"There is no stage {name!r}.{nearest_hint(name, known)} Stages: {', '.join(known)}.")
    return known[name]


def build_stage(name: str, values: Mapping[str, Any], services: Mapping[str, Any] | None = None) -> Stage[Any]:
    """A stage with its options, plugins and settings; see `build_listed`."""
    stage = _built(name, values, services)
    assert isinstance(stage, Stage), f"{name} is an ending"
    return stage


def build_listed(
    listed: Sequence[tuple[str, Mapping[str, Any]]], services: Mapping[str, Any] | None = None
) -> tuple[list[Stage[Any]], list[Ending[Any]]]:
    """The stages of a configuration, and the endings behind them.

    Raises:
        ConfigurationError: A stage stands behind an ending.
    """
    built = [_built(name, values, services) for name, values in listed]
    stages: list[Stage[Any]] = []
    endings: list[Ending[Any]] = []
    for item in built:
        if isinstance(item, Ending):
            endings.append(item)
        elif endings:
            raise ConfigurationError(f"Put {endings[-1].name} last: the stage {item.name} stands behind it.")
        else:
            stages.append(item)
    return stages, endings


def _built(name: str, values: Mapping[str, Any], services: Mapping[str, Any] | None) -> Stage[Any] | Ending[Any]:
    """A stage or an ending with its options, plugins and settings.

    Args:
        name: Of the stage.
        values: As a configuration has them: fields of the options, and a choice for each plugin (a name, a mapping with the
            name and options, or `none`).
        services: What the caller offers, by name; a stage gets those that it asks for.

    Raises:
        ConfigurationError: An option is unknown, or its value is wrong.
        PluginError: A plugin is unknown, or its options are wrong.
    """
    entry = stage_entry(name)
    group = _loaded(entry.options)
    known = [*(item.name for item in fields(group)), *entry.plugins, *entry.settings]
    for key in values:
        if key not in known:
            raise ConfigurationError(
                f"The stage {name} has no option {key!r}.{nearest_hint(str(key), known)} It has {', '.join(known)}."
            )
    plain = {key: value for key, value in values.items() if key not in (*entry.plugins, *entry.settings)}
    options = _checked_options(name, group, plain)
    settings = {key: _SETTINGS[key](values.get(key)) for key in entry.settings}
    offered = {key: value for key, value in (services or {}).items() if key in entry.services}
    parts = _built_parts(entry, values)
    built: Stage[Any] | Ending[Any] = _loaded(entry.stage).of(options, **parts, **settings, **offered)
    return built


def _built_parts(entry: StageEntry, values: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {slot: values.get(slot, entry.plugins[slot].default) for slot in entry.plugins}
    chosen = {slot: None if choice == NO_PLUGIN else choice for slot, choice in chosen.items()}
    parts: dict[str, Any] = {}
    for slot, choice in chosen.items():
        plugin = entry.plugins[slot]
        if choice is None:
            parts[slot] = None
            continue
        is_solo = bool(plugin.alone) and all(chosen[other] is None for other in plugin.alone)
        name, options = split_choice(choice)
        preset = {**plugin.options, **(plugin.solo if is_solo else {})}
        if preset:
            has = {option.name for option in plugin_options(plugin.group, name)}
            options = {**{key: value for key, value in preset.items() if key in has}, **options}
        parts[slot] = build_part(plugin.group, resolve_choice(plugin.group, {"name": name, **options}))
    return parts


def _checked_options(name: str, group: type, values: Mapping[str, Any]) -> Any:
    """The group of options, each value of the type that its field has."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    types = get_type_hints(group)
    # Field by field: add_class_arguments of jsonargparse 4.43 does not see the fields that a group inherits from two others.
    for item in fields(group):
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        required = {"required": True} if default is MISSING else {"default": default}
        parser.add_argument(f"--{item.name}", type=types[item.name], **required)
    try:
        parsed = parser.parse_object(dict(values)).as_dict()
    except ArgumentError as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"Correct the options of the stage {name}: {reason}") from error
    return group(**{item.name: parsed[item.name] for item in fields(group)})


def _loaded(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"affect_lightning.annotation.{module}"), name)


def stages_of(listed: Any) -> list[tuple[str, dict[str, Any]]]:
    """Names and options of the stages that a configuration lists: names, or mappings of one name to its options.

    >>> stages_of(["length", {"agree": {"rule": "E"}}])
    [('length', {}), ('agree', {'rule': 'E'})]

    Raises:
        ConfigurationError: It is no such list.
    """
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise ConfigurationError(
            f"`stages` must be a list of stages such as `- length` or `- agree: {{rule: E}}`; got {listed!r:.80}."
        )
    found = []
    for item in listed:
        pair = {item: {}} if isinstance(item, str) else item
        if not isinstance(pair, Mapping) or len(pair) != 1:
            raise ConfigurationError(
                f"An item of `stages` must be a name, or one name with its options; got {item!r:.80}."
            )
        ((name, options),) = pair.items()
        if options is not None and not isinstance(options, Mapping):
            raise ConfigurationError(f"The options of the stage {name} must be a mapping; got {options!r:.80}.")
        found.append((str(name), dict(options or {})))
    return found
