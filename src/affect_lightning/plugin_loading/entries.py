"""Entries: plain objects that packages offer by entry point, such as a column of a report.

A part has a contract, options and a place in the network (`groups.py`); an entry is one object that is used as it is.
Standard library only. An entry is imported when it is asked for by name.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from affect_lightning.errors import PluginError
from affect_lightning.plugin_loading.groups import ENTRY_POINT_PREFIX
from affect_lightning.plugin_loading.listing import nearest_hint

Entry = TypeVar("Entry")


def load_entry(group: str, name: str, kind: type[Entry]) -> tuple[Entry, str]:
    """The one entry of that name.

    Args:
        group: Short name of the entry-point group, such as `report_columns`.
        name: Of the entry point.
        kind: Type of the object.

    Returns:
        The object, and who offers it, for messages.

    Raises:
        PluginError: The name is unknown or offered twice, the import fails, or the object is of another type.
    """
    points = entry_points(group=ENTRY_POINT_PREFIX + group)
    found = {point.value: point for point in points if point.name == name}
    what = group.removesuffix("s").replace("_", " ")
    if not found:
        installed = sorted({point.name for point in points})
        raise PluginError(
            f"There is no {what} {name!r}.{nearest_hint(name, installed)} Installed: {', '.join(installed) or 'none'}. "
            f"A {what} of your own needs an entry point in {ENTRY_POINT_PREFIX}{group}."
        )
    if len(found) > 1:
        raise PluginError(
            f"The {what} {name!r} is offered by {' and '.join(map(_owner, found.values()))}. Uninstall one of them, or "
            f"rename one entry point."
        )
    (point,) = found.values()
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"The {what} {name!r} of {_owner(point)} cannot be imported: {type(error).__name__}: {error}. Fix or "
            f"reinstall that package, or leave the {what} out."
        ) from error
    if not isinstance(loaded, kind):
        raise PluginError(
            f"The {what} {name!r} of {_owner(point)} must be a {kind.__module__}.{kind.__name__}, found {loaded!r}."
        )
    return loaded, _owner(point)


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name if point.dist else 'an unknown package'} ({point.value})"
