"""A headless Chromium that tests drive: pages are opened and pressed as a person does, through the browser's own protocol.

Chromium takes commands over two pipes (`--remote-debugging-pipe`), one JSON message each, with a zero byte behind it.
Which binary is used says `test_report_browser.py`.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from patience import LONGEST
from test_report_browser import browser


class Page:
    """One page of the browser."""

    def __init__(self, write_end: int, read_end: int) -> None:
        self._write_end, self._read_end = write_end, read_end
        self._numbers = itertools.count(1)
        self._unread = b""
        self.messages: list[str] = []  # of the console, and errors
        self._requests: dict[str, str] = {}
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for; not those that its policy forbade before anything was sent."""
        return list(self._requests.values())

    def open(self, address: str) -> None:
        """Go to an address and wait for its document."""
        self._ask("Page.navigate", url=address)
        self.wait_for(f"location.href.split('#')[0] === {json.dumps(address)} && document.readyState === 'complete'")

    def value(self, script: str) -> Any:
        """What a script in the page gives."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until a script gives true; a page that is being left is asked again."""
        until = time.monotonic() + LONGEST
        while time.monotonic() < until:
            answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
            if answer.get("result", {}).get("value") is True:
                return
            time.sleep(0.02)
        pytest.fail(f"the page never came to {script}: {self.value('document.body.innerText')}")

    def press(self, selector: str) -> None:
        """Press what a selector finds, and wait for the page that comes then."""
        self.value("window.isOld = true")
        self.value(f"document.querySelector({json.dumps(selector)}).click()")
        self.wait_for("window.isOld !== true && document.readyState === 'complete'")

    def upload(self, selector: str, file: Path) -> None:
        """Choose a file in the input that a selector finds."""
        document = self._ask("DOM.getDocument")["root"]["nodeId"]
        node = self._ask("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self._ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def write(self, selector: str, text: str) -> None:
        """Write into the field that a selector finds, as a person does."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self._ask("Input.insertText", text=text)

    def text(self, selector: str) -> str | None:
        """The text that a selector finds; None where there is nothing."""
        found = self.value(f"(document.querySelector({json.dumps(selector)}) || {{}}).textContent ?? null")
        return None if found is None else str(found)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        os.write(self._write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer and "context" in answer["error"]["message"].lower():
                    return {}  # the page is being left
                assert "error" not in answer, answer
                return dict(answer["result"])
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(json.dumps(event["params"]))
        if event.get("method") == "Network.requestWillBeSent":
            self._requests[event["params"]["requestId"]] = event["params"]["request"]["url"]
        if event.get("method") == "Network.loadingFailed" and event["params"].get("blockedReason") == "csp":
            self._requests.pop(event["params"]["requestId"], None)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read_end], [], [], LONGEST)
            assert ready, "the browser says nothing"
            read = os.read(self._read_end, 1 << 16)
            assert read, "the browser has ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def opened_browser(folder: Path) -> Iterator[Page]:
    """A page of a new browser; the test is skipped where there is none, with AFFECT_REQUIRE_BROWSER=1 it fails."""
    program = browser()
    if program is None:
        message = "no Chromium found: install the system's package `chromium`, or name a binary in AFFECT_BROWSER"
        if os.environ.get("AFFECT_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    theirs_in, write_end = os.pipe()
    read_end, theirs_out = os.pipe()

    words = [
        *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
        *("--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "--window-size=1280,900", "about:blank"),
    ]
    # The protocol is on the descriptors 3 and 4: a Python between puts the pipes there and becomes the browser.
    become = (
        f"import os, sys; os.dup2({theirs_in}, 103); os.dup2({theirs_out}, 104); os.dup2(103, 3); os.dup2(104, 4); "
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"{become}os.execv(sys.argv[1], sys.argv[1:])", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(theirs_in, theirs_out),
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(write_end, read_end)
    finally:
        os.close(write_end)
        process.terminate()
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(read_end)
