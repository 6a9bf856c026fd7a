"""The costs in docs/fusions.md are those that its command counts."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import torch
from torch.utils.flop_counter import flop_registry

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_table_in_the_docs_is_what_the_benchmark_prints() -> None:
    specification = importlib.util.spec_from_file_location(
        "fusions_benchmark", REPOSITORY / "benchmarks" / "fusions.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    printed, page = module.table(), (REPOSITORY / "docs" / "fusions.md").read_text(encoding="utf-8")
    if torch.ops.aten._scaled_dot_product_flash_attention_for_cpu not in flop_registry:
        # This torch does not count the operations of attention on a CPU; all but that column is still compared.
        printed, page = (re.sub(r"\|[^|\n]*\|$", "|", text, flags=re.MULTILINE) for text in (printed, page))
    assert printed in page
