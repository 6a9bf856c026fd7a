"""Whose part it is: the distribution and the contract of a built part, for the error when it breaks that contract.

`building.py` notes the origin on every part that it builds; the model and the data side wrap their calls of a part in
`held_to_contract`. Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from affect_lightning.errors import ContractError
from affect_lightning.plugin_loading.groups import GROUPS, PluginGroup
from affect_lightning.plugin_loading.listing import PluginListing

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


@contextmanager
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
