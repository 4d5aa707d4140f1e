"""How people are reached and followed: telephones, mail, vehicles, devices, addresses of the network, places.

Forms and certainty: the standards named in each line; assigned mobile ranges are those of a 2022 list. Numbers of
things (13 digits) and service numbers (400, 95xx, 12345) are no one's and are not looked for.
"""

from __future__ import annotations

from desensitize.identifiers.kinds import GATE_DIGITS, GATE_LONG_CODE, QUASI, SENSITIVE, Identifier, pseudonym

_PLATE = "A-HJ-NP-Z0-9"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_AREA = "(?:10|2[0-9]|[3-9][0-9]{2})"
_HEX = "[0-9A-Fa-f]{1,4}"
_EAST = r"(?:7[3-9]|[89][0-9]|1[0-2][0-9]|13[0-5])\.[0-9]{4,15}"
_NORTH = r"(?:[3-9]|[1-4][0-9]|5[0-3])\.[0-9]{4,15}"
# RFC 4291: global unicast (2000::/3), unique local (fc00::/7) and link local (fe80::/10), whole or with one `::`.
_IP6_START = "(?:[23][0-9A-Fa-f]{3}|[Ff][CcDd][0-9A-Fa-f]{2}|[Ff][Ee][89ABab][0-9A-Fa-f])"
_IP6 = rf"{_IP6_START}(?:(?::{_HEX}){{7}}|" + "|".join(
    rf"(?::{_HEX}){{{before}}}:(?::{_HEX}){{1,{6 - before}}}" for before in range(6)
) + ")"  # fmt: skip

