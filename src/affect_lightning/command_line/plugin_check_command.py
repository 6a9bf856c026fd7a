"""`affect-lightning plugins check`: the contract suite on one installed plugin, as a table.

Neighbours: `plugins_command.py` dispatches, `affect_lightning.testing` checks.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml
from tqdm.auto import tqdm

from affect_lightning.command_line.tables import format_table
from affect_lightning.errors import ConfigurationError, PluginError
from affect_lightning.plugin_loading import (
    GROUPS,
    PluginListing,
    find_plugin,
    list_plugins,
    load_plugin_class,
    resolve_choice,
)
from affect_lightning.plugin_loading.listing import nearest_hint

if TYPE_CHECKING:
    from affect_lightning.testing import CheckResult, Subject

_CELL = 48  # characters; two such cells and the others fit a terminal of 132


def run(arguments: Sequence[str]) -> int:
    """Check that a plugin holds its contract; exit code 1 when it does not."""
    options = _parser().parse_args(arguments)
    listing = _chosen(options.name, options.group)
    choice = {"name": listing.name, **_options(options.options)}
    _refuse_wrong_options(listing, choice)

    from affect_lightning.testing import Subject, check_plugin, checks_of

    subject = Subject(listing.group, choice, compile_backend=options.backend)
    _refuse_what_cannot_be_built(subject)
    total = len(checks_of(listing.group))
    results = list(
        tqdm(check_plugin(subject), total=total, desc=f"checks of {listing.name}", unit="check", leave=False)
    )
    print(_as_json(listing, choice, results) if options.json else _as_table(listing, results))
    return int(any(result.outcome == "failed" for result in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="affect-lightning plugins check", description=run.__doc__)
    parser.add_argument("name", help="installed plugin")
    parser.add_argument(
        "--group", choices=list(GROUPS), help="group of the plugin, if several groups have one of this name"
    )
    parser.add_argument(
        "--options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="options of the plugin, such as num_queries=4, or one YAML mapping; small sizes make the checks fast",
    )
    parser.add_argument(
        "--backend",
        choices=["eager", "aot_eager", "inductor"],
        default="aot_eager",
        help="backend of torch.compile; inductor needs a C++ compiler (default: aot_eager)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    return parser


def _chosen(name: str, group: str | None) -> PluginListing:
    """The listing that is meant; a name offered twice within a group is left to the suite to fail."""
    listings = [listing for listing in list_plugins(group) if listing.name == name]
    if not listings:
        names = sorted({listing.name for listing in list_plugins(group)})
        raise PluginError(f"There is no plugin {name!r}.{nearest_hint(name, names)} Installed: {', '.join(names)}.")
    groups = sorted({listing.group for listing in listings})
    if len(groups) > 1:
        raise PluginError(
            f"{name!r} is the name of parts of several kinds: {', '.join(groups)}. Choose one with --group."
        )
    return listings[0]


def _options(words: Sequence[str]) -> dict[str, Any]:
    """Options from `KEY=VALUE` words, or from one YAML mapping."""
    options: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        try:
            parsed = yaml.safe_load(word if not equals or word.lstrip().startswith("{") else value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--options {word!r} is not valid YAML: {' '.join(str(error).split())}") from error
        if equals and not word.lstrip().startswith("{"):
            options[key] = parsed
        elif isinstance(parsed, Mapping):
            options.update(parsed)
        else:
            raise ConfigurationError(
                f"--options takes KEY=VALUE words or one mapping such as '{{num_queries: 4}}'; got {word!r}."
            )
    return options


def _refuse_wrong_options(listing: PluginListing, choice: Mapping[str, Any]) -> None:
    """A wrong option is the caller's mistake; a class that cannot be loaded is the plugin's and left to the suite."""
    try:
        find_plugin(listing.group, listing.name)
        load_plugin_class(listing.group, listing.name)
    except PluginError:
        return
    resolve_choice(listing.group, choice)


def _refuse_what_cannot_be_built(subject: Subject) -> None:
    """An option's value that the part refuses is the caller's mistake too; whatever else happens the suite reports."""
    try:
        subject.build()
    except ConfigurationError:
        raise
    except Exception:  # the first check builds again and tells
        return


def _as_json(listing: PluginListing, choice: Mapping[str, Any], results: Iterable[CheckResult]) -> str:
    rows = [
        {
            "check": result.check,
            "result": result.outcome,
            "expected": result.expected,
            "received": result.received,
            "seconds": round(result.seconds, 3),
        }
        for result in results
    ]
    counts = {name: sum(row["result"] == name for row in rows) for name in ("passed", "failed", "skipped")}
    about = {
        "plugin": listing.name,
        "group": listing.group,
        "distribution": listing.distribution,
        "version": listing.version,
        "options": {key: value for key, value in choice.items() if key != "name"},
    }
    return json.dumps({**about, **counts, "checks": rows}, ensure_ascii=False)


def _as_table(listing: PluginListing, results: Sequence[CheckResult]) -> str:
    rows: list[tuple[str, ...]] = []
    for result in results:
        expected = textwrap.wrap(result.expected, _CELL) or [""]
        received = textwrap.wrap(result.received or "as expected", _CELL)
        for index in range(max(len(expected), len(received))):
            cells = [lines[index] if index < len(lines) else "" for lines in (expected, received)]
            head = (result.check, result.outcome) if index == 0 else ("", "")
            rows.append((*head, *cells))
    counts = {name: sum(result.outcome == name for result in results) for name in ("passed", "failed", "skipped")}
    title = f"{GROUPS[listing.group].part} {listing.name} of {listing.distribution} {listing.version}"
    return (
        f"{title}\n\n{format_table(('check', 'result', 'expected', 'received'), rows)}\n\n"
        f"{', '.join(f'{count} {name}' for name, count in counts.items())}"
    )
