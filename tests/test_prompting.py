"""Questions, responses and the user turn."""

from __future__ import annotations

import pytest

from affect_lightning.errors import ConfigurationError
from affect_lightning.prompting import (
    MAX_PLACEHOLDERS,
    QUESTION_KINDS,
    assemble_user_text,
    placeholder,
    question_text,
    response_text,
)


def test_the_questions_differ_and_hold_no_placeholder():
    texts = [question_text(kind) for kind in QUESTION_KINDS]
    assert len(set(texts)) == 3
    assert not any(ord(character) >= 0xF0000 for text in texts for character in text)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["calm"], "The person feels calm."),
        (["sad", " lonely "], "The person feels sad and lonely."),
        (["nervous", "worried", "anxious"], "The person feels nervous, worried and anxious."),
        ([], ""),
        (["  "], ""),
    ],
)
def test_name_response_lists_the_labels(labels, wanted):
    assert response_text("name", labels=labels, description="ignored") == wanted


def test_describe_response_is_the_description_on_one_line():
    assert response_text("describe", labels=["ignored"], description=" He smiles.\n He is glad. ") == (
        "He smiles. He is glad."
    )


def test_unknown_kind_is_refused():
    with pytest.raises(ConfigurationError, match="no question kind 'why'; expected one of describe, name"):
        question_text("why")
    with pytest.raises(ConfigurationError, match="no question kind"):
        response_text("why", labels=[], description="")


def test_placeholders_stand_in_the_order_of_the_streams():
    text = assemble_user_text(["multi", "audio", "face", "text"], "Well,\nfine.", "What now?", {"face": 2})
    marks = "".join((placeholder(0), placeholder(1), placeholder(2) * 2))
    assert text == f'Clip: {marks}\nSays: "Well, fine."\nWhat now?'


def test_streams_that_are_not_shown_leave_no_trace():
    assert assemble_user_text(["text"], "Hi.", "What now?") == 'Says: "Hi."\nWhat now?'
    assert assemble_user_text(["multi"], "Hi.", "What now?", {"multi": 0}) == "What now?"
    assert assemble_user_text(["audio", "text"], "", "What now?") == f'Clip: {placeholder(0)}\nSays: ""\nWhat now?'


def test_placeholders_are_single_private_characters():
    marks = [placeholder(position) for position in range(MAX_PLACEHOLDERS)]
    assert len(set(marks)) == MAX_PLACEHOLDERS
    assert all(len(mark) == 1 and 0xF0000 <= ord(mark) <= 0xFFFFD for mark in marks)
