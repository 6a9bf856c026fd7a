"""The shards of a packed set: in its folder, or fetched into a cache on disk that never grows past its limit.

Processes of one machine share the cache: a shard is fetched once, under a lock, for any number of workers. When there
is no space, the shard that was opened longest ago is deleted. A process that has it open closes it when it opens the
next one. Hand-written, because litdata's own streaming cuts the epoch after a resume to one batch under Lightning's
Trainer (0.2.76), and our loader needs items by number.

litdata's downloaders fetch the files from S3 and compatible storage. litdata prefers the library obstore for shards
where it is installed. obstore refuses plain `http://` addresses, which a local store often has, and does not survive a
fork. boto3 does both, so it is used here. Address and keys are boto3's own: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
`~/.aws/config`. `packed_clips.py` asks.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from affect_lightning.errors import ConfigurationError
from affect_lightning.packed_sets.layout import PackError, Shard, file_sha256, shard_name
from affect_lightning.storage import file_lock, whole_path

SCHEMES = ("s3://",)
_ATTEMPTS = 4  # our choice: a few seconds of trouble are ridden out, a wrong address is told soon
_LOCKS = 64  # our choice: more shards than a machine fetches at once
_UNFINISHED = ".part"


def is_remote(place: str) -> bool:
    """Whether a packed set lies in storage, not in a folder.

    >>> is_remote("s3://bucket/set"), is_remote("/data/set")
    (True, False)
    """
    return "://" in place


class Transport:
    """Fetches files from below an address such as `s3://bucket/prefix`. Pickles; connects at its first use.

    Args:
        address: Of the packed set.

    Raises:
        ConfigurationError: The address is of a kind that is not read.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(SCHEMES):
            raise ConfigurationError(
                f"data.packed is {address!r}; expected a folder or an address that begins with {' or '.join(SCHEMES)}."
            )
        self.address = address.rstrip("/")
        self._downloader: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "_downloader": None}

    def close(self) -> None:
        """End the connection; the next fetch makes another."""
        downloader, self._downloader = self._downloader, None
        if downloader is not None:
            downloader._client.client.close()

    def fetch(self, name: str, stream: BinaryIO) -> None:
        """Fetch a file into a seekable stream, from its first byte on.

        Raises:
            PackError: There is no such file, or the storage cannot be reached.
        """
        downloader = self._connected()
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            downloader.download_fileobj(f"{self.address}/{name}", stream)
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise PackError(
                f"{self.address}/{name} cannot be fetched: {error} Check the address, AWS_ENDPOINT_URL and the keys "
                "(AWS_ACCESS_KEY_ID, ~/.aws). The address must hold the manifest.json of a packed set."
            ) from error

    def _connected(self) -> Any:
        if self._downloader is None:
            try:
                from botocore.config import Config
                from litdata.streaming.downloader import get_downloader
            except ImportError as error:
                raise ConfigurationError(
                    f"Reading {self.address} needs litdata and boto3. Run `pip install 'affect-lightning[streaming]'`."
                ) from error
            retries = Config(retries={"max_attempts": _ATTEMPTS, "mode": "standard"})
            self._downloader = get_downloader(self.address, "", [], storage_options={"config": retries})
        return self._downloader


