"""Plugin loading: from the names of installed plugins to checked parts.

Imports contracts, and those only when a part is built.
"""

from affect_lightning.plugin_loading.building import (
    PartOrigin,
    PluginChoice,
    build_part,
    explained_options,
    held_to_contract,
    load_entry,
    load_plugin_class,
    plugin_options,
    resolve_choice,
    split_choice,
)
from affect_lightning.plugin_loading.known_streams import (
    EncoderChoices,
    check_fused_streams,
    check_inputs,
    encoded_streams,
    find_stream,
    needed_streams,
    stream_names,
)
from affect_lightning.plugin_loading.listing import GROUPS, PluginListing, find_plugin, list_plugins

__all__ = [
    "GROUPS",
    "EncoderChoices",
    "PartOrigin",
    "PluginChoice",
    "PluginListing",
    "build_part",
    "check_fused_streams",
    "check_inputs",
    "encoded_streams",
    "explained_options",
    "find_plugin",
    "find_stream",
    "held_to_contract",
    "list_plugins",
    "load_entry",
    "load_plugin_class",
    "needed_streams",
    "plugin_options",
    "resolve_choice",
    "split_choice",
    "stream_names",
]


def __dir__() -> list[str]:
    return sorted(__all__)
