"""Templates of the sandbox's sentences and what fills their slots, English and Chinese.

Data only. Prospect: an outcome is awaited. Conduct: somebody did something to a shared thing. Event: something
happened suddenly. Routine: an ordinary fact. The topics share people and nothing else that would tell them apart
wrongly; no template or filler says how anybody feels. `clip_texts.py` puts them together.
"""

from __future__ import annotations

from typing import NamedTuple

from affect_lightning.sandbox.emotions import Topic


class Pair(NamedTuple):
    """The same words twice.

    Attributes:
        english: English words; a sentence's first letter is raised when it is put together.
        chinese: Their Chinese counterpart in the same derivation.
    """

    english: str
    chinese: str


def _pairs(text: str) -> tuple[Pair, ...]:
    """Pairs from lines `english | chinese`."""
    return tuple(Pair(*(part.strip() for part in line.split("|"))) for line in text.strip().splitlines())


SLOTS: dict[str, tuple[Pair, ...]] = {
    "person": _pairs("""
        Martin | 马丁
        Anna | 安娜
        Peter | 彼得
        Julia | 朱莉娅
        Daniel | 丹尼尔
        Laura | 劳拉
        Victor | 维克托
        Nina | 妮娜
        Robert | 罗伯特
        Clara | 克拉拉
        Simon | 西蒙
        Helen | 海伦
        Oscar | 奥斯卡
        Maria | 玛丽亚
        my brother | 我弟弟
        my sister | 我姐姐
        our neighbour | 我们的邻居
        my cousin | 我表哥
        our manager | 我们经理
        my aunt | 我姑姑
    """),
    "future": _pairs("""
        on Monday | 星期一
        on Thursday | 星期四
        on Friday | 星期五
        tomorrow morning | 明天上午
        this afternoon | 今天下午
        tonight | 今晚
        next week | 下周
        in two days | 两天后
        after the holidays | 假期过后
        before the weekend | 周末前
    """),
    "prize": _pairs("""
        the place | 那个名额
        the apartment | 那套公寓
        the scholarship | 那笔奖学金
        the contract | 那份合同
        the lead role | 那个主角
        the position | 那个职位
        the grant | 那笔资助
        the permit | 那张许可证
        the loan | 那笔贷款
        the medal | 那枚奖牌
    """),
    "test": _pairs("""
        the exam | 考试
        the blood test | 验血
        the election | 选举
        the audition | 试镜
        the vote | 投票
        the inspection | 检查
        the second round | 第二轮
        the entrance test | 入学测试
        the lottery | 抽签
        the appeal | 上诉
    """),
    "decider": _pairs("""
        the committee | 委员会
        the bank | 银行
        the court | 法院
        the school | 学校
        the jury | 评委
        the landlord | 房东
        the board | 董事会
        the clinic | 诊所
        the council | 市议会
        the university | 大学
    """),
    "thing": _pairs("""
        the boxes | 那些箱子
        the shared car | 公用的车
        the kitchen table | 厨房的桌子
        the office printer | 办公室的打印机
        the shed key | 棚子的钥匙
        our notes | 我们的笔记
        the coffee machine | 咖啡机
        the spare chairs | 备用的椅子
        the team folder | 小组的文件夹
        the ladder | 梯子
        the tool bag | 工具包
        the plants | 那些植物
    """),
    "did": _pairs("""
        moved | 搬走
        took | 拿走
        sold | 卖掉
        lent out | 借出去
        locked up | 锁起来
        replaced | 换掉
        packed up | 收起来
        carried off | 带走
    """),
    "manner": _pairs("""
        without asking | 没问一声
        without telling anyone | 没告诉任何人
        without a word | 一声不吭
        behind our backs | 背着我们
        while we were out | 趁我们不在
        before we arrived | 趁我们还没到
    """),
    "past": _pairs("""
        just before noon | 快到中午的时候
        last night | 昨晚
        at ten past four | 四点十分
        this morning | 今天早上
        two minutes ago | 两分钟前
        during the meeting | 开会的时候
        over lunch | 吃午饭的时候
        at midnight | 半夜
        yesterday evening | 昨天傍晚
        right after breakfast | 刚吃完早饭
        around three | 三点左右
        before sunrise | 天亮之前
    """),
    "arrival": _pairs("""
        the call came | 电话来了
        the letter arrived | 信到了
        the message popped up | 消息弹出来了
        the doorbell rang | 门铃响了
        the phone rang | 手机响了
        the door opened | 门开了
        the train stopped | 火车停了
        the music stopped | 音乐停了
        the parcel turned up | 包裹送来了
        the taxi pulled up | 出租车停在了门前
        the snow started | 下起了雪
        the lights changed | 灯光变了
        the lift moved | 电梯动了
        the curtain fell | 幕布落下了
        the bell rang | 钟声响了
        a car stopped outside | 外面停下一辆车
    """),
    "activity": _pairs("""
        talking | 聊天
        eating lunch | 吃午饭
        watching a film | 看电影
        playing cards | 打牌
        cleaning the kitchen | 打扫厨房
        packing bags | 收拾行李
        walking home | 走路回家
        washing up | 洗碗
        waiting in line | 排队
        moving the sofa | 搬沙发
        cooking dinner | 做晚饭
        rehearsing | 排练
    """),
    "spot": _pairs("""
        at the door | 门口
        in the hallway | 走廊里
        in the kitchen | 厨房里
        on the platform | 站台上
        by the window | 窗边
        in the garden | 花园里
        on the stairs | 楼梯上
        at the airport | 机场
    """),
    "vehicle": _pairs("""
        bus | 公交车
        tram | 电车
        train | 火车
        ferry | 渡轮
        shuttle | 班车
        night bus | 夜班车
    """),
    "stop": _pairs("""
        platform four | 四号站台
        gate two | 二号门
        the town hall | 市政厅
        the old bridge | 老桥
        stop nine | 九号站
        the main square | 中心广场
        the harbour | 港口
        the stadium | 体育场
    """),
    "shop": _pairs("""
        bakery | 面包店
        library | 图书馆
        post office | 邮局
        pharmacy | 药店
        museum | 博物馆
        swimming pool | 游泳池
        bookshop | 书店
        supermarket | 超市
    """),
    "opening": _pairs("""
        seven | 七点
        half past seven | 七点半
        eight | 八点
        nine | 九点
        half past nine | 九点半
        ten | 十点
    """),
    "closing": _pairs("""
        five | 下午五点
        half past five | 下午五点半
        six | 下午六点
        half past six | 下午六点半
        nine at night | 晚上九点
        ten at night | 晚上十点
    """),
    "weekday": _pairs("""
        Monday | 星期一
        Tuesday | 星期二
        Wednesday | 星期三
        Thursday | 星期四
        Saturday | 星期六
        Sunday | 星期天
    """),
    "goods": _pairs("""
        bread | 面包
        milk | 牛奶
        rice | 大米
        apples | 苹果
        a newspaper | 一份报纸
        paper towels | 纸巾
        tea | 茶叶
        eggs | 鸡蛋
    """),
    "store": _pairs("""
        the flour | 面粉
        the sugar | 白糖
        the salt | 盐
        the printer paper | 打印纸
        the spare bulb | 备用灯泡
        the cleaning cloth | 抹布
        the tape | 胶带
        the green tea | 绿茶
    """),
    "shelf": _pairs("""
        on the second shelf | 第二层架子上
        in the left drawer | 左边的抽屉里
        under the sink | 水池下面
        next to the stove | 炉子旁边
        in the basement | 地下室里
        above the fridge | 冰箱上面
        in the green cupboard | 绿色的柜子里
        beside the scanner | 扫描仪旁边
    """),
    "room": _pairs("""
        the meeting room | 会议室
        the canteen | 食堂
        the archive | 档案室
        the mail room | 收发室
        the workshop | 工作室
        the classroom | 教室
        the reception | 前台
        the computer room | 机房
    """),
    "floor": _pairs("""
        first | 一
        second | 二
        third | 三
        fourth | 四
        fifth | 五
        sixth | 六
    """),
    "number": _pairs("""
        five | 五
        eight | 八
        ten | 十
        twelve | 十二
        fifteen | 十五
        twenty | 二十
        thirty | 三十
    """),
    "street": _pairs("""
        Mill Street | 磨坊街
        Park Road | 公园路
        Station Street | 车站街
        Church Lane | 教堂巷
        Bridge Road | 桥头路
        Lake Street | 湖滨街
    """),
}

