"""Checks of a plugin's form, options and help, the same for every kind of part. Neighbours: `suite.py`, `subject.py`."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

from affect_lightning.contracts.conformance import ConformanceError
from affect_lightning.errors import PluginError
from affect_lightning.plugin_loading import find_plugin, load_plugin_class, plugin_options, resolve_choice
from affect_lightning.testing.comparing import require, require_equal_state, require_same
from affect_lightning.testing.subject import Subject

_NO_TYPE = ("anything", "Any")


def contract_form(subject: Subject) -> str:
    """The name is offered once; the class can be imported, inherits from the contract and has all that it names."""
    try:
        found = load_plugin_class(subject.group, subject.name)
        subject.build()
    except PluginError as error:
        raise ConformanceError("a part that can be loaded and built", str(error)) from error
    listing = find_plugin(subject.group, subject.name)
    return f"{found.__name__} of {listing.distribution} {listing.version}".rstrip()


def options_round_trip(subject: Subject) -> str:
    """Name and plain options, as checkpoints store them, rebuild the same part."""
    resolved = resolve_choice(subject.group, subject.choice)
    try:
        stored = json.loads(json.dumps(resolved))
    except (TypeError, ValueError) as error:
        raise ConformanceError(
            "options that are plain values (null, numbers, texts, lists, mappings)", str(error)
        ) from error
    require(stored == resolved, f"plain options that come back from a file: {resolved}", f"{stored}")
    again = resolve_choice(subject.group, stored)
    require(again == resolved, f"the same options when checked again: {resolved}", f"{again}")
    first, second = subject.build(), subject.build(choice=stored)
    if isinstance(first, nn.Module):
        require_equal_state(first.state_dict(), second.state_dict(), "the weights of a part rebuilt from its options")
        with torch.no_grad():
            inputs = subject.inputs()
            require_same(inputs.outputs(first.eval()), inputs.outputs(second.eval()), "the results of a rebuilt part")
    elif hasattr(first, "identity"):
        _require_same_identity(first, second)
    return f"{len(resolved) - 1} options"


def _require_same_identity(first: Any, second: Any) -> None:
    require(first.identity() == second.identity(), f"the same identity {first.identity()!r}", f"{second.identity()!r}")


def help_text(subject: Subject) -> str:
    """The class has one line of help, and every option a type, a default (or `required`) and a text."""
    listing = find_plugin(subject.group, subject.name)
    require(
        listing.summary(), "a docstring of the class, whose first line is shown by `affect-lightning plugins`", "none"
    )
    options = plugin_options(subject.group, subject.name)
    for option in options:
        require(option.type not in _NO_TYPE, f"a type for the option {option.name}", "none")
        require(option.default, f"a default for the option {option.name}, or `required`", "none")
        require(option.help, f"a line about the option {option.name} under `Args:` in the docstring", "none")
    return f"{len(options)} options"
