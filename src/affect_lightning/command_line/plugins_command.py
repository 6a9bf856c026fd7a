"""`affect-lightning plugins`: which plugins are installed, and what options one takes.

Listing imports no plugin and neither torch nor Lightning; explaining one imports that one. `plugins new` and
`plugins check` go to modules of their own.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from affect_lightning.command_line.tables import format_table
from affect_lightning.errors import PluginError
from affect_lightning.plugin_loading import GROUPS, PluginListing, list_plugins, plugin_options
from affect_lightning.plugin_loading.listing import nearest_hint

_SUBCOMMANDS = {"new": "plugin_new_command", "check": "plugin_check_command"}


def run(arguments: Sequence[str]) -> int:
    """List the plugins, or explain the named one."""
    if arguments and arguments[0] in _SUBCOMMANDS:
        module = importlib.import_module(f"affect_lightning.command_line.{_SUBCOMMANDS[arguments[0]]}")
        return int(module.run(arguments[1:]))
    parser = argparse.ArgumentParser(
        prog="affect-lightning plugins",
        description=run.__doc__,
        epilog="`plugins new KIND NAME` writes a package for a part of your own, `plugins check NAME` runs the contract "
        "suite on a plugin; each has a --help.",
    )
    parser.add_argument("name", nargs="?", help="plugin to explain; without a name, all are listed")
    parser.add_argument("--group", choices=list(GROUPS), help="show only this group")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    options = parser.parse_args(arguments)
    listings = list_plugins(options.group)
    if options.name is None:
        print(_listing_json(listings) if options.json else _listing_table(listings))
        return 0
    chosen = [listing for listing in listings if listing.name == options.name]
    if not chosen:
        raise PluginError(_unknown(options.name, listings))
    if options.json:
        print(json.dumps({"plugins": [_described(listing) for listing in chosen]}, ensure_ascii=False))
    else:
        print("\n\n".join(describe_plugin(listing) for listing in chosen))
    return 0


def _listing_json(listings: Sequence[PluginListing]) -> str:
    rows = [{**asdict(listing), "summary": listing.summary()} for listing in listings]
    return json.dumps({"plugins": rows}, ensure_ascii=False)


def _listing_table(listings: Sequence[PluginListing]) -> str:
    rows = [
        (listing.group, listing.name, listing.distribution, listing.version, listing.summary()) for listing in listings
    ]
    return format_table(("group", "name", "distribution", "version", "summary"), rows)


def _described(listing: PluginListing) -> dict[str, object]:
    options = [asdict(option) for option in plugin_options(listing.group, listing.name)]
    return {**asdict(listing), "summary": listing.summary(), "options": options}


def describe_plugin(listing: PluginListing) -> str:
    """Explain one plugin: where it comes from and what its options mean.

    Returns:
        Text of several lines.

    Raises:
        PluginError: The plugin cannot be imported.
    """
    head = (
        f"{listing.name} ({GROUPS[listing.group].part}, {listing.distribution} {listing.version}, {listing.target})\n"
        f"{listing.summary()}"
    )
    options = plugin_options(listing.group, listing.name)
    if not options:
        return f"{head}\n\nIt has no options."
    rows = [(option.name, option.type, option.default, option.help) for option in options]
    return f"{head}\n\n{format_table(('option', 'type', 'default', 'meaning'), rows)}"


def _unknown(name: str, listings: Sequence[PluginListing]) -> str:
    names = sorted({listing.name for listing in listings})
    return f"There is no plugin {name!r}.{nearest_hint(name, names)} Installed: {', '.join(names)}."
