"""Emotion words in Chinese prose, and whether they are meant of the speaker.

The table `chinese_words.tsv` lists the Chinese terms of an English label. Neighbours: `mentions.py` does the same for English,
and asks here in mixed texts; `clause_doubts.py` has the clauses that set a word aside.
"""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from importlib import resources

from affect_lightning_plugins.label_extractors.clause_doubts import is_set_aside_in_chinese
from affect_lightning_plugins.label_extractors.mention import Mention

_DIRECT_CHINESE_NEGATION = re.compile(r"(?:不|没|无|非|未|别)(?:太|很|怎么|那么|够|会|要|必|用)?$")
_CHINESE_NEGATION = re.compile(
    r"(?:没有|毫无|无法|不用再|不必再|不需要|并非|并不|不是|不再|不觉得|不感到|是否|缺乏|而非|而不是|无明显|未(?:表现|显示|流露|出现|体现|见)|没表现|看不出|听不出|看不到|看不见|听不到|排除)[^，。；！？但却]{0,14}$"
)
# What is kept back or doubly denied is there: 没有掩饰愤怒, 从来没有这么高兴, 不是不开心
_NOT_NEGATING_IN_CHINESE = re.compile(
    r"(?:从来没有|从来没|从没|从未|没有比这)(?:这么|这样|如此|更)|缺乏[^，。；！？]{1,8}(?:表明|说明|显示|意味|暗示|体现|反映)|(?:没有|无法|难以|并不|没)(?:掩饰|掩盖|抑制|控制|隐藏|压抑)"
)
_ENGLISH_NOT = re.compile(r"\b(?:not|no|never)\s*$", re.IGNORECASE)
_CHINESE_PEOPLE = (
    "对方|主持人|记者|别人|他人|其他人|另一[^，。；]{1,6}|旁人|听众|观众|朋友|同事|老板|同学|母亲|父亲|妈妈|爸爸|丈夫|妻子|"
    "哥哥|弟弟|姐姐|妹妹|儿子|女儿|孩子"
)
_CHINESE_OTHERS = re.compile(
    rf"(?:{_CHINESE_PEOPLE})的[^，。；的]{{0,3}}$"
    rf"|(?<![对向为和与])(?<![对向为][她他]的)(?:{_CHINESE_PEOPLE})(?:也|都|很|非常|十分|有些|有点|感到|感觉|觉得|显得|看起来|会|可能|变得)+$"
)
_CHINESE_NEITHER = (re.compile("既$"), re.compile("^[^，。；]{0,6}也不"))  # 既不高兴也不难过: neither of them
_UNLIKELY_IN_CHINESE = re.compile(
    r"^的?(?:可能性|概率|几率|程度)(?:很|较|比较|非常|极|不)*(?:小|低|大(?<=不大)|高(?<=不高))"
)
_OF_A_CHINESE_THING = re.compile(r"^的?(?:氛围|气氛|环境|场面|局面|话题|音乐|事情|事件|问题|背景)")


def is_negated_in_chinese(before: str) -> bool:
    """Whether a text ends within the scope of a Chinese negation, or right behind an English one."""
    before = _NOT_NEGATING_IN_CHINESE.sub(" ", before)
    return any(negation.search(before) for negation in (_DIRECT_CHINESE_NEGATION, _CHINESE_NEGATION, _ENGLISH_NOT))


def meant_chinese_mentions(sentence: str) -> list[Mention]:
    """The mentions of a Chinese sentence that are asserted of the speaker."""
    return [mention for mention in find_chinese_mentions(sentence) if is_meant_in_chinese(sentence, mention)]


def find_chinese_mentions(text: str) -> list[Mention]:
    """Emotion terms of a Chinese text, longest first at each place; their words are English labels."""
    table = chinese_labels()
    return [Mention(table[match[0]], match.start(), match.end()) for match in _terms_pattern().finditer(text)]


def is_meant_in_chinese(sentence: str, mention: Mention) -> bool:
    """Whether a mention is asserted of the speaker: not negated, not open, nobody else's, not of a thing."""
    before, after = mention.before(sentence), mention.behind(sentence)
    if _CHINESE_NEITHER[0].search(before) and _CHINESE_NEITHER[1].match(after):
        return False
    if is_set_aside_in_chinese(before, after):
        return False
    return not any(
        (
            is_negated_in_chinese(before),
            _CHINESE_OTHERS.search(before),
            _OF_A_CHINESE_THING.match(after),
            _UNLIKELY_IN_CHINESE.match(after),
        )
    )


@lru_cache(maxsize=1)
def chinese_labels() -> dict[str, str]:
    """Chinese term to English label."""
    text = resources.files(__package__).joinpath("chinese_words.tsv").read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return {term: english for english, terms in rows for term in terms.split(" ")}


@lru_cache(maxsize=1)
def _terms_pattern() -> re.Pattern[str]:
    """Any term, the longest first; those that begin alike stand together, so that few are tried at each character."""
    ends: dict[str, list[str]] = {}
    for term in sorted(chinese_labels(), key=len, reverse=True):
        ends.setdefault(term[0], []).append(re.escape(term[1:]))
    return re.compile("|".join(f"{re.escape(first)}(?:{'|'.join(some)})" for first, some in ends.items()))
