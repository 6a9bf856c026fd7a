"""The page of the blind pairwise study, on this machine only.

Paper: Table 7. The page has no script and loads nothing but the clip. Texts of models are shown as text, whatever they
contain. The address has a random part, and requests under another host's name are refused, so that no other page in the
same browser can read or judge. `review_store.py` keeps the study.
"""

from __future__ import annotations

import mimetypes
import secrets
import shutil
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from jinja2 import Environment, select_autoescape

from affect_lightning.annotation.review_store import ReviewStore
from affect_lightning.errors import AffectLightningError, ConfigurationError, DataError

HOST = "127.0.0.1"
MEDIA = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".wav", ".mp3", ".flac", ".ogg")
_LONGEST_BODY = 4096  # bytes of a form; our choice: a name and a choice need less
_LONGEST_NAME = 80  # characters of a rater's name; our choice
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; media-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def find_media(folder: Path, names: Mapping[int, str]) -> dict[int, Path]:
    """The media file of each pair's clip, by the number of the pair: the file in the folder that has the clip's name.

    Raises:
        DataError: There is no such folder, or no clip has a file in it.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} with the clips.")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=_rank):
        if path.is_file() and path.suffix.lower() in MEDIA:
            files.setdefault(path.stem, path)
    found = {pair: files[name] for pair, name in names.items() if name in files}
    if not found:
        raise DataError(
            f"{folder} has no file for any of the {len(names)} clips; expected NAME with {', '.join(MEDIA)}."
        )
    return found


def _rank(path: Path) -> tuple[int, Path]:
    """Of several files of one clip, videos come before sounds."""
    ending = path.suffix.lower()
    return MEDIA.index(ending) if ending in MEDIA else len(MEDIA), path


class ReviewServer(ThreadingHTTPServer):
    """Serves one study on loopback."""

    daemon_threads = True

    def __init__(self, store: ReviewStore, *, port: int = 0, media: Mapping[int, Path] | None = None) -> None:
        """Take a port.

        Args:
            store: The study.
            port: 0 for any that is free.
            media: File of the clip by number of the pair.

        Raises:
            ConfigurationError: The port is taken.
        """
        self.store = store
        self.media = dict(media or {})
        self.token = secrets.token_urlsafe(12)
        template = resources.files("affect_lightning.annotation").joinpath("review.html").read_text(encoding="utf-8")
        self.template = Environment(autoescape=select_autoescape(default=True)).from_string(template)
        try:
            super().__init__((HOST, port), ReviewHandler)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"Choose another --port, or 0 for a free one: {port} cannot be taken: {error}."
            ) from error

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"


class ReviewHandler(BaseHTTPRequestHandler):
    """Answers the requests of a study's page."""

    server: ReviewServer
    server_version = "affect-lightning"
    sys_version = ""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: standard error is for what the user must know."""

    def do_GET(self) -> None:
        """The page for a name, the next pair of a rater, or a clip."""
        path, query = self._asked()
        if path is None:
            return
        if path.startswith("clip/"):
            self._send_clip(path.removeprefix("clip/"))
        elif path in ("", "rate"):
            self._send_page(query.get("rater", ""))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")

    def do_POST(self) -> None:
        """Enter as a rater, or judge a pair."""
        path, _ = self._asked()
        if path is None:
            return
        form = self._form()
        if form is None:
            return
        rater = form.get("rater", "").strip()[:_LONGEST_NAME]
        try:
            if path == "enter":
                self.server.store.enter(rater)
            elif path == "judge":
                place = form.get("place", "")
                self.server.store.judge(rater, int(place) if place.isdecimal() else -1, form.get("side", ""))
            else:
                self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")
                return
        except AffectLightningError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/{self.server.token}/rate?rater={quote(rater)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _asked(self) -> tuple[str | None, dict[str, str]]:
        """The path below the random part, and the query; None after a refusal."""
        allowed = {f"{host}:{self.server.server_port}" for host in (HOST, "localhost")}
        parts = urlsplit(self.path)
        _, token, *rest = [*parts.path.split("/", 2), ""]
        if self.headers.get("Host") not in allowed or not secrets.compare_digest(
            unquote(token).encode(), self.server.token.encode()
        ):
            self._refuse(HTTPStatus.FORBIDDEN, "Open the whole address that the command printed.")
            return None, {}
        return rest[0], {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _form(self) -> dict[str, str] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LONGEST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The form is too long.")
            return None
        text = self.rfile.read(int(length)).decode("utf-8", errors="replace")
        return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}

    def _send_page(self, rater: str) -> None:
        rater = rater if self.server.store.knows(rater) else ""
        showing = self.server.store.next_of(rater) if rater else None
        media = self.server.media.get(showing.pair) if showing else None
        kind = (mimetypes.guess_type(media.name)[0] or "") if media else ""
        page = self.server.template.render(
            base=f"/{self.server.token}/",
            rater=rater,
            showing=showing,
            has_clip=media is not None,
            is_sound=kind.startswith("audio/"),
            longest_name=_LONGEST_NAME,
        )
        self._send(HTTPStatus.OK, page)

    def _send_clip(self, number: str) -> None:
        path = self.server.media.get(int(number)) if number.isdecimal() else None
        try:
            if path is None:
                raise FileNotFoundError
            with path.open("rb") as file:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", mimetypes.guess_type(path.name)[0] or "application/octet-stream")
                self.send_header("Content-Length", str(path.stat().st_size))
                self._send_headers()
                shutil.copyfileobj(file, self.wfile)
        except FileNotFoundError:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such clip.")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the browser has seen enough of the clip

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self.close_connection = True
        self._send(status, self.server.template.render(base=f"/{self.server.token}/", complaint=text))

    def _send(self, status: HTTPStatus, page: str) -> None:
        content = page.encode("utf-8", errors="replace")
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self._send_headers()
        self.wfile.write(content)

    def _send_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
