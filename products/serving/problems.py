"""Every problem that the consumer API answers with, by its stable code: RFC 9457's `type` is the address of its page.

A *family* is a code with a changing end, such as `authorization_suspended`: what stands in the place is a state's name
or the part of a scope that refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

TYPE = "/problems/"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem: status, what it says, and what helps; in English and Chinese."""

    code: str
    status: int
    means: str
    helps: str
    means_zh: str
    helps_zh: str
    detail: str = ""

    @property
    def uri(self) -> str:
        """Return the problem's type: an address on the host that answered (RFC 9457 section 3.1.1)."""
        return f"{TYPE}{self.code}"

    @property
    def is_family(self) -> bool:
        """Whether the code's end changes."""
        return self.code.endswith("_*")


_AGAIN = "Try again with the same Idempotency-Key: nothing was answered and nothing was charged."
_AGAIN_ZH = "请用同一 Idempotency-Key 重试：未给出结果，也未计费。"
_FORM = "Compare with the operation in /openapi.json."
_FORM_ZH = "请对照 /openapi.json 中该操作的格式。"

PROBLEMS: tuple[ProblemType, ...] = (
    ProblemType(
        "not_json", 400, "The body is not JSON.", _FORM, "请求体不是 JSON。", _FORM_ZH, "the request is not JSON"
    ),
    ProblemType(
        "idempotency_key", 400, "The Idempotency-Key cannot be kept.", "Send 1 to 200 printable ASCII letters.",
        "无法保存该 Idempotency-Key。", "请使用 1 至 200 个可打印的 ASCII 字符。", "the Idempotency-Key is refused",
    ),
    ProblemType(
        "accept_signature", 400, "The Accept-Signature asks for what cannot be signed.",
        "Ask with one label, Ed25519, and components of the answer or, with ;req, of the request.",
        "Accept-Signature 所要求的内容无法签名。", "请使用一个标签、Ed25519，以及响应的组件或带 ;req 的请求组件。",
        "the Accept-Signature is refused",
    ),
    ProblemType(
        "key_missing", 401, "The call has no key.", "Send Authorization: Bearer KEY.",
        "调用未带密钥。", "请发送 Authorization: Bearer 密钥。", "the call has no key that is known",
    ),
    ProblemType(
        "key_unknown", 401, "The key is not known: mistyped, of another installation, or revoked.",
        "Make a key in the portal; a revoked one never comes back.",
        "密钥不存在：可能输错、属于其他环境或已被吊销。", "请在门户创建密钥；被吊销的密钥不能恢复。",
        "the call has no key that is known",
    ),
    ProblemType(
        "key_expired", 401, "The key's term is over, or its successor's overlap is.",
        "Use its successor, or a new key.",
        "密钥已到期，或轮换的重叠期已过。", "请使用替换它的新密钥。", "the key's term is over",
    ),
    ProblemType(
        "key_stopped", 403, "Too many answers of this key were `no_match`: it is stopped at this product.",
        "Ask the operating unit or the data authority, who look into the alarm and resolve it.",
        "该密钥得到的 `no_match` 过多，已在该产品上停用。", "请联系运营单位或数据主管部门处理告警。",
        "too many answers of this key were `no_match`: it is stopped until the alarm is resolved",
    ),
    ProblemType(
        "key_suspended", 403, "The key is suspended; the detail says why.", "Answer the authority that suspended it.",
        "密钥已被暂停，原因见 detail。", "请联系作出暂停决定的主管部门。", "the key is suspended: odd pattern",
    ),
    ProblemType(
        "app_suspended", 403, "The key's app is suspended, so none of its keys opens anything.",
        "Answer the authority that suspended it.", "密钥所属应用已被暂停，其全部密钥均不可用。",
        "请联系作出暂停决定的主管部门。", "the key's app is suspended: odd pattern",
    ),
    ProblemType(
        "app_closed", 403, "The key's app was closed for good.", "Use a key of another app.",
        "密钥所属应用已永久关闭。", "请使用其他应用的密钥。", "the key's app is closed: replaced",
    ),
    ProblemType(
        "address_not_allowed", 403, "The key is bound to networks, and the call came from elsewhere.",
        "Call from the key's networks; behind a proxy the operator of the API must name it.",
        "密钥绑定了网段，而调用来自其他地址。", "请从绑定网段调用；如经代理，须由平台登记该代理。",
        "the key is not for this address",
    ),
    ProblemType(
        "use_not_in_key", 403, "The key is not for this call.", "Use a key whose calls include this one.",
        "密钥不可用于该调用。", "请使用包含该调用的密钥。", "the key is not for this call",
    ),
    ProblemType(
        "product_not_in_key", 403, "The key is for other products.", "Use a key that was made for this product.",
        "密钥不适用于该产品。", "请使用为该产品创建的密钥。", "the key is for another product",
    ),
    ProblemType(
        "purpose_not_allowed", 403, "The key is not for this purpose.", "Name one of the key's purposes.",
        "密钥不适用于该用途。", "请填写密钥所允许的用途。", "the key is not for this purpose",
    ),
    ProblemType(
        "product_suspended", 403, "The product is suspended or recalled; the detail says why.",
        "Watch the status page, or subscribe to product.suspended and product.restored.",
        "产品已暂停或召回，原因见 detail。", "请关注状态页，或订阅 product.suspended 与 product.restored。",
        "the product is suspended: objection under review",
    ),
    ProblemType(
        "product_not_in_service", 403, "The product is not in service.", "See its sheet for its state.",
        "产品未在服务中。", "请查看产品说明中的状态。", "the product is listed",
    ),
    ProblemType(
        "authorization_*", 403, "The authorization behind the product is not in force; the code ends in its state.",
        "Nothing can be called until it is in force again.", "产品所依据的授权未生效；代码结尾为其状态。",
        "在其恢复生效之前无法调用。", "authorization aut_01k is suspended",
    ),
    ProblemType(
        "grant_*", 403, "The grant behind the product is not in force; the code ends in its state.",
        "Nothing can be called until it is in force again.", "产品所依据的授权范围未生效；代码结尾为其状态。",
        "在其恢复生效之前无法调用。", "grant grt_01k is suspended",
    ),
    ProblemType(
        "scope_*", 403, "The grant's scope does not allow this use; `rule` names the line and clause.",
        "Ask for another purpose, or at another hour, as the product's sheet says.",
        "授权范围不允许该使用；rule 指出所依据的条款。", "请按产品说明改用其他用途或时段。",
        "its moment lies outside the grant's hours",
    ),
    ProblemType(
        "not_allowed", 403, "The policy layer refuses; `rule` names the line.", "See the rule.",
        "策略层拒绝，依据见 rule。", "请查看所引规则。", "`data:serve` is refused",
    ),
    ProblemType(
        "fault", 403, "The use could not be decided, so it is refused.", "Try again later.",
        "无法判定，因此拒绝。", "请稍后再试。", "`data:serve` could not be decided, so it is refused",
    ),
    ProblemType(
        "product_unknown", 404, "No product has this code.", "List the products: GET /v1/products.",
        "没有该代码的产品。", "请查询产品列表：GET /v1/products。", "no product has this code",
    ),
    ProblemType(
        "file_unknown", 404, "The product has no file of this name.", "Its sheet names the file.",
        "产品没有该名称的文件。", "文件名见产品说明。", "the product has no file of this name",
    ),
    ProblemType(
        "not_found", 404, "There is no such thing, or not for this key's organisation.", "Check the id and the path.",
        "不存在，或不属于该密钥的单位。", "请核对标识与路径。", "no metered use with this id",
    ),
    ProblemType(
        "method_not_allowed", 405, "The path knows other methods only.", _FORM, "该路径不支持此方法。", _FORM_ZH,
        "Method Not Allowed",
    ),
    ProblemType(
        "body_too_slow", 408, "The body took over 10 seconds; the connection is closed.", "Send it in one go.",
        "请求体传输超过 10 秒，连接已关闭。", "请一次性发送。", "the request's body did not arrive in time",
    ),
    ProblemType(
        "idempotency_conflict", 409, "The Idempotency-Key was used for another request.",
        "Use a new key for a new question.", "该 Idempotency-Key 已用于另一请求。", "新的问题请使用新的键。",
        "the idempotency key was sent with another request",
    ),
    ProblemType(
        "body_too_large", 413, "The body is over 64 KiB; the connection is closed.",
        "Split a batch: it holds at most 100 questions.", "请求体超过 64 KiB，连接已关闭。",
        "请拆分批量：每批至多 100 个问题。", "the request's body is too large",
    ),
    ProblemType(
        "range_unsatisfiable", 416, "The file has no bytes in the asked range; Content-Range says how many it has.",
        "Ask for a range inside, or for the whole file.", "文件在所要求的范围内没有内容；长度见 Content-Range。",
        "请改用文件范围之内的区间，或下载整个文件。", "the file has no bytes in the asked range",
    ),
    ProblemType(
        "file_unmarked", 503, "The buyer's copy cannot be marked now, so the file is not given out.", _AGAIN,
        "暂时无法为购买方的副本加标记，因此不予提供。", _AGAIN_ZH, "the copy cannot be marked now",
    ),
    ProblemType(
        "invalid", 422, "The request does not fit its form; the detail names the place.", _FORM,
        "请求不符合格式，位置见 detail。", _FORM_ZH, "the request does not fit its form at $.claim",
    ),
    ProblemType(
        "subject_fields", 422, "The subject has other fields than the product asks for.",
        "`accepted` names the fields; so does the sheet.", "主体的字段与产品要求不符。",
        "所需字段见 accepted 与产品说明。", "the subject has other fields than the product asks for",
    ),
    ProblemType(
        "consent_required", 422, "A question about a person names no reference to that person's consent.",
        "Send `consent`: a reference of 1 to 200 printable letters that is no field of the subject.",
        "涉及个人的核验未附该人同意的凭证编号。", "请发送 `consent`：1 至 200 个可打印字符的编号，且不得是主体的字段。",
        "the question names no reference to the person's consent",
    ),
    ProblemType(
        "claim_unknown", 422, "The product does not answer this claim.", "`accepted` names the claims.",
        "产品不提供该核验事项。", "可用事项见 accepted。", "the product does not answer this claim",
    ),
    ProblemType(
        "rate_exceeded", 429, "More calls a second than the key has.", "Wait as long as Retry-After says.",
        "每秒调用超过密钥上限。", "请按 Retry-After 等待。", "more calls a second than the key has",
    ),
    ProblemType(
        "asks_spent", 429, "The asks of the day are used up: about new subjects, or about this one.",
        "Ask tomorrow, or about subjects that were asked about before; the operating unit sets a product's limits.",
        "今日的查询次数已用尽：或为新主体，或为该主体。",
        "请明日再试，或查询此前已查询过的主体；产品限额由运营单位设定。",
        "the asks of the day are used up: about new subjects, or about this one",
    ),
    ProblemType(
        "quota_exceeded", 429, "The key's quota of the day is used up.", "RateLimit says when it is full again.",
        "密钥当日配额已用完。", "恢复时间见 RateLimit。", "the key's quota of the day is used up",
    ),
    ProblemType(
        "grant_quota_exceeded", 429, "The quota of the grant behind the product does not hold so many more uses.",
        "`accepted` says from which day on.", "产品所依据的授权限额不足。", "可用日期见 accepted。",
        "the quota of grant grt_01k, 1000 uses a day, does not hold 1 more",
    ),
    ProblemType(
        "too_many_attempts", 429, "Too many calls without a known key from one address.", "Wait, and send a known key.",
        "同一地址过多无效密钥的调用。", "请稍候并使用有效密钥。", "too many calls without a known key",
    ),
    ProblemType(
        "failure", 500, "The platform failed to answer; the call was not charged.", _AGAIN,
        "平台未能应答，未计费。", _AGAIN_ZH, "the platform failed to answer; the call was not charged",
    ),
    ProblemType(
        "meter_unavailable", 503, "The call cannot be metered now, so it is not answered.", _AGAIN,
        "暂时无法计量，因此不应答。", _AGAIN_ZH, "the call cannot be metered now, so it is not answered",
    ),
    ProblemType(
        "state_unknown", 503, "The process has not heard for some seconds what is in force.", _AGAIN,
        "该进程数秒内未获知当前生效的状态。", _AGAIN_ZH, "the platform cannot tell what is in force now",
    ),
    ProblemType(
        "index_missing", 503, "The product has no index at hand.", _AGAIN, "产品的索引暂不可用。", _AGAIN_ZH,
        "the product has no index at hand",
    ),
    ProblemType(
        "file_damaged", 503, "The product's file is not what was registered, so it is not given out.",
        "Tell the platform; nothing was charged.", "产品文件与登记内容不符，因此不予提供。", "请通知平台，未计费。",
        "the product's file is not what was registered",
    ),
    ProblemType(
        "form_unknown", 404, "The product is of another form than the call.", "Read its kind on its sheet.",
        "产品的形式与该调用不符。", "请在产品说明中查看其形式。", "the product is no model",
    ),
    ProblemType(
        "input_unknown", 422, "An input has a field that the model does not read.", "Send the fields of the sheet.",
        "输入含有模型不读取的字段。", "请只发送产品说明中的字段。", "an input has a field that the model does not read",
    ),
    ProblemType(
        "input_missing", 422, "A field of an input is missing that must be there.", "Send what `accepted` says.",
        "输入缺少必填字段。", "请发送 `accepted` 所述内容。", "input `age` is missing",
    ),
    ProblemType(
        "input_invalid", 422, "A field of an input is not what it may be.", "Send what `accepted` says.",
        "输入的字段取值不被接受。", "请发送 `accepted` 所述内容。", "input `age` is not what it may be",
    ),
    ProblemType(
        "inputs_exceeded", 429, "The organisation asked as many different inputs as one may in a window.",
        "Wait for the next window; repeats of earlier inputs go on.",
        "单位在本时间窗内可提交的不同输入已用完。", "请等待下一时间窗；重复此前的输入不受影响。",
        "the organisation's different inputs of the window are used up",
    ),
    ProblemType(
        "probing_exceeded", 429, "Too many inputs lie beside another of the organisation: the model is mapped out.",
        "Wait for the next window, and ask about cases as they come.",
        "过多输入与同一单位的其他输入仅有细微差别，疑似探测模型。", "请等待下一时间窗，并按实际业务提交。",
        "the organisation's inputs beside another of the window are used up",
    ),
    ProblemType(
        "parameter_twice", 422, "A parameter is sent twice, or there are too many.", "Send each parameter once.",
        "参数重复或过多。", "每个参数只发送一次。", "a parameter is sent twice, or there are too many",
    ),
    ProblemType(
        "parameter_unknown", 422, "A parameter is not one of the data service's.", "Read them on its sheet.",
        "该参数不属于此数据服务。", "请在产品说明中查看参数。", "the service has no such parameter",
    ),
    ProblemType(
        "parameter_missing", 422, "A parameter is missing that must be there.", "Send what `accepted` says.",
        "缺少必填参数。", "请发送 `accepted` 所述内容。", "parameter `district` is missing",
    ),
    ProblemType(
        "parameter_invalid", 422, "A parameter is outside its domain.", "Send what `accepted` says.",
        "参数不在其取值范围内。", "请发送 `accepted` 所述内容。", "parameter `district` is outside its domain",
    ),
    ProblemType(
        "questions_exceeded", 429, "The organisation asked as many new questions as one may in a day.",
        "Wait for the next day; questions that were answered go on.",
        "单位当日可提出的新问题已用完。", "请次日再试；已答复过的问题不受影响。",
        "the organisation's new questions of the day are used up",
    ),
    ProblemType(
        "busy", 503, "Too much waits for the product.", _AGAIN, "等待该产品的请求过多。", _AGAIN_ZH,
        "too many inputs wait for the model",
    ),
    ProblemType(
        "model_unavailable", 503, "The model gave no answer.", _AGAIN, "模型未给出结果。", _AGAIN_ZH,
        "the model gave no answer; trying again is safe",
    ),
    ProblemType(
        "form_unavailable", 503, "What answers for the product is not there now.", _AGAIN,
        "应答该产品的进程暂不可用。", _AGAIN_ZH, "the product cannot be answered now; trying again is safe",
    ),
    ProblemType(
        "terms_missing", 503, "The product's terms are missing, so it cannot be answered.",
        "Tell the operating unit; nothing was charged.", "产品条款缺失，无法应答。", "请通知运营单位，未计费。",
        "the product has no terms of a model",
    ),
    ProblemType(
        "unavailable", 503, "A part that is needed cannot answer now.", _AGAIN, "所需部分暂时无法应答。", _AGAIN_ZH,
        "a part that is needed cannot answer now",
    ),
    ProblemType(
        "erased", 422, "The first answer under this Idempotency-Key was erased by law.", "Ask anew, with a new key.",
        "该 Idempotency-Key 下的首次结果已依法删除。", "请用新的键重新提问。", "the answer was erased by law",
    ),
)  # fmt: skip

