"""Plugin loading: names of installed plugins to checked parts.

Imports contracts, and those only when a part is built.
"""

from affect_lightning.plugin_loading.building import (
    PluginChoice,
    PluginOption,
    build_part,
    load_plugin_class,
    plugin_options,
    resolve_choice,
    split_choice,
)
from affect_lightning.plugin_loading.entries import load_entry
from affect_lightning.plugin_loading.groups import GROUPS, PluginGroup
from affect_lightning.plugin_loading.listing import PluginListing, find_plugin, list_plugins
from affect_lightning.plugin_loading.origin import PartOrigin, held_to_contract, origin_of
from affect_lightning.plugin_loading.streams import (
    EncoderChoices,
    check_fused_streams,
    check_inputs,
    encoded_streams,
    find_stream,
    needed_streams,
    stream_names,
)

__all__ = [
    "GROUPS",
    "EncoderChoices",
    "PartOrigin",
    "PluginChoice",
    "PluginGroup",
    "PluginListing",
    "PluginOption",
    "build_part",
    "check_fused_streams",
    "check_inputs",
    "encoded_streams",
    "find_plugin",
    "find_stream",
    "held_to_contract",
    "list_plugins",
    "load_entry",
    "load_plugin_class",
    "needed_streams",
    "origin_of",
    "plugin_options",
    "resolve_choice",
    "split_choice",
    "stream_names",
]
