"""Names in free text: each rule on sentences of its own, and what must stay."""

from __future__ import annotations

import pytest

from desensitize.freetext.finding import find_names
from desensitize.freetext.spans import ADDRESS, ORGANISATION, PERSON


def found(text: str, label: str) -> list[str]:
    return [text[span.start : span.end] for span in find_names([text])[0] if span.label == label]


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("请联系李娜，她知道。", ["李娜"]),
        ("张伟李娜来访。", ["张伟", "李娜"]),
        ("原告欧阳修文起诉。", ["欧阳修文"]),
        ("签字人：闫三。", ["闫三"]),
        ("真名“许红”", ["许红"]),
        ("绰号“麻杆”的人", ["麻杆"]),
        ("刘师傅说明天来。", ["刘师傅"]),
        ("刘德胜师傅说明天来。", ["刘德胜"]),
        ("老谢在菜场。", ["老谢"]),
        ("我儿子志强在深圳。", ["志强"]),
        ("小明妈妈来电。", ["小明"]),
        ("邻居张某投诉。", ["张某"]),
        ("收件人李*，已签收", ["李*"]),
        ("申请人：王　明", ["王　明"]),
        ("姓名 周 小 明 性别 男", ["周 小 明"]),
        ("收款人劉麗華，已領", ["劉麗華"]),
        ("阿依努尔·艾合买提今天来了。", ["阿依努尔·艾合买提"]),
        ("持有人LI XIAOMING，有效", ["LI XIAOMING"]),
        ("Lily老师请假。", ["Lily"]),
        ("Zhang Wei, 2024-01-31", ["Zhang Wei"]),
        ("值班：赵敏、雷雨、钱进。", ["赵敏", "雷雨", "钱进"]),
        ("👍👍王芳收到🙏", ["王芳"]),
    ],
)
def test_find_people_where_a_name_is_expected(text: str, people: list[str]) -> None:
    assert found(text, PERSON) == people


@pytest.mark.parametrize(
    "text",
    [
        "任何人不得擅自拆除承重墙。",
        "高温天气，方便群众，安全第一。",
        "古代有个大诗人叫李白。",
        "张家口的冬天很冷。",
        "中山路和解放路的路口红灯太长了。",
        "单位批量申报，材料齐全。",
        "老师和同学都到了，小区里很热闹。",
        "主任医师的号在二楼挂。",
    ],
)
def test_find_nobody_in_ordinary_words(text: str) -> None:
    assert find_names([text]) == [[]]


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("现住浙江省杭州市西湖区文三路12号3单元501室。", ["浙江省杭州市西湖区文三路12号3单元501室"]),
        ("我在翠苑新村6栋1102等你", ["翠苑新村6栋1102"]),
        ("送到阳光城四期18-2-603，谢谢", ["阳光城四期18-2-603"]),
        ("家住石桥乡双沟村二组15号", ["石桥乡双沟村二组15号"]),
        ("收件人不在，3栋2单元501敲门没人应", ["3栋2单元501"]),
        ("住址：新 民 街 4 3 号 院", ["新 民 街 4 3 号 院"]),
        ("文化路１２号楼３单元漏水", ["文化路１２号楼３单元"]),
        ("车停在长宁路66号门前", ["长宁路66号"]),
        ("村东头挨着水塔那家办喜事", ["村东头挨着水塔那家"]),
    ],
)
def test_find_addresses_down_to_the_house(text: str, addresses: list[str]) -> None:
    assert found(text, ADDRESS) == addresses


@pytest.mark.parametrize(
    "text", ["朝阳区的道路", "市民称和平路整段路灯不亮。", "2月14日晚8号窗口", "第3条第2款", "订单12-34发出"]
)
def test_keep_places_that_nobody_lives_at(text: str) -> None:
    assert found(text, ADDRESS) == []


@pytest.mark.parametrize(
    ("text", "organisations"),
    [
        ("由济南华旋信商贸有限公司代缴", ["济南华旋信商贸有限公司"]),
        ("名称博远信息科技（江州）有限公司。", ["博远信息科技（江州）有限公司"]),
        ("李娜投诉华联超市。", ["华联超市"]),
        ("她在师大附小教书。", ["师大附小"]),
        ("他社保挂在鑫达人力。", ["鑫达人力"]),
        ("由市三院转入", ["市三院"]),
        ("在工行城北支行办卡", ["工行城北支行"]),
    ],
)
def test_find_organisations_long_and_short(text: str, organisations: list[str]) -> None:
    assert found(text, ORGANISATION) == organisations


@pytest.mark.parametrize(
    "text",
    [
        "市人社局会同财政局印发通知。",
        "派出所已出警，居委会到场。",
        "本公司概不负责。",
        "附近医院都满了。",
        "国务院办公厅",
    ],
)
def test_keep_public_bodies_and_words_that_name_nobody(text: str) -> None:
    assert found(text, ORGANISATION) == []


def test_find_a_name_again_wherever_it_stands() -> None:
    text = "王建国到场。后经核实，建国并不知情，王建国签字。"
    assert found(text, PERSON) == ["王建国", "建国", "王建国"]


def test_balanced_caution_finds_no_more_than_high() -> None:
    texts = ["请转告建国同志来电。", "高峰昨天来过。", "听强子说的。", "王芳与李娜。"]
    for high, balanced in zip(find_names(texts, "high"), find_names(texts, "balanced"), strict=True):
        covered = {place for span in high for place in range(span.start, span.end)}
        assert all(set(range(span.start, span.end)) <= covered for span in balanced)
    assert find_names(["王芳与李娜。"], "balanced") == find_names(["王芳与李娜。"], "high")


def test_find_the_same_in_a_batch_as_alone() -> None:
    texts = ["王芳来电。", "在翠苑新村6栋1102", "无", "", "王芳来电。", "他在鑫达人力上班，老谢也在。"]
    assert find_names(texts) == [find_names([text])[0] for text in texts]