class ShardStore:
    """Items by shard and position. Pickles; every process opens its own files, which its threads share.

    Args:
        folder: Where the shards are, or are kept.
        shards: Of the set.
        transport: Fetches shards into the folder; None if they are there.
        cache_bytes: What the shards in the folder may take together, if they are fetched.
        open_files: Shards that are held open.
    """

    def __init__(
        self,
        folder: Path,
        shards: Sequence[Shard],
        transport: Transport | None = None,
        cache_bytes: int = 0,
        open_files: int = 64,
    ) -> None:
        self._descriptors: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()
        self.folder, self.shards, self.transport = folder, shards, transport
        self.cache_bytes, self.open_files = cache_bytes, open_files

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptors": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close all files and the connection; they are opened again when asked for."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])
        if self.transport is not None:
            self.transport.close()

    def item(self, shard: int, position: int) -> bytes:
        """Bytes of an item.

        Args:
            shard: Number of the shard.
            position: Of the item in it.

        Raises:
            PackError: The shard is missing, cannot be fetched, or is cut off.
        """
        path = self.folder / shard_name(shard)
        while True:
            with self._lock:  # of the threads that read: a file must not be closed between opening and reading
                descriptor = self._opened(shard, path)
                if descriptor is not None:
                    return self._read(descriptor, shard, position)
            if self.transport is None:
                raise PackError(f"The shard {path} is missing. Copy it again, or pack the set again.")
            self._fetch(shard, path)  # and once more, should another process make room at this moment

    def _read(self, descriptor: int, shard: int, position: int) -> bytes:
        try:
            # litdata: the number of items, then where each begins and the last ends, uint32
            begin, end = np.frombuffer(os.pread(descriptor, 8, 4 + 4 * position), "<u4").tolist()
            content = os.pread(descriptor, end - begin, begin) if end > begin else b""
        except (OSError, ValueError) as error:
            raise PackError(self.damaged(shard, f"its item {position} cannot be read ({error})")) from error
        if len(content) != end - begin:
            raise PackError(self.damaged(shard, f"its item {position} is cut off"))
        return content

    def damaged(self, shard: int, what: str) -> str:
        """A message about a shard that is not as it was written."""
        place = self.folder if self.transport is None else self.transport.address
        return f"The shard {shard_name(shard)} of {place} is damaged: {what}. Copy it again, or pack the set again."

    def _opened(self, shard: int, path: Path) -> int | None:
        """The shard's file, open; None if it is not there."""
        if shard in self._descriptors:
            self._descriptors.move_to_end(shard)
            return self._descriptors[shard]
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PackError(f"The shard {path} cannot be opened: {error.strerror}.") from error
        if self.transport is not None:
            os.utime(descriptor)  # used just now: the last to go
        # A file that has been removed to make room takes that room for as long as it is open.
        removed = [number for number, opened in self._descriptors.items() if os.fstat(opened).st_nlink == 0]
        for number in removed:
            os.close(self._descriptors.pop(number))
        self._descriptors[shard] = descriptor
        while len(self._descriptors) > self.open_files:
            os.close(self._descriptors.popitem(last=False)[1])
        return descriptor

    def _fetch(self, shard: int, path: Path) -> None:
        assert self.transport is not None
        size, unfinished = self.shards[shard].size, path.with_name(f"{path.name}{_UNFINISHED}")
        with file_lock(self.folder / f"lock-{shard % _LOCKS}"):
            if path.exists():
                return
            try:
                # Under a name that counts as taken room, and that the next process to fetch it writes over after a kill.
                with whole_path(path, temporary=unfinished, durable=False):
                    with file_lock(self.folder / "lock"):
                        self._make_room(size)
                        unfinished.write_bytes(b"")
                        os.truncate(unfinished, size)  # others see what it is going to take
                    with unfinished.open("r+b") as stream:
                        self.transport.fetch(path.name, stream)
                    if unfinished.stat().st_size != size or file_sha256(unfinished) != self.shards[shard].sha256:
                        raise PackError(self.damaged(shard, "its size or SHA-256 does not match the manifest"))
            except OSError as error:
                raise PackError(
                    f"{path} cannot be written: {error.strerror or error}. Free space, or set data.packed_cache_folder "
                    f"to a folder with free space."
                ) from error

    def _make_room(self, wanted: int) -> None:
        """Remove the shards that were opened longest ago, until another one fits in."""
        found = []
        for path in self.folder.glob("chunk-*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another process has just moved or removed it
            found.append((status.st_mtime_ns, status.st_size, path))
        taken = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if taken + wanted <= self.cache_bytes:
                return
            if path.suffix != _UNFINISHED:
                path.unlink(missing_ok=True)
                taken -= size
