"""Words and frequencies of the made-up city: names, districts, streets, trades. Nothing here is about a real person.

Shares are rounded from public statistics (surnames, age bands, ethnic groups), so that skew is realistic; the city
itself is invented on the region codes of a real one, because a validator must know the codes.
"""

from __future__ import annotations

from typing import Final

Weighted = tuple[tuple[str, float], ...]

_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程"
    "魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵"
)
# Per cent of all persons; the rest of the list falls slowly from about one.
_COMMON: Final = (7.25, 7.19, 6.83, 5.38, 4.53, 3.08, 2.23, 2.29, 2.05, 2.02, 1.66, 1.53, 1.26, 1.26, 1.16, 1.15)
SURNAMES: Final[Weighted] = tuple(
    (surname, _COMMON[place] if place < len(_COMMON) else 1.1 - 0.009 * place)
    for place, surname in enumerate(_SURNAMES)
)
MALE_GIVEN: Final = (
    "伟强磊军洋勇杰涛超明刚平辉鹏华飞鑫波斌宇浩凯健俊帆帅旭宁龙林建国志文博海峰子轩浩然泽昊晨睿铭航家豪成东亮"
)
FEMALE_GIVEN: Final = (
    "芳娜敏静丽艳娟霞秀英玲桂兰燕红梅婷慧莹雪琳倩颖洁欣怡佳梓涵诗雨萱思琪梦瑶晓玉春珍凤云萍蓉露薇月彤悦宁依"
)

CITY: Final = "山东省济南市"
# (code of GB/T 2260, name, relative population)
DISTRICTS: Final[tuple[tuple[int, str, float], ...]] = (
    (370102, "历下区", 82),
    (370103, "市中区", 90.4),
    (370104, "槐荫区", 63.1),
    (370105, "天桥区", 79.6),
    (370112, "历城区", 154.2),
    (370113, "长清区", 59.1),
    (370114, "章丘区", 104.8),
    (370115, "济阳区", 52.9),
    (370116, "莱芜区", 99.4),
    (370117, "钢城区", 32.7),
    (370124, "平阴县", 29.8),
    (370126, "商河县", 17.4),
)
# Region codes in the numbers of those who were registered elsewhere first.
ELSEWHERE: Final[tuple[int, ...]] = (
    370202, 370302, 370602, 370702, 370902, 110101, 310101, 330102, 340102, 360102, 410102,
    420106, 440103, 500103, 510104, 610102,
)  # fmt: skip
STREETS: Final = tuple(
    first + second + "路"
    for first, second in zip(
        "中解人建和友珞雄发青新胜沿鹦汉学科东民江文工幸光长前团桃梅金",
        "山放民设平谊喻楚展年华利江鹉阳府技湖主南化业福明春进结园岭桥",
        strict=True,
    )
)
ETHNIC_GROUPS: Final[Weighted] = (
    ("汉族", 95.2), ("土家族", 2.1), ("苗族", 0.7), ("回族", 0.8), ("满族", 0.5), ("壮族", 0.3),
    ("侗族", 0.2), ("蒙古族", 0.2),
)  # fmt: skip
EDUCATION: Final = ("未上学", "小学", "初中", "高中", "大专", "本科", "研究生")
# Rows: ages below 7, 7-12, 13-15, 16-18, 19-34, 35-59, 60 up; columns as EDUCATION.
EDUCATION_BY_AGE: Final[tuple[tuple[int, tuple[float, ...]], ...]] = (
    (7, (1.0, 0, 0, 0, 0, 0, 0)),
    (13, (0.02, 0.98, 0, 0, 0, 0, 0)),
    (16, (0.0, 0.1, 0.9, 0, 0, 0, 0)),
    (19, (0.0, 0.02, 0.28, 0.65, 0.05, 0, 0)),
    (35, (0.0, 0.02, 0.2, 0.2, 0.27, 0.26, 0.05)),
    (60, (0.01, 0.12, 0.38, 0.23, 0.14, 0.1, 0.02)),
    (200, (0.12, 0.4, 0.3, 0.12, 0.04, 0.02, 0.0)),
)
# Persons of 1,000 in each band of five years, from 0-4 to 95-99.
AGE_PYRAMID: Final[tuple[float, ...]] = (
    55, 64, 60, 52, 58, 70, 90, 72, 67, 79, 82, 70, 51, 50, 34, 22, 14, 7, 2.5, 0.5
)  # fmt: skip
MOBILE_PREFIXES: Final[tuple[int, ...]] = (
    130, 131, 132, 133, 135, 136, 137, 138, 139, 150, 151, 152, 153, 155, 156, 157, 158, 159, 166, 170, 173, 175, 176,
    177, 178, 180, 181, 182, 183, 185, 186, 187, 188, 189, 191, 198, 199,
)  # fmt: skip

BRANDS: Final = (
    "华瑞恒泰鼎盛中联天宏正大广源金禾新科远东长江兴隆信达安康永利嘉德博雅海润同和凯旋美佳众诚启明智云星辰绿源百川万通"
)
# (industry, words that end a company's name, licence kind or "", share)
INDUSTRIES: Final[tuple[tuple[str, str, str, float], ...]] = (
    ("批发和零售业", "商贸", "食品经营许可证", 30.0),
    ("租赁和商务服务业", "商务服务", "", 13.0),
    ("科学研究和技术服务业", "科技", "", 12.0),
    ("建筑业", "建筑工程", "建筑业企业资质证书", 9.0),
    ("制造业", "制造", "安全生产许可证", 9.0),
    ("信息传输、软件和信息技术服务业", "信息技术", "增值电信业务经营许可证", 8.0),
    ("住宿和餐饮业", "餐饮管理", "食品经营许可证", 7.0),
    ("交通运输、仓储和邮政业", "物流", "道路运输经营许可证", 4.0),
    ("居民服务、修理和其他服务业", "生活服务", "", 4.0),
    ("房地产业", "置业", "房地产开发资质证书", 2.5),
    ("卫生和社会工作", "医疗", "医疗机构执业许可证", 1.5),
)
STATUSES: Final[Weighted] = (("存续", 86.0), ("注销", 9.0), ("吊销", 3.0), ("迁出", 2.0))
LINES: Final[tuple[tuple[str, float], ...]] = (
    ("1号线", 1.1),
    ("2号线", 2.4),
    ("3号线", 1.2),
    ("4号线", 1.8),
    ("6号线", 1.0),
    ("8号线", 0.9),
)
STATIONS_PER_LINE: Final = 20
