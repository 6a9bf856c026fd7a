"""Fetching an official taxonomy release into the user's cache: from the web, or from a folder copied by hand.

Place in the paper: its numbers need the authors' tables, which this package does not carry. Every file is compared with
its published SHA-256 (`official_releases.py`) before anything is written, and all files appear or none.
`command_line/taxonomy_command.py` is the user's way here.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics.official_releases import OfficialRelease
from affect_lightning.storage import CACHE_VARIABLE, write_whole_files

_TIMEOUT = 20.0  # seconds without an answer; our choice
_MAX_BYTES = 8 * 1024**2  # our choice: the largest official file has 0.1 MB


class DownloadError(DataError):
    """A file of a release could not be downloaded: no connection, or no address has the published file."""


def download_release(release: OfficialRelease, mirrors: Sequence[str] = ()) -> Path:
    """Download a release into the user's cache.

    Args:
        release: Which one.
        mirrors: Further web addresses of folders with its files, tried first.

    Returns:
        The folder with the files.

    Raises:
        ConfigurationError: A mirror is no http(s) address.
        DownloadError: A file cannot be had from any address.
        DataError: The cache cannot be written.
    """
    wrong = [mirror for mirror in mirrors if not mirror.startswith(("https://", "http://"))]
    if wrong:
        raise ConfigurationError(f"The mirror {wrong[0]!r} is no web address; expected https://... of a folder.")
    sources = [*mirrors, *release.sources]
    return _install(release, {name: _download(release, name, sources) for name in release.sha256})


def copy_release(release: OfficialRelease, folder: Path) -> Path:
    """Copy a release from a folder of the user's into the cache, after the same checks as a download.

    Args:
        release: Which one.
        folder: With its files, under our names or those of the publication.

    Returns:
        The folder with the files.

    Raises:
        DataError: A file is missing or is not the published one, or the cache cannot be written.
    """
    contents = {}
    for name in release.sha256:
        path = next((folder / known for known in release.names(name) if (folder / known).is_file()), folder / name)
        try:
            contents[name] = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path} cannot be read: {error.strerror or error}. The folder must hold {', '.join(release.sha256)}."
            ) from error
        release.check_file(name, contents[name], str(path))
    return _install(release, contents)


def _download(release: OfficialRelease, name: str, sources: Sequence[str]) -> bytes:
    published = release.names(name)[-1]
    failures: dict[str, str] = {}  # reason to the first address that gave it
    for source in sources:
        address = f"{source.rstrip('/')}/{published}"
        try:
            content = _read(address)
            release.check_file(name, content, "the file there")
            return content
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.setdefault(str(getattr(error, "reason", None) or error), address)
        except DataError as error:
            failures.setdefault(str(error), address)
    tried = "; ".join(f"{address}: {reason.rstrip('.')}" for reason, address in failures.items())
    raise DownloadError(
        f"The {release.year} release of the official taxonomy could not be downloaded; nothing was written. Tried "
        f"{len(sources)} addresses for {published}: {tried}. Without a connection, download "
        f"{', '.join(release.published_files)} from {release.page} on another machine, copy the folder here and run "
        f"`affect-lightning taxonomy fetch --release {release.name} --from FOLDER`, which checks the same hashes. "
        "Until then `--taxonomy builtin` needs no download."
    )


def _read(address: str) -> bytes:
    request = urllib.request.Request(address, headers={"User-Agent": "affect-lightning"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        content: bytes = answer.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"more than {_MAX_BYTES:,} bytes")
    return content


def _install(release: OfficialRelease, contents: Mapping[str, bytes]) -> Path:
    try:
        write_whole_files({release.folder / name: content for name, content in contents.items()})
    except OSError as error:
        raise DataError(
            f"{release.folder} could not be written: {error.strerror or error}. Free space, or choose another cache folder "
            f"with the environment variable {CACHE_VARIABLE}, and run the command again."
        ) from error
    return release.folder
