"""The entry-point groups and the names of installed plugins, without importing any of them.

Reads entry points and, for the line of help, the source text of the module that an entry point names. Standard library
only: listing must stay fast. `building.py` imports and checks the one plugin that is asked for.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points
from pathlib import Path
from typing import Any

from affect_lightning.errors import PluginError

ENTRY_POINT_PREFIX = "affect_lightning."


@dataclass(frozen=True)
class PluginGroup:
    """One kind of part.

    Attributes:
        name: Short name, such as `pre_fusions`.
        part: What one member is called in a sentence, such as `pre-fusion`; also the option's name with `_`.
        contract: Class in `affect_lightning.contracts` that a member must inherit from.
        supplied: Constructor arguments that the core supplies, in order; they are no options.
    """

    name: str
    part: str
    contract: str
    supplied: tuple[str, ...] = ()

    @property
    def entry_point_group(self) -> str:
        """The group's name as distributions write it."""
        return ENTRY_POINT_PREFIX + self.name

    @property
    def option(self) -> str:
        """The name of the option that chooses a member, such as `pre_fusion`."""
        return self.part.replace("-", "_").replace(" ", "_")

    def contract_class(self) -> Any:
        """The contract, imported now."""
        return getattr(importlib.import_module("affect_lightning.contracts"), self.contract)


GROUPS: dict[str, PluginGroup] = {
    group.name: group
    for group in (
        PluginGroup("video_encoders", "video encoder", "VideoEncoder"),
        PluginGroup("audio_encoders", "audio encoder", "AudioEncoder"),
        PluginGroup("series_encoders", "series encoder", "SeriesEncoder"),
        PluginGroup("streams", "stream", "StreamReader"),
        PluginGroup("pre_fusions", "pre-fusion", "PreFusion", supplied=("stream_widths",)),
        PluginGroup(
            "branch_compressions", "branch compression", "BranchCompression", supplied=("stream_width", "tokens")
        ),
        PluginGroup("language_models", "language model", "LanguageModel"),
        PluginGroup("objectives", "objective", "Objective"),
        PluginGroup("rewards", "reward", "Reward"),
        PluginGroup("face_detectors", "face detector", "FaceDetector"),
        PluginGroup("label_extractors", "label extractor", "LabelExtractor"),
        PluginGroup("cue_describers", "cue describer", "CueDescriber"),
        PluginGroup("clue_mergers", "clue merger", "ClueMerger"),
        PluginGroup("transcribers", "transcriber", "Transcriber"),
        PluginGroup("speaker_detectors", "speaker detector", "SpeakerDetector"),
    )
}


@dataclass(frozen=True)
class PluginListing:
    """One installed plugin, known by name only.

    Attributes:
        group: Short name of its group, such as `pre_fusions`.
        name: The name that users write.
        distribution: The installed distribution that offers it.
        version: Of that distribution.
        target: `module:Class`.
    """

    group: str
    name: str
    distribution: str
    version: str
    target: str

    def summary(self) -> str:
        """First line of the class's docstring, read from its source without importing; empty if it has none."""
        module, _, attribute = self.target.partition(":")
        path = module_path(module)
        if path is None:
            return ""
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError):
            return ""
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").strip().split("\n", 1)[0]
        return ""


def module_path(module: str) -> Path | None:
    """File of a module, found from its top-level package so that no package code runs."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for folder in spec.submodule_search_locations or []:
        base = Path(folder).joinpath(*rest)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def find_group(name: str) -> PluginGroup:
    """The group of that short name.

    Raises:
        PluginError: There is no such group; the message names them all.
    """
    if name not in GROUPS:
        raise PluginError(f"There is no plugin group {name!r}. The groups are {', '.join(GROUPS)}.")
    return GROUPS[name]


def group_name(word: str) -> str:
    """The short name of the group that a word means, such as `pre_fusions` of `pre-fusion`; any other word as it is.

    >>> group_name("branch-compression"), group_name("streams"), group_name("mouse")
    ('branch_compressions', 'streams', 'mouse')
    """
    plain = word.replace("-", "_").removesuffix("s") + "s"
    return plain if plain in GROUPS else word


def list_plugins(group: str | None = None) -> list[PluginListing]:
    """Every installed plugin, of one group or of all, sorted by group and name. Imports none of them."""
    chosen = list(GROUPS) if group is None else [find_group(group).name]
    return [listing for name in chosen for listing in list_entries(name)]


def list_entries(group: str) -> list[PluginListing]:
    """Every entry point of a group of ours, a group of parts or of anything else, sorted by name. Imports nothing.

    Args:
        group: Short name, without `affect_lightning.`.
    """
    return [listing for listing in _read(_places()) if listing.group == group]


def _places() -> tuple[tuple[str, int], ...]:
    """Where distributions are looked for, with the time of the last change there, such as an installation."""
    return tuple((folder, _changed(folder or ".")) for folder in sys.path)


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1)
def _read(places: tuple[tuple[str, int], ...]) -> tuple[PluginListing, ...]:
    """All entry points of our groups. Reading every distribution takes tens of milliseconds: once for a state of `places`."""
    found = entry_points()
    owners: dict[int, tuple[str, str]] = {}  # by the distribution's object: reading its metadata takes long
    listings = set()
    for group in found.groups:
        if group.startswith(ENTRY_POINT_PREFIX):
            for point in found.select(group=group):
                if id(point.dist) not in owners:
                    owners[id(point.dist)] = _owner(point)
                listings.add(_listing(group.removeprefix(ENTRY_POINT_PREFIX), point, owners[id(point.dist)]))
    return tuple(sorted(listings, key=lambda listing: (listing.group, listing.name, listing.distribution)))


def _listing(group: str, point: EntryPoint, owner: tuple[str, str]) -> PluginListing:
    distribution, version = owner
    return PluginListing(
        group=group,
        name=point.name,
        distribution=distribution,
        version=version,
        target=point.value.partition("[")[0].strip(),  # without extras, which pip deals with
    )


def _owner(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that offers the entry point, also where its metadata is damaged."""
    nobody = "a distribution without metadata", ""
    if point.dist is None:
        return nobody
    try:
        metadata = point.dist.metadata
    except (PackageNotFoundError, TypeError):  # no METADATA file; what happens then depends on Python's version
        return nobody
    return (metadata["Name"], metadata["Version"]) if "Name" in metadata and "Version" in metadata else nobody


def find_plugin(group: str, name: str) -> PluginListing:
    """The one plugin of that group and name.

    Raises:
        PluginError: The name is unknown (the message lists the known ones and the nearest), or two distributions
            offer it (the message names both).
    """
    known = list_plugins(group)
    matches = [listing for listing in known if listing.name == name]
    part = find_group(group).part
    if not matches:
        raise PluginError(_unknown_name(part, name, [listing.name for listing in known]))
    if len(matches) > 1:
        owners = " and ".join(f"{listing.distribution} {listing.version} ({listing.target})" for listing in matches)
        raise PluginError(
            f"The {part} {name!r} is offered by {owners}. A name in {find_group(group).entry_point_group} must belong to "
            f"one {part} only (contract affect_lightning.contracts.{find_group(group).contract}). Uninstall one of the "
            f"distributions, or rename the entry point in one of them."
        )
    return matches[0]


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'qformer'?` for a name near to a known one, with the space before it; else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def _unknown_name(part: str, name: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    hint = nearest_hint(name, names)
    listed = ", ".join(names) if names else "none"
    return (
        f"There is no {part} plugin {name!r}.{hint} Installed: {listed}. "
        f"`affect-lightning plugins` shows them all; a plugin of your own needs an entry point in an installed package."
    )
