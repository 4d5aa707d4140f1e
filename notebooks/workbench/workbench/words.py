"""The words that answers are shown in, Chinese and English side by side: no setting decides which a reader gets."""

from __future__ import annotations

from typing import Any

EXPORT_STATES = {
    "draft": ("草稿", ""), "submitted": ("已提交", ""), "rerunning": ("重算中", ""), "screened": ("待审核", ""),
    "under_review": ("审核中", ""), "consolidation": ("合议中", ""), "approved": ("已批准", "good"),
    "sealed": ("已封装", "good"), "released": ("已出域", "good"), "returned": ("退回修改", "warn"),
    "rejected": ("已驳回", "bad"), "withdrawn": ("已撤回", ""), "held": ("暂缓", "warn"), "recalled": ("已召回", "bad"),
}  # fmt: skip
"""Each state of an export request in Chinese, and how it looks."""

WORKSPACE_STATES = {
    "requested": "已申请", "opening": "启动中", "open": "已打开", "stopped": "已停止", "suspended": "已暂停",
    "closed": "已关闭",
}  # fmt: skip

TYPES = {
    "String": "文本 text", "Boolean": "是否 yes/no", "Datetime": "时刻 moment", "Date": "日期 date",
    "Time": "时间 time",
    "Int": "整数 integer", "UInt": "整数 integer", "Float": "数值 number", "Decimal": "小数 decimal", "Null": "空 null",
    "Categorical": "类别 category", "Enum": "类别 category", "List": "列表 list",
}  # fmt: skip

RULES = {
    "min_count": ("每格至少 N 个主体", "each cell rests on enough different entities"),
    "dominance_nk": ("前 n 个主体不得占大头", "the largest few entities do not make up most of a cell"),
    "dominance_p": ("不得据第二大推出最大值", "the largest cannot be worked out from the second largest"),
    "dof": ("离散程度须有足够自由度", "a figure of spread has enough degrees of freedom"),
    "zero_cell": ("不得有未申报的空格或独占的边", "no undeclared empty cell, and none holds a whole margin"),
    "class_disclosure": ("同格成员不得取值全同", "the members of a cell do not all share one value"),
    "extreme": ("极值、中位数须由足够多主体取得", "an extreme or median is the value of enough entities"),
    "differencing": ("两份成果相减不得暴露少数人", "two outputs do not differ by a few people"),
    "leverage": ("回归不得由一个主体决定", "no entity sets its own value in a regression"),
    "standard_errors": ("标准误须可算且按主体聚类", "standard errors exist and are clustered by entity"),
    "plot": ("图形须由平台据其表绘制", "a figure is drawn by the platform from its table"),
    "repair_failed": ("所选修复保护不了", "the repair that was asked for does not protect"),
    "unknown_aggregate": ("没有规则的统计量不放行", "a figure that no rule covers does not pass"),
    "specification": ("规格须合语法且与数据相符", "a specification is of the grammar and fits the data"),
    "checker_failed": ("检查失败即不通过", "a check that failed has not passed"),
    "label_pii": ("标题、标签中不得有标识符", "no identifier stands in a heading or label"),
    "file_type": ("内容须为允许的类型", "the content is of a type on the list"),
    "file_size": ("行数、大小在限额内", "rows and bytes stay within the limits"),
    "scope": ("只读取授权范围内的数据", "only what the grant gives is read"),
    "kernel_differs": ("以平台的计算为准", "what is released is the platform's own result"),
    "rerun_differs": ("重算须得到每项声明的成果", "run again, the notebook declares every output"),
    "session_differs": ("重算结果须与提交时会话中的一致", "run again, it comes out as in the session"),
    "own_files": ("所在单位带入的文件须人工判断", "people judge what files of the unit add to an output"),
    "free_form": ("自由格式须人工判断", "people judge what the platform cannot compute itself"),
    "suppressed": ("已隐去格子", "cells were left out"),
    "rounding": ("可以修复", "a repair is on offer"),
    "differencing_later": (
        "提交时再与其他单位的成果比较",
        "other units' outputs are compared with when it is submitted",
    ),
    "picture_detail": ("图片细节过多可藏数据", "a picture with too much detail may hold anything"),
    "hidden_text": ("不得有看不见的文字", "no text that a reader does not see"),
    "opaque_values": ("不得有看不懂的长串", "no long strings that nobody can read"),
    "canonical": ("按统一格式重写", "written anew in one canonical form"),
    "model_format": ("模型须为可读的允许格式", "a model is a sound file of an accepted format"),
    "model_code": ("装载模型不得执行代码", "nothing in a model runs code when loaded"),
    "model_type": ("算子与估计器须在清单内", "operators and estimators are on the list"),
    "model_stores_rows": ("模型不得保存训练记录", "no part of a model keeps training rows"),
    "model_extra": ("模型不得夹带多余内容", "a model holds nothing that it does not need"),
    "model_budget": ("模型大小须与训练数据相称", "a model's size fits its training table"),
    "model_dof": ("训练人数须多于拟合参数", "more people than fitted numbers"),
    "model_leaf": ("叶、类别、标签背后须有足够的人", "enough people behind each leaf, category and class"),
    "model_rows": ("模型参数中不得有原始记录", "a model's numbers are no rows of the release"),
    "model_evidence": ("须有完整的检验证据", "everything asked of a model was measured"),
    "membership": ("不得看出谁参与了训练", "no attack tells who was trained on"),
    "membership_tail": ("低误报时不得认出成员", "few members are found at few false alarms"),
    "membership_record": ("不得有一眼可认出的个人", "no single member stands out"),
    "model_holdout": ("模型不得见过留出的人", "the model has not seen those held out"),
    "attribute_inference": ("不得推断出敏感属性", "sensitive values are not inferred"),
    "model_quality": ("模型须优于无模型", "a model does better than no model"),
    "model_privacy": ("差分隐私参数须核算属实", "a declared epsilon is what was spent"),
    "row_overlap": ("成果中不得有授权数据的行", "no rows of a granted release are found again"),
    "row_risk": ("逐行数据须达到 k 与 τ 限值", "rows meet the re-identification limits of their audience"),
    "claims_counted_later": ("提交时才清点核验项", "claims are counted when it is submitted"),
}
"""The airlock's rules in few words; its own list has the parameters."""

SEVERITIES = {"block": ("不放行 block", "bad"), "review": ("须人工审核 review", "warn"), "note": ("提示 note", "")}
VERDICTS = {"pass": ("通过 pass", "good"), "review": ("须人工审核 review", "warn"), "block": ("不放行 block", "bad")}


def type_word(dtype: Any) -> str:
    """Return a column's type in words, as a schema or a certificate names it (`Int64`, `Datetime(...)`)."""
    name = str(dtype)
    return next((word for start, word in TYPES.items() if name.startswith(start)), name)
