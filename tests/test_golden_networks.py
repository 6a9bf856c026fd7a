"""Losses, gradients and responses of tiny networks are what they were when `golden/tiny_networks.json` was written."""

from __future__ import annotations

import json

import pytest
import torch

from golden_networks import (
    CASES,
    COMMAND,
    GOLDEN_FILE,
    build_network,
    figures,
    filled,
    golden_batch,
    gradient_norm,
    hashed,
    networks,
    trained_parts,
)

GOLDEN = json.loads(GOLDEN_FILE.read_text(encoding="utf-8"))


def test_the_file_has_every_case_and_names_its_command():
    assert GOLDEN["command"] == COMMAND
    assert list(GOLDEN["cases"]) == list(CASES)
    texts = [text for case in GOLDEN["cases"].values() for text in case["responses"]]
    assert len(set(texts)) > len(texts) / 2, "responses that are all alike would show nothing"


def test_the_formula_is_the_same_everywhere():
    assert hashed("weights", (2, 2)).tolist() == [
        [-0.08368813991546631, 0.6108717918395996],
        [-0.1207505464553833, 0.19172680377960205],
    ]


@pytest.mark.parametrize("name", CASES)
def test_figures_are_what_they_were(name):
    wanted = dict(GOLDEN["cases"][name])
    salt = wanted.pop("salt")
    for form, network, batch in networks(CASES[name], salt):
        found = figures(network, batch)
        lengths = network.last_step.lengths
        computed = network.language_model.computed_positions(lengths)
        assert computed == (len(lengths) * max(lengths) if form == "padded" else sum(lengths))
        for exact in ("responses", "answers"):
            assert found.pop(exact) == wanted[exact], (form, exact)
        norms = found.pop("gradient_norms")
        assert norms == pytest.approx(wanted["gradient_norms"], rel=1e-4), form
        assert min(norms.values()) > 0
        assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-5), form
        # Steps carry the rounding of the gradients along: without vector units it came to 2e-5.
        assert found["loss_after_two_steps"] == pytest.approx(wanted["loss_after_two_steps"], rel=1e-4), form


@pytest.mark.parametrize("change", ["a picture", "a weight"])
def test_another_picture_or_weight_is_noticed(change):
    """By the gradients: one picture of twelve, or 5% of one projector, moves the loss itself by less than rounding."""
    wanted = GOLDEN["cases"]["attention"]
    network, batch = filled(build_network(CASES["attention"]), wanted["salt"]), golden_batch()
    assert network(batch).item() == pytest.approx(wanted["loss"], rel=1e-5)
    if change == "a picture":
        pictures = batch.streams["face"].values
        pictures[0, 0] = 255 - pictures[0, 0]
    else:
        with torch.no_grad():
            network.projectors["audio"].weight *= 1.05
    network(batch).backward()
    role = "projector face" if change == "a picture" else "branch audio"
    norm = gradient_norm(trained_parts(network)[role])
    assert norm != pytest.approx(wanted["gradient_norms"][role], rel=1e-4)
