"""From a plugin's name and plain options to a checked part, and from a part back to its distribution.

A choice is a name (`"qformer"`) or a mapping with the name and options (`{"name": "qformer", "num_queries": 16}`), the
same in YAML, on the command line and in Python. `resolve_choice` checks it and fills in the defaults before anything
heavy happens; `build_part` makes the part and notes its origin on it. The model and the data side wrap their calls of a
part in `held_to_contract`, so that an error names the distribution. A part has a contract, options and a place in the
network. An entry (`load_entry`), such as a column of a report, is one object that is used as it is. Only what is chosen
is imported. `listing.py` finds names without importing.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from affect_lightning.errors import ContractError, PluginError
from affect_lightning.plugin_loading.listing import (
    ENTRY_POINT_PREFIX,
    GROUPS,
    PluginGroup,
    PluginListing,
    find_group,
    find_plugin,
    list_entries,
    nearest_hint,
)
from affect_lightning.plugin_loading.source_options import PluginOption, read_options, type_text

_NOTED = "_affect_lightning_origin"
CONTRACTS_MODULE = "affect_lightning.contracts"


@dataclass
class PartOrigin:
    """Where a part comes from.

    Attributes:
        title: Kind, name and distribution, as the start of a sentence.
        contract: Full name of the contract's class.
        seen_finite: Whether a first batch of the part was found to be finite, so that it is looked at only once.
    """

    title: str
    contract: str
    seen_finite: bool = False


def contract_name(group: PluginGroup) -> str:
    """Full name of a group's contract."""
    return f"{CONTRACTS_MODULE}.{group.contract}"


def listing_title(listing: PluginListing) -> str:
    """`The pre-fusion 'qformer' of affect-lightning 0.1.0`."""
    return f"The {GROUPS[listing.group].part} {listing.name!r} of {listing.distribution} {listing.version}".rstrip()


def note_origin(part: Any, listing: PluginListing) -> None:
    """Note on a part where it comes from."""
    part.__dict__[_NOTED] = PartOrigin(listing_title(listing), contract_name(GROUPS[listing.group]))


def origin_of(part: Any) -> PartOrigin:
    """Where a part comes from; of one that was built by hand, its class."""
    noted = getattr(part, _NOTED, None)
    if noted is None:
        bases = {base.__name__ for base in type(part).__mro__}
        group = next((group for group in GROUPS.values() if group.contract in bases), None)
        kind = group.part if group else "part"
        contract = contract_name(group) if group else CONTRACTS_MODULE
        noted = PartOrigin(f"The {kind} {type(part).__name__} of the module {type(part).__module__}", contract)
        part.__dict__[_NOTED] = noted
    return noted


@contextlib.contextmanager
def held_to_contract(part: Any) -> Iterator[PartOrigin]:
    """Name the part, its distribution and its contract in any ContractError that is raised inside.

    Args:
        part: The part that is called inside.

    Raises:
        ContractError: With the part's origin in front.
    """
    origin = origin_of(part)
    try:
        yield origin
    except ContractError as error:
        raise ContractError(f"{origin.title} (contract {origin.contract}): {error}") from error
    except SystemExit as stop:
        raise ContractError(
            f"{origin.title} (contract {origin.contract}): it ended the program with exit code {stop.code!r}; a part "
            f"must return or raise. Fix it, or choose another."
        ) from stop


PluginChoice = str | Mapping[str, Any]


def split_choice(choice: PluginChoice) -> tuple[str, dict[str, Any]]:
    """Split a choice into name and options.

    Raises:
        PluginError: It is neither a name nor a mapping with a `name`.
    """
    if isinstance(choice, str):
        return choice, {}
    if isinstance(choice, Mapping) and isinstance(choice.get("name"), str):
        return choice["name"], {key: value for key, value in choice.items() if key != "name"}
    raise PluginError(
        f"Choose a plugin by its name, or by a mapping with `name` and options such as "
        f"{{name: qformer, num_queries: 16}}; got {choice!r}."
    )


