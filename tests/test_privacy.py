"""No command opens a connection, resolves a name or writes an identity of the machine, unless it is asked to fetch."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import NETWORK_LOG
from face_cases import needs_centerface

COMMANDS = """
import sys
from affect_lightning.command_line.program import main
corpus, folder = sys.argv[1:]
table = f"{corpus}/test/meld-process"
for words in (
    ["plugins"],
    ["experiments"],
    ["taxonomy", "show", "happy", "--taxonomy", "builtin"],
    ["doctor", "--data", corpus, "--workers", "1", "--taxonomy", "builtin", "--expected-counts", "any"],
    ["faces", f"{folder}/clip.mp4", "--out", f"{folder}/sheet.png"],
    ["score", "--dataset", "mine", "--labels", f"{folder}/labels.csv", "--predictions", f"{folder}/responses.csv",
     "--taxonomy", "builtin", "--out", f"{folder}/report"],
):
    assert main(words) in (0, 1), words
"""


@pytest.mark.reaches_out
@pytest.mark.parametrize(
    "reach", ["socket.getaddrinfo('example.invalid', 80)", "socket.create_connection(('192.0.2.1', 9))"]
)
@pytest.mark.parametrize("place", ["here", "in a process"])
def test_the_guard_refuses_and_writes_down(reach: str, place: str) -> None:
    before = NETWORK_LOG.read_text(encoding="utf-8")
    if place == "here":
        with pytest.raises(socket.gaierror, match="network guard refuses"):
            eval(reach, {"socket": socket})
    else:
        done = subprocess.run(
            [sys.executable, "-c", f"import socket; {reach}"],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert "network guard refuses" in done.stderr
    tried = NETWORK_LOG.read_text(encoding="utf-8").removeprefix(before)
    assert re.fullmatch(r"(socket\.\w+ (example\.invalid|192\.0\.2\.1)\n)+", tried)


def test_this_machine_may_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]):
        pass
    assert socket.getaddrinfo("localhost", 80)


@needs_centerface
def test_no_command_asks_for_a_host_or_writes_an_identity(corpus: Path, tmp_path: Path) -> None:
    """Native code too: strace sees every connection, and the home is empty at the start."""
    tracer = shutil.which("strace")
    if tracer is None:
        pytest.skip("needs strace")
    home = tmp_path / "home"
    home.mkdir()
    clip = sorted((corpus).rglob("*.mp4"))[0]
    shutil.copy(clip, tmp_path / "clip.mp4")
    (tmp_path / "labels.csv").write_text("name,openset\na,happy\nb,sad\n", encoding="utf-8")
    (tmp_path / "responses.csv").write_text("name,response\na,She feels happy.\nb,He is sad.\n", encoding="utf-8")
    trace = tmp_path / "trace.txt"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment |= {"HOME": str(home), "AFFECT_LIGHTNING_CACHE": str(home / "ours"), "OMP_NUM_THREADS": "1"}
    words = [tracer, "-f", "--seccomp-bpf", "-o", str(trace), "-e", "trace=connect,sendto,sendmsg,sendmmsg"]
    done = subprocess.run(
        [*words, sys.executable, "-c", COMMANDS, str(corpus), str(tmp_path)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reached = [line for line in trace.read_text(encoding="utf-8", errors="replace").splitlines() if "AF_INET" in line]
    assert not reached, "\n".join(reached)
    strangers = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and "ours" not in path.parts]
    assert not [path for path in strangers if re.search(r"(?i)device|identity|telemetry|microsoft", path)], strangers
