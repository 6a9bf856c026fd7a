"""Which taxonomy a user means: by name, by folder, or the default.

`official-2025` is the default once it was fetched (`official_releases.py`), because the paper's numbers need it; until
then it is `builtin`, our own. Every command and callback that takes a taxonomy by name comes here. `taxonomy.py` has the
class.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics.official_releases import RELEASE_2025, RELEASES, OfficialRelease
from affect_lightning.metrics.official_tables import load_tables, release_of, source_files
from affect_lightning.metrics.taxonomy import Taxonomy

TAXONOMY_NAMES = (*RELEASES, "builtin")


def default_taxonomy() -> Taxonomy:
    """The taxonomy used where none is named: `official-2025` if it was fetched, else `builtin`.

    Raises:
        DataError: A fetched file is no longer the published one.
    """
    return _official(RELEASE_2025) if RELEASE_2025.is_fetched() else Taxonomy.builtin()


def taxonomy_by_name(name_or_folder: str | Path | None = None) -> Taxonomy:
    """The taxonomy that a user names.

    Args:
        name_or_folder: `official-2025` or `official-2026` (from the user's cache), `builtin`, or a folder (or 2026
            `.npz` file) with an official release; None for the default.

    Returns:
        The taxonomy.

    Raises:
        ConfigurationError: No such name or folder, or the release was not fetched yet.
        DataError: A file of it is missing or is not as published.
    """
    if name_or_folder is None:
        return default_taxonomy()
    name = str(name_or_folder)
    if name == "builtin":
        return Taxonomy.builtin()
    if name in RELEASES:
        return _official(RELEASES[name])
    path = Path(name).expanduser()
    if not path.exists():
        near = get_close_matches(name, TAXONOMY_NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(
            f"There is no taxonomy {name!r}.{hint} Choose one of {', '.join(TAXONOMY_NAMES)}, or give the folder of an "
            "official release."
        )
    return _kept(path, f"official-{release_of(path)}")


def _official(release: OfficialRelease) -> Taxonomy:
    if not release.is_fetched():
        raise ConfigurationError(
            f"The taxonomy {release.name!r} is not in {release.folder}. Run `affect-lightning taxonomy fetch --release "
            f"{release.name}` once, give the folder of your own copy, or choose `builtin`."
        )
    taxonomy = _kept(release.folder, release.name)
    if taxonomy.sha256 != release.taxonomy_sha256:
        raise DataError(
            f"The files in {release.folder} are not those of the {release.year} release any more. Run "
            f"`affect-lightning taxonomy fetch --release {release.name}` again."
        )
    return taxonomy


def _kept(path: Path, name: str) -> Taxonomy:
    """The taxonomy of a folder, loaded once a process while its files stay as they are."""
    files = [file for file in source_files(path, RELEASES[name].year) if file.exists()]
    stamps = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _loaded(path.resolve(), name, stamps)


@lru_cache(maxsize=8)
def _loaded(path: Path, name: str, stamps: tuple[tuple[int, int], ...]) -> Taxonomy:
    """The taxonomy of a folder; only the published tables are called `official-...`."""
    release = RELEASES[name]
    tables = load_tables(path, release.year)
    taxonomy = Taxonomy(name, *tables)
    if taxonomy.sha256 == release.taxonomy_sha256:
        return taxonomy
    return Taxonomy(f"{path.name} (not the published {release.year} release)", *tables)
