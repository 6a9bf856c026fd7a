"""Fetching an export from a Hugging Face hub, and what the hub or the network answers in one sentence with a remedy (ours).

Only the files of an exported folder are fetched: JSON and safetensors, nothing that could run. `exchange.py` fetches into a
folder of the user's, `clip_answers.hub_folders` into the cache of huggingface_hub, which asks the endpoint of `HF_ENDPOINT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from affect_lightning.errors import ConfigurationError
from affect_lightning.model.exported_folder import EXPORTED_FILES


def fetched_export(repository: str, revision: str | None, *more: str, into: Path | None = None) -> Path:
    """The files of an export on the hub, within `hub_errors`.

    Args:
        repository: `user/name`.
        revision: Commit, tag or branch; None means the main branch.
        more: Names of other files that are wanted, too.
        into: A folder; None for the cache of huggingface_hub.

    Returns:
        The folder with the files.
    """
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(repository, revision=revision, allow_patterns=[*EXPORTED_FILES, *more], local_dir=into)
    )


@contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """What the hub or the network says becomes one sentence with a remedy.

    Raises:
        ConfigurationError: The hub refuses, or cannot be reached.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except HFValidationError as error:
        raise ConfigurationError(f"Write the model's name as `user/name`; got {repository!r}.") from error
    except GatedRepoError as error:
        raise ConfigurationError(f"Ask for access to {repository} on the hub's page first: it is gated.") from error
    except RevisionNotFoundError as error:
        raise ConfigurationError(
            f"Give a branch, tag or commit that {repository} has as its revision (--revision)."
        ) from error
    except RepositoryNotFoundError as error:
        raise ConfigurationError(
            f"Check the name, and log in with `hf auth login` if it is private: the hub knows no {repository}."
        ) from error
    except (LocalTokenNotFoundError, OfflineModeIsEnabled) as error:
        raise ConfigurationError(
            f"Log in with `hf auth login`, and unset HF_HUB_OFFLINE: {_first_line(error)}"
        ) from error
    except HfHubHTTPError as error:
        code = getattr(error.response, "status_code", None)
        remedy = (
            "Log in with `hf auth login` as somebody who may write there" if code in (401, 403) else "Try again later"
        )
        raise ConfigurationError(
            f"{remedy}: the hub answered {code} for {repository} ({_first_line(error)})."
        ) from error
    except _network_errors() as error:
        raise ConfigurationError(
            f"Check the network and HF_ENDPOINT: {repository} cannot be reached ({error})."
        ) from error


def _network_errors() -> tuple[type[BaseException], ...]:
    """Of the library below huggingface_hub: requests, whose errors are OSErrors, or since 1.0 httpx with a base of its own."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError"))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
