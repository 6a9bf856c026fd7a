"""Names of sandbox clips, in the manner of the corpora whose layouts they fill.

A name is a function of the corpus and the clip's number. `layouts.py` writes them, the readers of `data` meet the same
kinds of names that the official sets have.
"""

from __future__ import annotations

from affect_lightning.sandbox.priors import TEST_CORPORA, TRAINING_SET


def clip_name(corpus: str, number: int) -> str:
    """Name of a clip.

    >>> clip_name("meld", 7), clip_name("iemocap", 0)
    ('test_dia1_utt3', 'Ses05F_impro01_F000')
    """
    group, place = divmod(number, 4)
    names = {
        TRAINING_SET.key: f"samplenew3_{number:08d}",
        "mer2023": f"sample_{number:08d}",
        "mer2024": f"samplenew_{number:08d}",
        "meld": f"test_dia{group}_utt{place}",
        "iemocap": iemocap_name(TEST_CORPORA["iemocap"].official.name_prefix, number),
        "cmumosi": f"sandboxmosi{group:03d}_{place + 1}",
        "cmumosei": f"sandboxmosei{group:03d}_{place}",
        "sims": f"video_{group + 1:04d}_{place + 1:04d}",
        "simsv2": f"sandbox_{group + 1:04d}_{place + 1:05d}",
        "ovmerdplus": f"sampleov_{number:08d}",
    }
    return names[corpus]


def iemocap_name(session: str, number: int) -> str:
    """Name of an IEMOCAP clip of a session such as `Ses05`."""
    dialogue, turn = divmod(number, 10)
    return f"{session}{'FM'[dialogue % 2]}_impro{dialogue // 2 + 1:02d}_{'FM'[turn % 2]}{turn:03d}"