def load_plugin_class(group: str, name: str) -> type:
    """Import the plugin's class and check that it fulfils its contract's form.

    Raises:
        PluginError: Unknown or ambiguous name, failing import (with the plugin's own error), not a class, not a
            subclass of the contract, abstract methods left open, or a constructor that the core cannot call.
    """
    listing, contract_group = find_plugin(group, name), find_group(group)
    module_name, _, attribute = listing.target.partition(":")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = attrgetter(attribute)(importlib.import_module(module_name))
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{listing_title(listing)} cannot be imported from {listing.target}: {type(error).__name__}: {error}. "
            f"Fix or reinstall {listing.distribution}, or choose another {contract_group.part} (contract "
            f"{contract_name(contract_group)})."
        ) from error
    contract = contract_group.contract_class()
    if not inspect.isclass(found) or not issubclass(found, contract):
        raise PluginError(
            f"{listing_title(listing)} breaks its contract: expected a subclass of {contract_name(contract_group)}, "
            f"found {found!r}."
        )
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise PluginError(
            f"{listing_title(listing)} breaks its contract: {contract_name(contract_group)} also needs "
            f"{', '.join(missing)}, which {found.__name__} lacks."
        )
    _check_methods(listing, contract, found)
    _check_constructor(listing, contract_group, found)
    return found


def _check_methods(listing: PluginListing, contract: type, found: type) -> None:
    """Refuse a method that cannot be called as the contract calls it."""
    for name in sorted(getattr(contract, "__abstractmethods__", ())):
        promised = inspect.signature(getattr(contract, name))
        positional = [item for item in promised.parameters.values() if item.kind is item.POSITIONAL_OR_KEYWORD]
        named = {item.name: None for item in promised.parameters.values() if item.kind is item.KEYWORD_ONLY}
        method = getattr(found, name)
        if isinstance(inspect.getattr_static(found, name), staticmethod | classmethod):
            positional = positional[1:]
        try:
            inspect.signature(method).bind(*positional, **named)
        except (TypeError, ValueError) as error:
            has = f"{name}{inspect.signature(method)}" if callable(method) else f"{name} = {method!r}"
            raise PluginError(
                f"{listing_title(listing)} breaks its contract: {CONTRACTS_MODULE}.{contract.__name__} calls "
                f"{name}{promised}, which {found.__name__} with {has} cannot take ({error})."
            ) from error


def _check_constructor(listing: PluginListing, group: PluginGroup, plugin_class: type) -> None:
    """Refuse a constructor that cannot take what the core supplies, or whose option hides the plugin's name."""
    parameters = inspect.signature(plugin_class).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    lacking = [name for name in group.supplied if name not in parameters and not takes_all]
    if lacking:
        raise PluginError(
            f"{listing_title(listing)} breaks its contract: the constructor of every {group.part} must "
            f"take {', '.join(lacking)}, but that of {plugin_class.__name__} does not."
        )
    if "name" in parameters:
        raise PluginError(
            f"{listing_title(listing)} has an option called `name`, but this key chooses the plugin. Rename the "
            f"parameter of {plugin_class.__name__}."
        )


def plugin_options(group: str, name: str) -> list[PluginOption]:
    """The plugin's options with type, default and help; imports the plugin."""
    from jsonargparse._parameter_resolvers import get_signature_parameters

    supplied = find_group(group).supplied
    parameters = get_signature_parameters(load_plugin_class(group, name), None)
    return [
        PluginOption(
            name=parameter.name,
            type=type_text(parameter.annotation),
            default="required" if parameter.default is inspect.Parameter.empty else repr(parameter.default),
            help=" ".join((parameter.doc or "").split()),
        )
        for parameter in parameters
        if parameter.name not in supplied
    ]


def explained_options(group: str, name: str) -> list[PluginOption]:
    """The same, from the source where it is plain enough, so that neither the plugin nor torch is loaded."""
    listing = find_plugin(group, name)
    found = read_options(listing.target, find_group(group).supplied)
    return plugin_options(group, name) if found is None else found


