"""The authors' two taxonomy releases: their files and addresses, the user's copy, and fetching one.

Place in the paper: section 4 and Appendix K score on these wheels; the paper's numbers need the 2025 release. Nothing of
a release is part of this package: it is fetched into the user's cache, from the web or from a folder copied by hand.
Every file is compared with its published SHA-256 before anything is written, and all files appear or none.
`command_line/taxonomy_command.py` is the user's way here, `taxonomy_choice.py` reads from the cache, and
`official_tables.py` knows what stands in the files.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics.official_tables import NPZ_NAME
from affect_lightning.storage import CACHE_VARIABLE, user_cache_folder, write_whole_files

# Each file is looked for under these addresses in turn; its hash decides whether it is the right one.
_MERTOOLS = "https://raw.githubusercontent.com/zeroQiaoba/MERTools"
_SOURCES_2025 = (
    f"{_MERTOOLS}/fb8dda0ebd52281f69affcbec3cc34dfd281f1ba/MER2025/MER2025_Track23/emotion_wheel",
    f"{_MERTOOLS}/1052cb82fb05b91f821bd197de5bb123fcc9b0e3/MER2026/MER2026_Track2/emotion_wheel",
    "https://raw.githubusercontent.com/zeroQiaoba/AffectGPT/master/AffectGPT/emotion_wheel",
)
_SOURCES_2026 = (f"{_MERTOOLS}/1052cb82fb05b91f821bd197de5bb123fcc9b0e3/MER2026/MER2026_Track2/emotion_wheel",)
_TIMEOUT = 20.0  # seconds without an answer; our choice
_MAX_BYTES = 8 * 1024**2  # our choice: the largest official file has 0.1 MB


@dataclass(frozen=True)
class OfficialRelease:
    """One release of the authors' taxonomy.

    Attributes:
        year: `2025` or `2026`.
        sha256: File name (ours) to the SHA-256 of its content.
        sources: Web addresses of folders that hold the files, in the order in which they are tried.
        page: Where a person can download them.
        published_names: File name to the name it has there, where it differs.
        taxonomy_sha256: `Taxonomy.sha256` of the release, which tells an altered copy from the published tables.
    """

    year: str
    sha256: Mapping[str, str]
    sources: tuple[str, ...]
    page: str
    published_names: Mapping[str, str]
    taxonomy_sha256: str

    @property
    def name(self) -> str:
        """Name of the taxonomy: `official-2025` or `official-2026`."""
        return f"official-{self.year}"

    @property
    def folder(self) -> Path:
        """Where the user's copy is, or would be."""
        return user_cache_folder("taxonomies", self.name)

    @property
    def published_files(self) -> list[str]:
        """Names of the files where they are published."""
        return [self.names(name)[-1] for name in self.sha256]

    def names(self, name: str) -> list[str]:
        """Our name of a file, and the name under which it is published (last)."""
        return list(dict.fromkeys([name, self.published_names.get(name, name)]))

    def is_fetched(self) -> bool:
        """Whether all files are in the user's cache; `check_file` tells whether they are the published ones."""
        return all((self.folder / name).is_file() for name in self.sha256)

    def check_file(self, name: str, content: bytes, origin: str) -> None:
        """Compare one file with its published hash.

        Args:
            name: File name.
            content: What was read.
            origin: Where it was read, for the message.

        Raises:
            DataError: The hashes differ.
        """
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256[name]:
            raise DataError(
                f"{origin} is not {name} of the {self.year} release: its SHA-256 is {found[:16]}..., expected "
                f"{self.sha256[name][:16]}... (published on {self.page})."
            )


RELEASE_2025 = OfficialRelease(
    year="2025",
    sha256={
        "format.csv": "ba6de7d61db8e129d1d7ef8a2aae22a9e93a2c2e3e683e6f2735d04455f016f2",
        "synonym.xlsx": "23f81f9ab1d2418aaf96775304fb5dc52c62bb5d5ef652a97471d045fc9d2e29",
        "wheel1.xlsx": "e70485d354b82a7491ff24648273182a5f4f13f92c76e6b3e4f9033f5e6afcc1",
        "wheel2.xlsx": "acc001e076a8e60440361f58dd8c05ed900c4890c84bb7d8d1df93708a7d9c87",
        "wheel3.xlsx": "d62f30bf88c17c55876634cd088eacaef98278fc25457474364439872f9dbf83",
        "wheel4.xlsx": "660260561b7fe15550f3679a01e7c783608ce3403d4c28db0a88520f68d83aea",
        "wheel5.xlsx": "2dd4595b2cf8e7628ca06a416a8e38ac831614b244f23d1ae613dc34007649f1",
    },
    sources=_SOURCES_2025,
    page="https://github.com/zeroQiaoba/MERTools/tree/master/MER2025/MER2025_Track23/emotion_wheel",
    published_names={},
    taxonomy_sha256="553ed6f2cd4078be59ba7faae23a9067f00b57143953a90316a21b8a73c1c790",
)
RELEASE_2026 = OfficialRelease(
    year="2026",
    sha256={NPZ_NAME: "4cb21790c3392a14fb2ace6d1b7ed63e38c708872621a1c75b8872808211427b"},
    sources=_SOURCES_2026,
    page="https://github.com/zeroQiaoba/MERTools/tree/master/MER2026/MER2026_Track2/emotion_wheel",
    published_names={NPZ_NAME: "wheel_mapping.npz"},
    taxonomy_sha256="7a52fee821b7797461527702e2e45c1f543166c1d0195a49cb730cf44d862b96",
)
RELEASES = {release.name: release for release in (RELEASE_2025, RELEASE_2026)}


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