FORMED: tuple[Identifier, ...] = (
    Identifier(
        entity="CN_MOBILE",
        chinese="手机号码",
        label="手机号",
        pattern=r"(?:(?:[(（]\+86[)）]|\+86)[ -]?|\b(?:0086|86)[ -]?|\b0?)"
        r"1(?:3[0-9]|4[014-9]|5[0-35-9]|6[0235-9]|7[0-9]|8[0-9]|9[0-35-9])"
        r"(?:[0-9]{8}|[ .-][0-9]{4}[ .-][0-9]{4})\b",
        lengths=(11, 23),
        bare=(11, 15),
        proposal=pseudonym("mobile"),
        words=("mobile", "phone", "cell", "cellphone", "tel", "telephone", "手机", "电话", "联系方式", "移动号码"),
        pinyin=("sjh", "sjhm", "lxdh", "dhhm", "yddh", "lxfs", "dh"),
        gates=(GATE_DIGITS, "[0-9]{3}(?:[0-9]{8}|[ .-][0-9]{4}[ .-][0-9]{4})"),
    ),
    Identifier(
        entity="EMAIL_ADDRESS",
        chinese="电子邮箱",
        label="邮箱",
        pattern=r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}\b",
        lengths=(6, 254),
        proposal={"technique": "drop"},
        words=("email", "e_mail", "mail", "邮箱", "电子邮件", "邮件地址"),
        pinyin=("dzyx", "yxdz", "dzyj"),
        gates=("@",),
        marked=True,
    ),
    Identifier(
        entity="CN_PLATE",  # GA 36: new-energy letters D and F, and those in use since beside them
        chinese="机动车号牌",
        label="车牌号",
        pattern=rf"[{_PROVINCES}][A-HJ-NP-Z][·•. -]?"
        rf"(?:(?:[A-HJK][{_PLATE}][0-9]{{4}}|[0-9]{{5}}[A-HJK]|[{_PLATE}]{{5}})\b|[{_PLATE}]{{4}}[学警挂港澳领])",
        lengths=(9, 16),
        proposal=pseudonym("plate"),
        words=("plate", "license_plate", "plate_no", "车牌", "号牌", "车号"),
        pinyin=("cphm", "cph", "hphm"),
        gates=(rf"[{_PROVINCES}][A-HJ-NP-Z]",),
        marked=True,
    ),
    Identifier(
        entity="CN_LANDLINE",
        chinese="固定电话",
        label="电话",
        pattern=rf"(?:\+86[ -]?0?{_AREA}|[(（]0{_AREA}[)）]|\b0{_AREA})[ -]?"
        r"[2-8][0-9]{2,3}[ -]?[0-9]{4}(?:-[0-9]{1,6})?\b",
        lengths=(10, 29),
        bare=(10, 12),
        proposal=pseudonym("landline"),
        words=("landline", "tel", "telephone", "phone", "fax", "电话", "座机", "固话", "传真"),
        pinyin=("lxdh", "dhhm", "gddh", "bgdh", "dh"),
        gates=(GATE_DIGITS, rf"\b(?:0|86[ -]?0?){_AREA}"),
    ),
    Identifier(
        entity="IP_ADDRESS",
        chinese="IP地址",
        label="IP地址",
        pattern=rf"\b(?:(?:{_BYTE}\.){{3}}{_BYTE}|{_IP6})\b",
        lengths=(7, 39),
        proposal=pseudonym("ip"),
        role=QUASI,
        grade=2,
        words=("ip", "ipv4", "ipv6", "ip_address", "IP地址"),
        pinyin=("ipdz",),
        gates=("[.][0-9]{1,3}[.]|[:]{2}|(?:[0-9A-Fa-f]{1,4}:){7}",),
        marked=True,
    ),
    Identifier(
        entity="MAC_ADDRESS",
        chinese="MAC地址",
        label="MAC地址",
        pattern=r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b",
        lengths=(17, 17),
        proposal=pseudonym("mac"),
        words=("mac", "mac_address"),
        gates=("(?:[0-9A-Fa-f]{2}[:-]){5}",),
        marked=True,
    ),
    Identifier(
        entity="CN_VIN",  # GB 16735: no I, O, Q; the ninth character checks; the last four are digits
        chinese="车辆识别代号",
        label="车架号",
        pattern=r"\b[A-HJ-NPR-Z0-9]{8}[0-9X][A-HJ-NPR-Z0-9]{4}[0-9]{4}\b",
        lengths=(17, 17),
        proposal=pseudonym("vin"),
        check="vin",
        chance=0.09,
        words=("vin", "chassis", "车架号", "车辆识别", "识别代号"),
        pinyin=("clsbdh", "cjh", "cjhm"),
        gates=(GATE_LONG_CODE,),
    ),
    Identifier(
        entity="CN_COORDINATES",  # four decimals are about ten metres: a dwelling; longitude first or latitude first
        chinese="经纬度",
        label="位置",
        pattern=rf"\b(?:{_EAST}[ ,;]{{1,2}}{_NORTH}|{_NORTH}[ ,;]{{1,2}}{_EAST})\b",
        lengths=(14, 40),
        proposal={"technique": "drop"},
        role=SENSITIVE,
        grade=4,
        words=("coordinates", "location", "gps", "坐标", "经纬度", "位置"),
        pinyin=("jwd", "zb"),
        gates=("[0-9][.][0-9]{4}",),
        marked=True,
    ),
)

WEAK: tuple[Identifier, ...] = (
    Identifier(
        entity="IMEI",
        chinese="手机设备号",
        label="设备号",
        pattern=r"\b[0-9]{15}\b",
        lengths=(15, 15),
        proposal=pseudonym("imei"),
        check="luhn",
        chance=0.1,
        weak=True,
        words=("imei", "设备号", "device_id"),
        pinyin=("sbbh",),
    ),
    Identifier(
        entity="IMSI",
        chinese="移动用户识别码",
        label="用户识别码",
        pattern=r"\b460[0-9]{12}\b",
        lengths=(15, 15),
        proposal=pseudonym("imsi"),
        weak=True,
        words=("imsi",),
    ),
    Identifier(
        entity="QQ",
        chinese="QQ号",
        label="QQ号",
        pattern=r"\b[1-9][0-9]{4,10}\b",
        lengths=(5, 11),
        proposal=pseudonym("qq"),
        weak=True,
        words=("qq", "qq_no", "QQ号"),
        pinyin=("qqh", "qqhm"),
    ),
    Identifier(
        entity="WECHAT",
        chinese="微信号",
        label="微信号",
        pattern=r"\b[A-Za-z][A-Za-z0-9_-]{5,19}\b",
        lengths=(6, 20),
        proposal=pseudonym("wechat"),
        weak=True,
        words=("wechat", "weixin", "微信"),
        pinyin=("wxh", "wxhm"),
    ),
)
