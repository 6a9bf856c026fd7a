"""Is this version slower than another on the same processor? Both work in turns, so what else the machine does hits both.

    git worktree add ../before COMMIT
    python benchmarks/versions.py ../before [--rounds N] [--json FILE]

Each version has a process of its own with the same random weights and clips, and does one piece of work at a time:

    cached      a training step of 3 clips from features: tokenising, forward, backward, clipping, AdamW
    live        the same with pictures and sound, and encoders so small that only what is around them counts
    generation  responses of a forced length to 16 clips

The language model has the sizes of SmolLM2-135M with 6 of its 30 layers; `random_networks.py` makes everything. The figures are
medians over the rounds, of processor time and of wall time, and the ratio of this version to the other one: below 1 it is
faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
WORKS = ("cached", "live", "generation")
_LAYERS, _CLIPS, _ANSWERS, _TOKENS = 6, 3, 16, 24


def work(seeds: int) -> None:
    """The process of one version: builds the networks, then does what each line of its input names."""
    import torch
    from random_networks import SMALL_MODEL, TINY, Scale, build_network, make_batch, tokenised

    model = {**SMALL_MODEL, "num_hidden_layers": _LAYERS}
    scale = Scale(model, TINY.encoders, TINY.widths)
    cpu = torch.device("cpu")
    torch.manual_seed(0)
    networks = {way: build_network(cpu, torch.float32, live=way == "live", scale=scale) for way in ("cached", "live")}
    networks["generation"] = networks["cached"]

    def step(way: str, seed: int) -> None:
        network = networks[way].train()
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        batch = make_batch(_CLIPS, seed, way == "cached", cpu, scale)
        optimizer = torch.optim.AdamW(weights, lr=1e-5)

        def run() -> None:
            network(tokenised(network, batch)).backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()

        _timed(run)

    def generate(seed: int) -> None:
        network: Any = networks["generation"].eval()
        network.language_model.end_ids = frozenset()  # every response has the length that is asked for
        batch = make_batch(_ANSWERS, seed, True, cpu, scale)
        _timed(lambda: network.generate(batch, max_new_tokens=_TOKENS))

    print("ready", flush=True)
    for line in sys.stdin:
        way, seed = line.split()
        generate(int(seed) % seeds) if way == "generation" else step(way, int(seed) % seeds)


def _timed(run: Callable[[], Any]) -> None:
    wall, used = time.perf_counter(), time.process_time()
    run()
    print(json.dumps([time.process_time() - used, time.perf_counter() - wall]), flush=True)


class Version:
    """The process of one version."""

    def __init__(self, root: Path, seeds: int) -> None:
        places = [str(root / "src"), str(root / "plugins"), str(HERE / "benchmarks")]
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", str(seeds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        )
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"A version stopped with exit code {self._process.wait()}; its message is above.")
        return line

    def do(self, way: str, seed: int) -> list[float]:
        """Seconds of the processor and of the clock."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{way} {seed}\n")
        self._process.stdin.flush()
        found: list[float] = json.loads(self._read())
        return found

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def compare(other: Path, rounds: int) -> dict[str, Any]:
    """Medians of both versions, and their ratio, for each piece of work."""
    versions = {"other": Version(other, rounds), "this": Version(HERE, rounds)}
    rows: dict[str, Any] = {}
    for way in WORKS:
        seen: dict[str, list[list[float]]] = {name: [] for name in versions}
        for number in range(rounds + 1):  # the first one warms up
            names = list(versions) if number % 2 else list(versions)[::-1]
            for name in names:
                seconds = versions[name].do(way, number)
                if number:
                    seen[name].append(seconds)
        rows[way] = {}
        for place, kind in enumerate(("processor", "wall")):
            medians = {name: statistics.median(one[place] for one in found) for name, found in seen.items()}
            pairs = [new[place] / old[place] for new, old in zip(seen["this"], seen["other"], strict=True)]
            rows[way][kind] = {**medians, "ratio": statistics.median(pairs), "ratios": [min(pairs), max(pairs)]}
        print(as_line(way, rows[way]), flush=True)
    for version in versions.values():
        version.close()
    return {"machine": platform.machine(), "rounds": rounds, "rows": rows}


def as_line(way: str, row: dict[str, Any]) -> str:
    """For the screen."""
    told = [
        f"{kind} {found['this']:.2f} s, other {found['other']:.2f} s, ratio {found['ratio']:.3f} "
        f"({found['ratios'][0]:.3f} to {found['ratios'][1]:.3f})"
        for kind, found in row.items()
    ]
    return f"{way:10}  " + "; ".join(told)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, nargs="?", help="folder of the other version's source")
    parser.add_argument("--rounds", type=int, default=7, help="of each piece of work (default: 7)")
    parser.add_argument("--json", type=Path, default=None, help="file for the figures")
    parser.add_argument("--work", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.work)
        return 0
    if options.other is None or not (options.other / "src" / "affect_lightning").is_dir():
        parser.error("name the folder of the other version's source, such as a git worktree of it.")
    result = compare(options.other.resolve(), options.rounds)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