TEMPLATES: dict[Topic, tuple[Pair, ...]] = {
    "prospect": _pairs("""
        they announce {future} who gets {prize}. | {future}他们会宣布谁得到{prize}。
        we will hear {future} whether {person} got {prize}. | 我们{future}就会知道{person}有没有得到{prize}。
        the results of {test} come out {future}. | {test}的结果{future}公布。
        {person} is still waiting for the results of {test}. | {person}还在等{test}的结果。
        {future} we will find out how {test} turned out. | {future}我们就能知道{test}的情况。
        {decider} will decide {future} about {prize}. | 关于{prize}，{decider}{future}会做决定。
        any moment now {decider} will call about {prize}. | {decider}随时会为{prize}的事打电话来。
        nobody knows yet what {decider} will decide {future}. | 还没人知道{decider}{future}会怎么决定。
        {person} will get the letter from {decider} {future}. | {person}{future}会收到{decider}寄来的信。
        soon {decider} will say yes or no to {person}. | 很快{decider}就会答复{person}行还是不行。
        if {decider} agrees, {person} starts {future}. | 如果{decider}同意，{person}{future}就开始。
        the final list for {prize} goes up {future}. | {prize}的最终名单{future}贴出来。
        {person} will know {future} whether {decider} accepts. | {person}{future}就会知道{decider}接不接受。
        it depends on {test} whether {person} gets {prize}. | {person}能不能得到{prize}，要看{test}。
    """),
    "conduct": _pairs("""
        {person} {did} {thing} {manner}. | {person}{manner}就把{thing}{did}了。
        {person} {did} {thing} again {manner}. | {person}又{manner}把{thing}{did}了。
        {manner}, {person} {did} {thing}. | {manner}，{person}就把{thing}{did}了。
        it was {person} who {did} {thing} {manner}. | 是{person}{manner}把{thing}{did}的。
        the one who {did} {thing} was {person}. | 把{thing}{did}的人是{person}。
        so {person} simply {did} {thing} and left. | {person}就这样把{thing}{did}，然后走了。
        for the third time {person} {did} {thing}. | 已经是第三次了，{person}把{thing}{did}了。
        {person1} and {person2} {did} {thing} {manner}. | {person1}和{person2}{manner}就把{thing}{did}了。
        apparently {person} {did} {thing} {manner}. | 听说{person}{manner}把{thing}{did}了。
        {person1} says that {person2} {did} {thing}. | {person1}说{person2}把{thing}{did}了。
        look here, {person} {did} {thing} {manner}. | 你看，{person}{manner}把{thing}{did}了。
        it must have been {person} who {did} {thing}. | 一定是{person}把{thing}{did}的。
    """),
    "event": _pairs("""
        {arrival} {past}, out of nowhere. | {past}，{arrival}，毫无预兆。
        suddenly {arrival} {past}. | {past}突然间{arrival}。
        {past}, all of a sudden, {arrival}. | {past}，一下子{arrival}。
        without any warning {arrival} {past}. | 事先没有任何征兆，{past}{arrival}。
        one second we were {activity}, the next {arrival}. | 前一秒我们还在{activity}，后一秒{arrival}。
        we were {activity} when suddenly {arrival}. | 我们正在{activity}，突然{arrival}。
        in the middle of {activity}, {arrival}. | {activity}到一半，{arrival}。
        {person} was {activity} when all at once {arrival}. | {person}正在{activity}，忽然之间{arrival}。
        out of thin air {person} appeared {spot} {past}. | {past}{person}突然出现在{spot}。
        just like that, {person} was standing {spot}. | 就这么一下，{person}站在了{spot}。
        nobody expected it, but {arrival} {past}. | 谁都没料到，{past}{arrival}。
        all at once {arrival} and {person} stood up. | 一瞬间{arrival}，{person}站了起来。
    """),
    "routine": _pairs("""
        the {vehicle} to {stop} leaves at {opening}. | 去{stop}的{vehicle}{opening}发车。
        the {shop} opens at {opening} and closes at {closing}. | {shop}{opening}开门，{closing}关门。
        {person} usually takes the {vehicle} to {stop}. | {person}平时坐{vehicle}去{stop}。
        {store} is kept {shelf}. | {store}放在{shelf}。
        every {weekday} {person} buys {goods} at the supermarket. | 每个{weekday}{person}在超市买{goods}。
        {room} is on the {floor} floor. | {room}在{floor}楼。
        {person} lives on {street}, near the {shop}. | {person}住在{street}，在{shop}附近。
        the walk from the {shop} to {stop} takes {number} minutes. | 从{shop}走到{stop}要{number}分钟。
        on weekdays the {vehicle} runs every {number} minutes. | 工作日{vehicle}每{number}分钟一班。
        there are {number} chairs in {room}. | {room}里有{number}把椅子。
        the {shop} is on {street}, opposite {stop}. | {shop}在{street}，{stop}对面。
        {person} works in {room} every {weekday}. | {person}每个{weekday}在{room}上班。
    """),
}
