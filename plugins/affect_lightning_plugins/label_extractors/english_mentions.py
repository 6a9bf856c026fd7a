"""Emotion words in English prose, and whether they are meant of the speaker.

Words and phrases come from the built-in vocabulary of `affect_lightning.metrics`. A mention does not count when it is
negated ("no sign of anger"), open ("whether she is angry"), somebody else's ("her friend's anger") or a property of a
thing ("a tense situation"). `evidence.py` weighs the mentions; `rules.py` is the plugin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from affect_lightning.metrics.builtin import builtin_valences

MAX_SCOPE = 9  # words that a negation reaches (our choice; tuned on reference/emer)

# Forms of the vocabulary that mean something else in most prose; in a plain list of emotions they do count.
_NOT_IN_PROSE = frozenset(
    """
    accept accepted accepting accepts active actively advisory ambition appreciate appreciated argue argues argument
    arguments arguing attack attacks attention attentively attract attracted authority aware awareness bear blow bold
    boldly bother burden calculated care cares certain certainly certainty challenge challenges challenging clarity clear
    clearly clearness closeness comedy commanding commitment competent complain complex complicated compliment
    concentrate concentrated concentration conflict conflicts connect connected connection content contents contradiction
    control conversational cool cooperation cross cry crying cries deny direct directly directness disagree dispute
    disputes disturb drain dramatic dramatically drive driven dull earnest earnestly efficient emotional emotionally
    emphasis emphatic energy engage engaged engaging enjoyable entertainment entertaining even everyday experienced expert
    explanatory exposed exposure expressive expressively faith firm firmly firmness flat focus focused focuses focussed
    formal frank frankly free freedom friendship fun funny generous gentle gently genuine genuinely gross happening harsh
    hardworking heated heavily heavy heaviness help helpful honest honestly honor hope hopes hoping hungry hurry immersed
    important importance importantly impersonal independent informative inspire insult instructional instructive insist
    insists insistent intelligent intense intensely intensity intent interest interesting interests interrogative joke jokes
    joking kind kindly kindness knowledge knowledgeable laughter laugh light lightness like liking listless logic logical
    long longing loss lost love loves loved low lust lusts mature mean meaning means meanness mild mildly moderate mood
    moods moved nice normal normally objection objective objectively offense open openly openness opposing ordinary
    organized patient patients peace plain plainly play pleasantly please power powerful powerfully practical praise
    precise present pressured pressures professional professionally professionalism protect protected protective protest
    question questioned questions quick quiet quietly quietness rational rationality rational reasonable receptive
    recognize recognized recognition reflect reflected reflecting reflection reflective reflects refusal refuse refuses
    refusing reject rejected rejecting rejection remote reserve reserved resolve respect respects response responsible
    responsibility responsive rest restrained restraint rhythm routine rush rushed safe safely safety scene secure security
    sensible sensitive sense separate serious-looking sever severe severity sharp sharply sharpness silence silent silently
    sincere sincerely slow smiling smile soft softly softness softer stable staggered steadily steady steadiness steadfast
    stern sternly straightforward strain strength strong stronger strongest strongly subdued success successful
    successfully support supported supporting supports sure surely sweet sweetly tear tears temper tenseness think thinking
    thorough thoroughly threat threaten threatened threatening threats tolerance trouble trust trusted unclear
    understanding unexpected unexpectedly unexpectedness urgency urgent urgently violence violent violently void vision
    warm warmly warmness warmth warning warnings weak weakly weakness welcome willing willingness wise wish wishes wishing
    wit wonder wonders wondering wrong wronged active alert alertness composed composure conviction determination
    determined intimate intimately intimacy natural naturally polite politely praising resistance tone unpleasant
    """.split()
)
_TOKEN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
_NEGATION = re.compile(
    r"\b(?:not|no|without|never|neither|nor|hardly|barely|rather than|instead of|devoid of|free (?:of|from)|"
    r"(?:lack|lacks|lacking|absence|inability)(?: of| any)?|fails? to|cannot|can't|isn't|aren't|wasn't|don't|doesn't|"
    r"didn't|won't|unable to|whether|if)\b"
)
_NOT_NEGATING = re.compile(r"\b(?:not (?:only|just|merely|simply)|no doubt|not without|can(?:not|'t) help(?: but)?|as if)\b")
_SCOPE_END = re.compile(r"[;:.!?]|\b(?:but|however|although|though|because|since|while|and (?:is|was|feels?|seems?))\b")
_OTHERS = re.compile(
    r"(?:\b(?:other|others|another|opposite|someone|somebody|people|friend|brother|sister|father|mother|wife|husband|son|"
    r"daughter|child|children|boss|colleague|audience|listener|partner|interlocutor)s?(?: \w+)?['’]s?"
    r"|\b(?:mak|caus|leav)(?:es|ing|e|ed)? (?:the )?(?:other|others|people|someone|somebody|another)(?: \w+)?(?: to)?(?: feel)?"
    r"|\b(?:other|another) (?:person|party|man|woman|character|people|speaker)s? (?:who )?(?:is|are|was|were|feels?|seems?)"
    r"(?: being| feeling)?)\s+(?:\w+ ){0,2}$"
)
_OF_A_THING = re.compile(
    r"^\s+(?:and \w+ |or \w+ )?(?:atmosphere|environment|situations?|topics?|music|news|events?|things?|background|setting|"
    r"scene|settings|problems?|discussion|debate|matters?|issues?|medical|content|vocabulary|story|stories)\b"
)


@dataclass(frozen=True)
class Mention:
    """An emotion word in a text.

    Attributes:
        word: In lower case, as the vocabulary spells it.
        start: Position of its first character.
        end: Position after its last character.
    """

    word: str
    start: int
    end: int


def find_mentions(text: str, prose: bool = True) -> list[Mention]:
    """All emotion words of a text, longest phrase first at each place, in order.

    Args:
        text: English text.
        prose: Leave out forms that mean something else in most prose.
    """
    phrases = _phrases()
    tokens = list(_TOKEN.finditer(text))
    lowered = [token[0].lower().replace("’", "'") for token in tokens]
    found, index = [], 0
    while index < len(tokens):
        length = next((n for n in phrases.get(lowered[index], ()) if _known(lowered, index, n, prose)), 0)
        if length:
            word = " ".join(lowered[index : index + length])
            found.append(Mention(word, tokens[index].start(), tokens[index + length - 1].end()))
        index += max(length, 1)
    return found


def _known(lowered: list[str], index: int, length: int, prose: bool) -> bool:
    word = " ".join(lowered[index : index + length])
    return index + length <= len(lowered) and word in builtin_valences() and not (prose and word in _NOT_IN_PROSE)


@lru_cache(maxsize=1)
def _phrases() -> dict[str, tuple[int, ...]]:
    """First word to the lengths, in words, of the phrases that begin with it, longest first."""
    lengths: dict[str, set[int]] = {}
    for form in builtin_valences():
        words = form.split(" ")
        lengths.setdefault(words[0], set()).add(len(words))
    return {word: tuple(sorted(numbers, reverse=True)) for word, numbers in lengths.items()}


def is_meant(sentence: str, mention: Mention) -> bool:
    """Whether a mention is asserted of the speaker: not negated, not open, nobody else's, not of a thing."""
    before, after = sentence[: mention.start].lower(), sentence[mention.end :].lower()
    return not (is_negated(before) or _OTHERS.search(before) or _OF_A_THING.match(after))


def is_negated(before: str) -> bool:
    """Whether a text in lower case ends within the scope of a negation."""
    clause = _SCOPE_END.split(_NOT_NEGATING.sub(" ", before))[-1]
    last = None
    for last in _NEGATION.finditer(clause):
        pass
    if last is None:
        return False
    scope = clause[last.end() :]
    closed = "," in scope and not re.search(r",\s*(?:or|nor)\b|,[^,]*$", scope)
    return len(scope.split()) <= MAX_SCOPE and not closed and not re.search(r",\s*(?:she|he|they|we|it|the|which)\b", scope)
