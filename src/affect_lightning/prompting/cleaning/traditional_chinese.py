"""Traditional Chinese characters in the form of simplified ones, as far as emotion words and the rules around them have them.

Paper: MER-UniBench has Chinese sets in simplified characters. The table holds the characters of the label extractors' words
and rules only, so it is short; of every such word the forms that Taiwan and Hong Kong write lead back to the word. A library
such as OpenCC converts whole texts, which reading labels does not need.
"""

from __future__ import annotations

_TRADITIONAL = (
    "與專丟嚴喪個爲麼樂亂親僅從衆會傷體兒關興內決悽準涼擊別勸辦動勵勞協單卻壓厭發嘆喫後嚇聽嘔圍場堅備夠頭"
    "奮媽嬌學寧寵寬對尷並莊慶廢開異棄張強憶憂懷態憐總戀懇惡慟惱悅憫驚懼憊愜慚憤懣戲執撫護擔掛摯敵斷無舊暱"
    "顯曖來極標歡氣沒潑測澀溫潰滿點煩熱愛牽狀猶獨環暢確禮積稱篤籤緊納絕緒綜羨恥肅脅膽腦臉靦騰慮釁見觀視覺"
    "認譏訝許論諷評識詼誠話詢詳詫語說調諧謔謂謝謹譴負責敗質貫貼賞賴贊躊輕較過這遲適遺鬱鄭採釋鍾欽錯鎮問閒"
    "悶陽陰難靜頑頹題風餒驕鬆讚歎慼淒侷噁睏闆為眾洩著併倖唸嚥嚮埰寀彆慾旣曏獃甯痠眞箇簽絶纍翫衊衕註迴鈡錶"
    "鎭鐘閑閤隻頽髮麪麫麵麽齣説"
)
_SIMPLIFIED = (
    "与专丢严丧个为么乐乱亲仅从众会伤体儿关兴内决凄准凉击别劝办动励劳协单却压厌发叹吃后吓听呕围场坚备够头"
    "奋妈娇学宁宠宽对尴并庄庆废开异弃张强忆忧怀态怜总恋恳恶恸恼悦悯惊惧惫惬惭愤懑戏执抚护担挂挚敌断无旧昵"
    "显暧来极标欢气没泼测涩温溃满点烦热爱牵状犹独环畅确礼积称笃签紧纳绝绪综羡耻肃胁胆脑脸腼腾虑衅见观视觉"
    "认讥讶许论讽评识诙诚话询详诧语说调谐谑谓谢谨谴负责败质贯贴赏赖赞踌轻较过这迟适遗郁郑采释钟钦错镇问闲"
    "闷阳阴难静顽颓题风馁骄松赞叹戚凄局恶困板为众泄着并幸念咽向采采别欲既向呆宁酸真个签绝累玩蔑同注回钟表"
    "镇钟闲合只颓发面面面么出说"
)
_TABLE = str.maketrans(_TRADITIONAL, _SIMPLIFIED)


def simplified(text: str) -> str:
    """The text with the table's traditional characters as simplified ones; its length stays.

    >>> simplified("這個人很憤怒。"), simplified("这个人很愤怒。"), simplified("angry")
    ('这个人很愤怒。', '这个人很愤怒。', 'angry')
    """
    return text if text.isascii() else text.translate(_TABLE)
