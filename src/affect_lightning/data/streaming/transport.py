"""Fetches files of a packed set from where it lies: litdata's downloaders, which know S3 and what speaks its language.

litdata prefers the library obstore for shards where it is installed; that one refuses plain `http://` addresses, which a
store in one's own rack often has, and does not survive a fork. Its downloaders' way through boto3 does both, so that is
taken here. Address and keys are boto3's own: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `~/.aws/config`.
Neighbour: `shard_store.py`.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from affect_lightning.data.streaming.layout import PackError
from affect_lightning.errors import ConfigurationError

SCHEMES = ("s3://",)
_ATTEMPTS = 4  # our choice: a few seconds of trouble are ridden out, a wrong address is told soon


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