_EXACT = {one.code: one for one in PROBLEMS if not one.is_family}
_FAMILIES = tuple(one for one in PROBLEMS if one.is_family)


def find_problem(code: str) -> ProblemType | None:
    """Return the kind of problem that a code names, also one of a family; None for a code that nobody answers with."""
    found = _EXACT.get(code)
    return found or next((one for one in _FAMILIES if code.startswith(one.code[:-1])), None)


def problems_of(status: int, among: Iterable[ProblemType] = PROBLEMS) -> tuple[ProblemType, ...]:
    """Return the problems of one status, in the order of the list."""
    return tuple(one for one in among if one.status == status)


def document_of(one: ProblemType) -> dict[str, object]:
    """Return one kind of problem as JSON shows it."""
    return {
        "type": one.uri, "code": one.code, "status": one.status,
        "means": {"en": one.means, "zh": one.means_zh}, "helps": {"en": one.helps, "zh": one.helps_zh},
    }  # fmt: skip


def page_of(found: Iterable[ProblemType]) -> str:
    """Return a plain page of problems in both languages, for who opens a problem's type in a browser."""
    rows = "".join(
        f'<section id="{one.code}"><h2><code>{one.code}</code> <small>{one.status}</small></h2>'
        f"<p>{escape(one.means)} {escape(one.helps)}</p>"
        f'<p lang="zh-Hans">{escape(one.means_zh)}{escape(one.helps_zh)}</p></section>'
        for one in found
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Problems · 数闸 Shuzha</title><main><h1>Problems 错误类型</h1>{rows}"
        f'<p><a href="{TYPE.rstrip("/")}">All problems 全部</a></p></main></html>'
    )
