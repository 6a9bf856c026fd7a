"""Entries: plain objects that packages offer by entry point, such as a column of a report.

A part has a contract, options and a place in the network (`groups.py`); an entry is one object that is used as it is.
`listing.py` finds entries; one is imported when it is asked for by name.
"""

from __future__ import annotations

import importlib
from operator import attrgetter
from typing import TypeVar

from affect_lightning.errors import PluginError
from affect_lightning.plugin_loading.groups import ENTRY_POINT_PREFIX
from affect_lightning.plugin_loading.listing import list_entries, nearest_hint

Entry = TypeVar("Entry")


def load_entry(group: str, name: str, kind: type[Entry]) -> tuple[Entry, str]:
    """The one entry of that name.

    Args:
        group: Short name of the entry-point group, such as `report_columns`.
        name: Of the entry point.
        kind: Type of the object.

    Returns:
        The object, and what to call it in messages.

    Raises:
        PluginError: The name is unknown or offered twice, the import fails, or the object is of another type.
    """
    known = list_entries(group)
    found = [f"{entry.distribution} ({entry.target})" for entry in known if entry.name == name]
    what = group.removesuffix("s").replace("_", " ")
    if len(found) != 1:
        installed = sorted({entry.name for entry in known})
        raise PluginError(
            f"The {what} {name!r} is offered by {' and '.join(found)}. Uninstall one of them, or rename one entry point."
            if found
            else f"There is no {what} {name!r}.{nearest_hint(name, installed)} Installed: "
            f"{', '.join(installed) or 'none'}. A {what} of your own needs an entry point in {ENTRY_POINT_PREFIX}{group}."
        )
    title = f"The {what} {name!r} of {found[0]}"
    module, _, attribute = next(entry.target for entry in known if entry.name == name).partition(":")
    try:
        loaded = attrgetter(attribute)(importlib.import_module(module))
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{title} cannot be imported: {type(error).__name__}: {error}. Fix or reinstall that package, or leave the "
            f"{what} out."
        ) from error
    if not isinstance(loaded, kind):
        raise PluginError(f"{title} must be a {kind.__module__}.{kind.__name__}, found {loaded!r}.")
    return loaded, title
