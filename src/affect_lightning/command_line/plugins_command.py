"""`affect-lightning plugins`: which plugins are installed, what options one takes, a new one, and the contract suite on one.

Listing and explaining import neither a plugin nor torch, but for one whose source is not plain enough to read.
`plugins new` calls `affect_lightning.plugin_templates`, `plugins check` runs `affect_lightning.testing` and prints a table.
"""

from __future__ import annotations

import argparse
import difflib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError, PluginError
from affect_lightning.plugin_loading import (
    GROUPS,
    PluginListing,
    explained_options,
    find_plugin,
    list_plugins,
    load_plugin_class,
    resolve_choice,
)
from affect_lightning.plugin_loading.listing import group_name, nearest_hint
from affect_lightning.plugin_templates import KINDS, find_kind, write_plugin_package

if TYPE_CHECKING:
    from affect_lightning.testing import CheckResult, Subject

_NEAR_WORD = 0.7  # from this similarity on, a name is taken for a slip of `new` or `check`; our choice
_CELL = 48  # characters; two such cells of a check and the others fit a terminal of 132


def run(arguments: Sequence[str]) -> int:
    """List the plugins, or explain the named one."""
    subcommand = {"new": _run_new, "check": _run_check}.get(arguments[0]) if arguments else None
    if subcommand is not None:
        return subcommand(arguments[1:])
    parser = CommandParser(
        prog="affect-lightning plugins",
        description=run.__doc__,
        epilog="`plugins new KIND NAME` writes a package for a part of your own, `plugins check NAME` runs the contract "
        "suite on a plugin; each has a --help.",
    )
    parser.add_argument("name", nargs="?", help="plugin to explain; without a name, all are listed")
    parser.add_argument("--group", type=group_name, choices=list(GROUPS), help="show only this group")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    options = parser.parse_args(arguments)
    listings = list_plugins(options.group)
    if options.name is None:
        print_json(_listing_plain(listings)) if options.json else print(_listing_table(listings))
        return 0
    chosen = [listing for listing in listings if listing.name == options.name]
    if not chosen:
        raise PluginError(_unknown(options.name, listings))
    if options.json:
        print_json({"plugins": [_described(listing) for listing in chosen]})
    else:
        print("\n\n".join(describe_plugin(listing) for listing in chosen))
    return 0


def _listing_plain(listings: Sequence[PluginListing]) -> dict[str, Any]:
    rows = [{**asdict(listing), "summary": listing.summary()} for listing in listings]
    return {"plugins": rows}


def _listing_table(listings: Sequence[PluginListing]) -> str:
    rows = [
        (listing.group, listing.name, listing.distribution, listing.version, listing.summary()) for listing in listings
    ]
    return format_table(("group", "name", "distribution", "version", "summary"), rows)


def _described(listing: PluginListing) -> dict[str, object]:
    options = [asdict(option) for option in explained_options(listing.group, listing.name)]
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
    options = explained_options(listing.group, listing.name)
    if not options:
        return f"{head}\n\nIt has no options."
    rows = [(option.name, option.type, option.default, option.help) for option in options]
    return f"{head}\n\n{format_table(('option', 'type', 'default', 'meaning'), rows)}"


def _unknown(name: str, listings: Sequence[PluginListing]) -> str:
    names = sorted({listing.name for listing in listings})
    word = difflib.get_close_matches(name, ("new", "check"), n=1, cutoff=_NEAR_WORD)
    if word:
        return f"There is no plugin {name!r}. Did you mean `affect-lightning plugins {word[0]}`?"
    return f"There is no plugin {name!r}.{nearest_hint(name, names)} Installed: {', '.join(names)}."


def _run_new(arguments: Sequence[str]) -> int:
    """Write a package with one part, its tests and its entry point; an existing folder is never touched."""
    parser = CommandParser(prog="affect-lightning plugins new", description=_run_new.__doc__)
    parser.add_argument("kind", type=find_kind, choices=list(KINDS), help="kind of the part, or its plugin group")
    parser.add_argument("name", help="name of the package and of the plugin, such as my-fusion")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(),
        help="folder in which to make the package's folder (default: the current folder)",
    )
    options = parser.parse_args(arguments)
    folder = write_plugin_package(options.kind, options.name, options.out)
    module = options.name.replace("-", "_")
    print(
        f"Wrote {folder}: pyproject.toml, src/{module}.py, tests/test_contract.py, README.md.\n"
        f"Next: change src/{module}.py into your part, then\n"
        f"  cd {folder}\n"
        f"  python -m pip install --no-deps --no-build-isolation --editable .\n"
        f"  affect-lightning plugins check {options.name}{KINDS[options.kind].check_options}"
    )
    return 0


def _run_check(arguments: Sequence[str]) -> int:
    """Check that a plugin holds its contract; exit code 1 when it does not."""
    options = _check_parser().parse_args(arguments)
    listing = _chosen(options.name, options.group)
    choice = {"name": listing.name, **_options(options.options)}
    _refuse_wrong_options(listing, choice)

    from tqdm.auto import tqdm

    from affect_lightning.testing import Subject, check_plugin, checks_of

    subject = Subject(listing.group, choice, compile_backend=options.backend)
    _refuse_what_cannot_be_built(subject)
    total = len(checks_of(listing.group))
    results = list(
        tqdm(check_plugin(subject), total=total, desc=f"checks of {listing.name}", unit="check", leave=False)
    )
    print_json(_plain(listing, choice, results)) if options.json else print(_as_table(listing, results))
    return int(any(result.outcome == "failed" for result in results))


def _check_parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="affect-lightning plugins check", description=_run_check.__doc__)
    parser.add_argument("name", help="installed plugin")
    parser.add_argument(
        "--group",
        type=group_name,
        choices=list(GROUPS),
        help="group of the plugin, if several groups have one of this name",
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
        raise PluginError(_unknown(name, list_plugins(group)))
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


def _plain(listing: PluginListing, choice: Mapping[str, Any], results: Iterable[CheckResult]) -> dict[str, Any]:
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
    return {**about, **counts, "checks": rows}


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