def resolve_choice(group: str, choice: PluginChoice) -> dict[str, Any]:
    """Check a choice and fill in the defaults; nothing is built.

    Args:
        group: Short name, such as `pre_fusions`.
        choice: Name, or mapping with name and options.

    Returns:
        `{"name": ..., option: value, ...}` with every option of the plugin: plain values that can be stored.

    Raises:
        PluginError: See `load_plugin_class`; also an unknown option or a value of the wrong type.
    """
    from jsonargparse import ArgumentError, ArgumentParser, Namespace

    name, options = split_choice(choice)
    plugin_class, contract_group = load_plugin_class(group, name), find_group(group)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(plugin_class, skip=set(contract_group.supplied), fail_untyped=False)
    known = {option.name: option for option in plugin_options(group, name)}
    _refuse_unknown_options(contract_group, name, options, list(known))
    try:
        _refuse_empty_options(plugin_class, options)
        missing = [
            option.name for option in known.values() if option.default == "required" and option.name not in options
        ]
        if missing:
            raise ValueError(f"these options are required: {', '.join(missing)}")
        resolved = parser.parse_object(Namespace(**options))
    except (ArgumentError, TypeError, ValueError, KeyError) as error:
        raise PluginError(_wrong_value(contract_group, name, options, known, error)) from error
    values = resolved.as_dict()
    return {"name": name, **{key: values[key] for key in known}}


def _refuse_unknown_options(group: PluginGroup, name: str, options: Mapping[str, Any], known: list[str]) -> None:
    for option in options:
        if option not in known:
            from difflib import get_close_matches

            near = get_close_matches(str(option), known, n=1)
            raise PluginError(
                f"The {group.part} {name!r} has no option {option!r}."
                f"{f' Did you mean {near[0]!r}?' if near else ''} "
                f"Its options: {', '.join(known) if known else 'none'}. `affect-lightning plugins {name}` explains "
                f"them."
            )


def _refuse_empty_options(plugin_class: type, options: Mapping[str, Any]) -> None:
    """Refuse None for an option whose type has no None; jsonargparse takes it as "not given"."""
    from jsonargparse._parameter_resolvers import get_signature_parameters

    for parameter in get_signature_parameters(plugin_class, None):
        given_none = parameter.name in options and options[parameter.name] is None
        if given_none and parameter.default is not None and not _takes_none(parameter.annotation):
            raise ValueError(f"'{parameter.name}' is None")


def _takes_none(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return type(None) in get_args(annotation)
    return annotation in (Any, None, type(None), object, inspect.Parameter.empty)


def _wrong_value(
    group: PluginGroup, name: str, options: Mapping[str, Any], known: Mapping[str, PluginOption], error: Exception
) -> str:
    named = [option for option in options if f'"{option}"' in str(error) or f"'{option}'" in str(error)]
    about = known[named[0]] if named else None
    detail = (
        f"option {about.name!r} expects {about.type}, got {options[about.name]!r}"
        if about
        else " ".join(str(error).split())
    )
    remedy = f"`affect-lightning plugins {name}` explains its options."
    return f"The {group.part} {name!r} cannot be built: {detail}. {remedy}"


def build_part(group: str, choice: PluginChoice, **supplied: Any) -> Any:
    """Build the chosen part.

    Args:
        group: Short name, such as `pre_fusions`.
        choice: Name, or mapping with name and options; checked by `resolve_choice` first.
        supplied: What the core gives to every member of the group, such as `stream_widths`.

    Returns:
        An instance of the group's contract.

    Raises:
        PluginError: The choice does not fit, or the part lacks an attribute that its contract names, or ends the program.
    """
    resolved = resolve_choice(group, choice)
    name = resolved.pop("name")
    plugin_class, listing = load_plugin_class(group, name), find_plugin(group, name)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            part = plugin_class(**supplied, **resolved)
    except SystemExit as stop:
        raise PluginError(
            f"{listing_title(listing)} ended the program with exit code {stop.code!r} while it was built. Fix or reinstall "
            f"{listing.distribution}, or choose another {find_group(group).part}."
        ) from stop
    contract = find_group(group).contract_class()
    lacking = [attribute for attribute in inspect.get_annotations(contract) if not hasattr(part, attribute)]
    if lacking:
        raise PluginError(
            f"{listing_title(listing)} breaks its contract: {contract_name(find_group(group))} also needs the "
            f"attributes {', '.join(lacking)}, which {type(part).__name__} does not set in its constructor."
        )
    note_origin(part, listing)
    return part


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
        with contextlib.redirect_stdout(sys.stderr):
            loaded = attrgetter(attribute)(importlib.import_module(module))
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{title} cannot be imported: {type(error).__name__}: {error}. Fix or reinstall that package, or leave the "
            f"{what} out."
        ) from error
    if not isinstance(loaded, kind):
        raise PluginError(f"{title} must be a {kind.__module__}.{kind.__name__}, found {loaded!r}.")
    return loaded, title
