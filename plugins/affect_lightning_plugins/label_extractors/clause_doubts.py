"""Clauses whose emotion words are nobody's now: of things, the past, conditions, comparisons, and of what is ruled out.

"The video is empty", "he used to be happy", "if he were sad", "unlike his happy sister", "I rule out fear"; 曾经, 如果, 谈不上,
与其说…不如说. Each rule needs its own mark and reaches no further than its clause, so "not happy but sad" still says sad.
`mentions.py` asks for each emotion word that it finds.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ADVERB = r"(?:(?:very|quite|rather|really|so|truly|also|still|too|all|both|a bit|more|most|just|completely|being|feeling)\s+)*"
_BEHIND = rf"\s+{_ADVERB}(?:\w+\s+)?$"
_OBJECTS = (
    "video", "videos", "clip", "image", "picture", "frame", "frames", "screen", "room", "weather", "sky", "street", "city",
    "lighting", "lights", "movie", "film", "song", "music", "soundtrack", "melody", "background", "scenery", "landscape",
    "file", "subtitle", "subtitles", "chair", "table", "house", "building", "place", "day", "night", "colors", "colours",
)  # fmt: skip
_HAD = (*_OBJECTS, "childhood", "memory", "memories", "ending")  # "her happy childhood", "a cosy living room"
_COPULA = r"(?:is|was|are|were|looks?|seems?|appears?|sounds?|feels?)"
_THINKING = (
    "thinks",
    "believes",
    "knows",
    "suspects",
    "notices",
    "worries",
    "fears",
    "assumes",
    "realizes",
    "realises",
)
_THINKS = rf"(?:{'|'.join(_THINKING)})(?: that)?"
_MAN = r"(?:(?:the|this|her|a) (?:\w+ )?(?:man|boy|husband|father))"
_WOMAN = r"(?:(?:the|this|his|a) (?:\w+ )?(?:woman|girl|wife|mother))"
_WITHIN = 200  # characters before the word: no rule reaches further, and a search from the start of a page takes long
_NOW = r"[^!?]*\b(?:now|today|nowadays|currently|at present|no longer|these days|at the moment)\b"


class ClauseDoubt(NamedTuple):
    """A reason why an emotion word does not count.

    Attributes:
        marks: Words of which a sentence must have one, so that most sentences are not looked at.
        before: Must be found in the text in lower case that ends at the word; None for any.
        after: Must match the text behind the word; None for any.
    """

    marks: frozenset[str]
    before: re.Pattern[str] | None = None
    after: re.Pattern[str] | None = None

    def holds(self, before: str, after: str) -> bool:
        """Whether the word between two texts does not count."""
        start = max(0, len(before) - _WITHIN)
        return not (self.before and not self.before.search(before, start)) and not (
            self.after and not self.after.match(after)
        )


def _doubt(marks: str, before: str = "", after: str = "") -> ClauseDoubt:
    return ClauseDoubt(
        frozenset(marks.split()),
        re.compile(before) if before else None,
        re.compile(after) if after else None,
    )


CLAUSE_DOUBTS = (
    # of a thing, where nothing follows that says what it does to somebody ("is cheerful, creating a sense of joy")
    _doubt(
        " ".join(_OBJECTS),
        rf"(?:^|[.;:!?,]\s*|\b(?:but|and|while|though|although)\s+)"
        r"(?:(?:the|this|a|its?|his|her|their|background)\s+)*"
        rf"(?:{'|'.join(_OBJECTS)})(?: itself)? {_COPULA}\s+{_ADVERB}(?:\w+ (?:and|or|but) )?$",
        r"^(?: (?:and|or|but) \w+)?\s*(?:[.!?;:。]|$|,?\s*\b(?:but|yet|while|whereas|though|although)\b"
        r"|,\s*(?:and|so)\b|\s+and (?:the|this|he|she|they|i|his|her|their)\b)",
    ),
    # of the past, or of a time to come
    _doubt(
        "used once", rf"\b(?:used to (?:be|feel|look|seem|sound|appear)|(?:was|were) once|once (?:was|were)){_BEHIND}"
    ),
    _doubt("formerly previously", rf"\b(?:formerly|previously)(?: (?:was|were|been|felt|a))?{_BEHIND}", _NOW),
    _doubt("before earlier", rf"\b(?:was|were|felt|looked|seemed|been){_BEHIND}", rf"^\s+(?:before|earlier)\b{_NOW}"),
    _doubt(
        "yesterday last ago past",
        rf"\b(?:was|were|felt|looked|seemed|sounded){_BEHIND}",
        r"^(?:(?!\b(?:about|by|with|of|over|because|for|at|after|since|and|but)\b)[^.,;:!?]){0,20}"
        r"\b(?:yesterday|last (?:week|month|year|night|time)|in the past"
        r"|(?:moment|second|minute|hour|day|week|month|year)s? ago)\b",
    ),
    _doubt(
        "yesterday past ago last",
        r"(?:^|[.;:!?,]\s*|\b(?:but|and|although|while)\s+)"
        r"(?:yesterday|in the past|years ago|last (?:week|month|year|night)),? [^.,;:!?]{0,40}$",
    ),
    _doubt("before", rf"(?:^|[.;:!?]\s*)before [^.;!?]{{1,40}}\b(?:was|were|felt|looked|seemed){_BEHIND}"),
    _doubt(
        "usually normally ordinarily typically",
        r"\b(?:usually|normally|ordinarily|typically)\b[^.;!?]{0,30}$",
        r"^[^.!?]{0,20}[,;]\s*(?:but|yet|today|now|here)\b",
    ),
    _doubt("soon", rf"\bsoon,? (?:he|she|they|it|i) (?:will|'ll) (?:be|feel|become){_BEHIND}"),
    _doubt(
        "will",
        rf"\b(?:will|'ll) (?:soon )?(?:be|feel|become){_BEHIND}",
        r"^[^.,;:!?]{0,20}\b(?:tomorrow|one day|some ?day|soon|later|in (?:the )?future|next (?:week|month|year|time))\b",
    ),
    _doubt(
        "gone faded disappeared vanished subsided",
        "",
        r"^\s+(?:is|has|have|had|was|were)\s+(?:now |already |completely |since )?(?:gone|faded|disappeared|vanished|subsided)\b",
    ),
    _doubt(
        "stopped stops stop ceased ceases quit",
        rf"(?<!never )(?<!not )(?<!n't )\b(?:stop(?:s|ped)?|ceas(?:es|ed)|quit) (?:being|feeling|to be|to feel){_BEHIND}",
    ),
    # of a condition or a wish
    _doubt("would", rf"\bwould(?: not|n't)? have (?:been|felt|looked|seemed){_BEHIND}"),
    _doubt("would", rf"\bwould(?: not|n't)? (?:be|feel|look|seem)\s+{_ADVERB}$", r"^[^.;!?]{0,40}\bif\b"),
    _doubt(
        "were had", r"(?:^|[.;:!?,]\s*)(?:were|had) (?:he|she|they|it|i|the \w+) (?:\w+ ){0,2}$", r"^[^.;!?]*\bwould\b"
    ),
    _doubt(
        "had",
        rf"(?:^|[.;:!?]\s*)had (?:he|she|they|it|i|the \w+)\b[^.;!?]{{1,40}}\bwould (?:be|feel|have been){_BEHIND}",
    ),
    _doubt("would", r"\bwould make (?:anyone|everyone|everybody|anybody|most people|people|others|any \w+) (?:\w+ )?$"),
    _doubt(
        "wish wishes wished wishing",
        rf"\bwish(?:es|ed|ing)? (?:that )?(?:he|she|they|i|it) (?:were|was|could be|had been|felt){_BEHIND}",
    ),
    # of a comparison
    _doubt(
        "compared comparison contrast contrary unlike opposite",
        r"\b(?:(?:as )?compared (?:with|to)|in (?:contrast|comparison) (?:with|to)|contrary to|unlike|(?:the )?opposite of)"
        rf" (?:(?!\b(?:he|she|they|it|i|{_COPULA})\b)[^.,;:!?]){{0,30}}$",
    ),
    _doubt(  # "unlike the last clip, which was calm, she is sad"
        "which who where when",
        r"\b(?:compared (?:with|to)|in (?:contrast|comparison) (?:with|to)|unlike) [^.,;:!?]{1,40}?,? (?:which|who|where|when)\b"
        r"[^.,;:!?]{0,40}$",
    ),
    _doubt("too", r"\btoo (?:\w+ ){1,3}to (?:be|feel|look|get) (?:\w+ )?$"),
    # ruled out, denied or doubted
    _doubt(
        "rule rules ruled ruling exclude excludes excluded excluding dismiss dismisses dismissed reject rejects "
        "rejected eliminate eliminated eliminates",
        r"(?:\brul(?:e|es|ed|ing) out|(?:^|[.;:]\s*|\b(?:i|we|you|can|could|would|will|to|evidence|have)\s+)"
        r"(?:exclud(?:e|es|ed|ing)|dismiss(?:es|ed)?|reject(?:s|ed)?|eliminate(?:s|d)?))"
        r" (?:(?!so\b|as\b|because\b|since\b|and (?:is|am|i)\b)\w+,? ){0,5}$",
    ),
    _doubt(
        "excluded",
        r"(?:ness|anger|fear|joy|calm|disgust|surprise|sorrow|emotions?|ment)\w*,? (?:can be|is|are|was|were) $",
    ),
    _doubt(
        "wrong incorrect inaccurate misleading mistake impossible doubtful",
        r"\b(?:wrong|incorrect|inaccurate|misleading|mistake|impossible|doubtful) "
        r"(?:to (?:say|call|think|conclude|assume|describe|claim)|that)\b[^.,;:!?]{0,40}$",
    ),
    _doubt(
        "doubt doubts", r"\b(?:i|we|one) (?:would |really |strongly )?doubts? (?:that|whether|if|it)\b[^.,;:!?]{0,40}$"
    ),
    _doubt("doubt", r"\b(?:i|we) (?:would |really |strongly )?$", r"^ (?:that|whether|if|it)\b"),
    _doubt(
        "nothing",
        r"\bnothing (?:(?:in|about|from|on) [^.,;:!?]{1,30} )?(?:to |(?:here |really )?(?:that )?)?"
        r"(?:suggest|indicat|show|impl|point|hint)(?:s|es|ies|ed|y|e)?\b"
        r"[^.,;:!?]{0,40}$",
    ),
    _doubt(
        "denies denied refuses", r"\b(?:denies|denied|refuses to be|refuses to feel)(?: being| feeling)?(?: \w+)? $"
    ),
    _doubt("less", r"\bless than (?:\w+ )?$"),
    _doubt("say call describe", r"\bwould(?: not|n't) (?:say|call|describe)\b[^.,;:!?]{0,40}$"),
    _doubt("nothing", r"\bnothing (?!but\b|more\b|less\b|like\b|short\b)(?:\w+ )?$"),
    _doubt(
        "argue say think assume believe suspect",
        r"\b(?:while|although|though) (?:one|some|you|we|i) (?:could|might|may|would) "
        r"(?:argue|say|think|assume|believe|suspect)\b"
        r"[^.,;!?]{0,40}$",
    ),
    _doubt(
        "assume think say suspect believe",
        r"\b(?:one|some|you|we) (?:might|may|could|would) (?:\w+ )?(?:assume|think|say|suspect|believe)\b[^.;!?]{0,40}$",
        r"^[^.!?]{0,30}[,;]\s*(?:but|yet|however|in fact|in reality|actually|really)\b",
    ),
    _doubt(  # "I first thought happy", "(my first guess was happy)"
        "thought guess guessed assumed",
        r"\b(?:first|initially|originally)\b[^.;!?]{0,20}\b(?:thought|guess(?:ed)?|assumed)\b[^.,;!?]{0,40}$",
    ),
    _doubt(
        "observed present detected seen evident visible shown found",
        r"\bother (?:\w+ )?emotions?\b[^.;!?]{0,60}$",
        r"^[^.;!?]{0,60}\b(?:are|is|were|was|can|could|have|has)(?: not|n't|not)(?: be| been)? "
        r"(?:observed|present|detected|seen|evident|visible|shown|found)\b",
    ),
    _doubt("no", r"\bno other (?:\w+ )?emotions?\b[^;!?]{0,40}$"),
    # of somebody else, and the rest of the sentence tells of the person
    _doubt(
        "interviewer interviewers reporter host listener listeners bystander bystanders audience crowd others",
        r"(?:^|[.;,:!?]\s*|\b(?:although|while|whereas|though|but|and)\s+)(?:the |an? |his |her |their |other )?"
        r"(?:interviewer|reporter|host|listener|bystander|audience|crowd|other)s? [^.,;:!?]{0,30}$",
        r"^[^.!?]{0,30}[,;]\s*(?:(?:but|yet|while|whereas|and) )?(?:she|he|they|the (?:\w+ )?"
        r"(?:woman|man|speaker|person|girl|boy|subject|individual|character))\b",
    ),
    _doubt(  # "he thinks that she is angry"
        " ".join(_THINKING),
        rf"\b(?:(?:he|{_MAN}) {_THINKS} (?:she|they|{_WOMAN}|(?:the|his) others)"
        rf"|(?:she|{_WOMAN}) {_THINKS} (?:he|they|{_MAN}|(?:the|her) others)) "
        rf"{_COPULA}\s+{_ADVERB}$",
    ),
    _doubt(  # "this differs from fear", "could be mistaken for anger"
        "differs differ different distinct mistaken confused",
        r"\b(?:(?:differs?|different|distinct) from|mistaken for|confused with) (?:\w+ ){0,2}$",
    ),
    _doubt(  # "could be happy, but most likely she is nervous"
        "could might may",
        r"\b(?:could|might|may) (?:also )?be [^.,;!?]{0,40}$",
        r"^[^.!?;]{0,40}[,;]\s*but (?:most likely|more likely|probably|rather|actually|in fact|really|i think)\b",
    ),
    _doubt("little few", r"\b(?:little|few) (?:evidence|signs?|traces?|hints?|indications?) of (?:\w+ )?$"),
    _doubt("fit apply match", "", r"^\s+(?:does|do)(?: not|n't) (?:fit|apply|match)\b"),
    _doubt(  # "although he says he is happy, his tone tells that he is angry"
        "says say saying claims claiming insists insisting pretends",
        r"\b(?:although|though|while|despite|even if) [^.,;!?]{0,40}"
        r"\b(?:says?|saying|claims?|claiming|insists?|insisting|pretends?)\b"
        r"[^.,;!?]{0,40}$",
        r"^[^.;!?]{0,40},",
    ),
    _doubt(  # "while her smile could indicate happiness, the tears indicate sadness"
        "could might may",
        r"\b(?:while|although|though) [^.,;!?]{1,40}"
        r"\b(?:could|might|may) (?:indicate|suggest|imply|signal|mean|look like)\b[^.,;!?]{0,30}$",
        r"^[^.;!?]{0,30},",
    ),
    _doubt(
        "interpret read mistake take",
        r"\b(?:one|some|someone|somebody|people|others|you) (?:might|may|could|would) "
        r"(?:interpret|read|mistake|take)\b[^.;!?]{0,40}$",
        r"^[^.!?]{0,30}[,;]\s*(?:but|yet|however|in fact|it is|actually|really)\b",
    ),
    _doubt(  # "this shouldn't be read as happiness"
        "read taken interpreted seen mistaken",
        r"\b(?:should(?: not|n't)|must not|cannot|can't) be (?:read|taken|interpreted|seen|mistaken) (?:as|for) [^.,;!?]{0,30}$",
    ),
    _doubt(  # "I considered anger, but the voice is too soft"
        "considered",
        r"\b(?:i|we) (?:also |first )?considered [^.;!?]{0,40}$",
        r"^[^.;!?]{0,40}[,;]\s*(?:but|yet|however|though)\b",
    ),
    _doubt(  # "while some may interpret this as sadness, the context suggests exhaustion"
        "interpret read mistake take see",
        r"\b(?:while|although|though) (?:some|one|many|others|you) (?:may|might|could|would) "
        r"(?:interpret|read|mistake|take|see)\b[^.,;!?]{0,40}$",
        r"^[^.;!?]{0,30},",
    ),
    _doubt(
        "seem appear look",
        r"\bit (?:may|might|could) (?:seem|appear|look)\b[^.;!?]{0,40}$",
        r"^[^.!?;]{0,40},?\s*\b(?:but|yet|however|though)\b",
    ),
    _doubt("closer", r"\bcloser to [^.;!?]{1,40}\bthan (?:to )?(?:\w+ )?$"),
    _doubt("about", r"\bless about (?:\w+ )?$", r"^[^.;!?]{0,40}\b(?:and|but) more\b"),
    _doubt("left", r"\b(?:little|no|not much) (?:\w+ )?$", r"^ (?:is |was )?left\b"),
    _doubt("absent", r"\babsent (?:any )?(?:signs?|traces?|hints?) of (?:\w+ )?$"),
    # of what one person wants, fears, says or does of another one
    _doubt(
        "wants wanted",
        r"\b(?:wants?|wanted) (?:his|her|their|the|him|them) ?(?:\w+ )?to (?:be|feel|become) (?:\w+ )?$",
    ),
    _doubt(
        "worried afraid scared anxious nervous concerned fears worries",
        r"\b(?:worried|afraid|scared|anxious|nervous|concerned|fears|worries) that "
        r"(?:he|she|they|it|(?:his|her|the|their) \w+) (?:might|may|could|would|will|is|are) (?:be |get |become )?(?:\w+ )?$",
    ),
    _doubt("accuses accused accusing", r"\baccus(?:es?|ed|ing) [^.;!?]{1,30}\bof (?:being |feeling )?(?:\w+ )?$"),
    _doubt(
        "comforts comfort comforting cheer consoles consoling make",
        r"\b(?:comfort(?:s|ing)?|consol(?:es|ing)|cheer(?:s|ing)? up|mak(?:e|es|ing)) (?:the|a|an|his|her) $",
        r"^ (?:child|girl|boy|woman|man|friend|baby|person|people|mother|father|sister|brother)\b",
    ),
    _doubt(
        " ".join(_HAD),
        r"\b(?:a|an|the|his|her|their) (?:\w+, )?$",
        rf"^(?:, \w+|\s+and \w+)? (?:\w+ )?(?:{'|'.join(_HAD)})\b",
    ),
    _doubt(  # "the song in the background is melancholic, while he is cheerful"
        " ".join(_OBJECTS),
        rf"(?:^|[.;:!?,]\s*)(?:the|this|a) (?:{'|'.join(_OBJECTS)}) (?:in|on|at|of|behind) (?:\w+ ){{1,3}}{_COPULA}\s+{_ADVERB}$",
    ),
    _doubt("dog dogs cat cats", rf"\b(?:dog|cat)s? {_COPULA}\s+{_ADVERB}$"),
    _doubt(
        "new birthday holidays christmas anniversary", "", r"^ (?:new year|birthday|holidays|christmas|anniversary)\b"
    ),
    _doubt("considered", "", r"^ (?:was|were|is) (?:also |briefly )?considered\b,?"),
    _doubt("now", rf"\b(?:was|were|felt){_BEHIND}", r"^[;,]\s*(?:but |and )?now\b"),
    _doubt("absent", r"(?:^|[.;:!?]\s*)absent (?:any |all )?(?:\w+ )?$"),
    _doubt(
        "may might could would say says think thinks",
        r"\b(?:one|some|many|people|others|somebody|someone|you) (?:\w+ )?(?:think|say|assume|guess|call|believe)\b"
        r"[^.;!?]{0,40}$",
        r"^[^.;!?]{0,40}?,\s*(?:but|yet|however|though|i (?:say|think|would|believe))\b",
    ),
    _doubt(
        "as",
        r"\bas (?:if|though) (?:he|she|they|it|i) (?:were|was|is) (?:\w+ )?$",
        r"^[^.!?;]{0,60}?(?:,\s*|\s)(?:but|yet|however)\b",
    ),
)

_CHINESE_OBJECTS = (
    "视频|画面|图像|图片|屏幕|房间|背景|背景音乐|音乐|配乐|天气"
    "|天空|灯光|光线|环境|氛围|气氛|场景|场面|街道|电影|影片|歌曲|景色"
)
_CHINESE_BUT = "但|可是|可(?=他|她)|结果|然而|现在|如今|今天|后来|此刻|眼下|目前|却"
# What is before a term, and behind it
_CHINESE_DOUBTS = tuple(
    (re.compile(before), re.compile(after))
    for before, after in (
        # 与其说平静，不如说愤怒; 比起悲伤，更愤怒; 多于悲伤
        (r"与其说?(?:是|他|她|感到)*[^，。；！？]{0,6}$", r"^[^。；！？]{0,8}[，,]?[^。；！？]{0,4}不如"),
        (r"(?:比起|相比于?|比)[^，。；！？]{0,4}$", r"^[^。；！？]{0,4}[，,]?[^。；！？]{0,4}(?:更|多的是)"),
        (r"(?:多于|多过|大于|胜过|而非|而不是)[^，。；！？]{0,4}$", ""),
        (r"不如(?!说)(?:之前|以前|过去|先前|刚才|往常|从前)[^，。；！？]{0,6}$", ""),
        # 看似平静，实则愤怒; 假装高兴，但; 他说高兴，但其实
        (
            r"(?:本以为|原以为|以为|本应该?|本该|应该|看似|看上去|看起来|表面上?|假装|装作|装出|强装|佯装|故作|[他她]说|声称|嘴上|口头上)"
            r"[^，。；！？]{0,10}$",
            r"^[^。；！？]{0,10}[，,]?\s*(?:但其实|但实际|但内心|其实|实则|实际上|内心|却|但(?=[^。；！？]{0,6}(?:其实|实际|内心|却)))",
        ),
        (r"(?:乍一看|乍看|初看|第一眼看?)[^，。；！？]{0,10}$", r"^[^。；！？]{0,8}[，,]?\s*但"),
        (r"(?:嘴上|口头上)[^，。；！？]{0,10}$", r"^[^。；！？]{0,10}[，,]\s*但"),
        (r"(?:本以为|原以为|以为|本应该?|本该)[^，。；！？]{0,10}$", r"^[^。；！？]{0,10}[，,]?\s*(?:但|可|结果|然而)"),
        # 与之前的平静相比，他很难过
        (r"(?:与|和|跟|同)[^，。；！？]{0,8}$", r"^[^，。；！？]{0,8}(?:相比|比起来|相反|截然不同)"),
        # of the past
        (r"(?:曾经|从前|昨天|前几天|很久以前|多年前|去年|小时候)[^，。；！？]{0,8}$", ""),
        (
            r"(?:以前|之前|(?<![看走跑转传递])过去|刚才|刚刚|原本|原来|本来|早先|先前|曾)[^，。；！？]{0,8}$",
            rf"^[^。；！？]{{0,10}}[，,；;]\s*(?:{_CHINESE_BUT})",
        ),
        # of a condition or a wish
        (
            r"(?:如果(?!说)|假如|假若|假使|倘若|要是|若是|若(?=他|她|能)|除非|万一|但愿|希望自?己?(?:他|她|能|可以))[^，。；！？]{0,12}$",
            "",
        ),
        # ruled out or denied
        (
            r"(?:不可能|不会是|不像|谈不上|算不上|不算|不够|未必|称不上|说不上|说不得|不太可能|不大可能|不属于|不至于|否认|难道|并没|并未|绝非|绝不是|远非|不能说|不能算)[^，。；！？但却]{0,6}$",
            "",
        ),
        (
            "",
            r"^的?(?:情绪|情感|可能性?|成分|心情)?(?:可以|可|应该|应|已经?|早已)?(?:被)?(?:排除|消失|消散|褪去|散去|不存在)",
        ),
        # of a thing
        (
            rf"(?<!在)(?:{_CHINESE_OBJECTS})(?:是|很|非常|十分|有些|有点|显得|比较|看起来|较为|略显|都|也|挺|太|相当)+$",
            "",
        ),
    )
)


def is_set_aside_in_chinese(before: str, after: str) -> bool:
    """Whether a Chinese term between two texts is of another time, a condition, a comparison or a thing, or ruled out.

    >>> is_set_aside_in_chinese("他曾经很", "，现在很难过。"), is_set_aside_in_chinese("他曾经很高兴，现在很", "。")
    (True, False)
    """
    return any(first.search(before) and then.match(after) for first, then in _CHINESE_DOUBTS)
