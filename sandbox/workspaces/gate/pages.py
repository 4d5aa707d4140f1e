"""The pages that the gate itself shows, in Chinese and English, for people; and the same as JSON for programs."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass

from aiohttp import web

_STYLE = (
    "body{font:16px/1.6 system-ui,'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif;max-width:40rem;"
    "margin:4rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}h1{font-size:1.4rem}"
    "p.reason{border-left:4px solid #b00020;padding-left:1rem}a{color:#0b57d0}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the gate does not pass a request: status, stable code, titles in both languages, the reason, what to do."""

    status: int
    code: str
    title: str
    title_zh: str
    reason: str
    retry_after: int = 0
    then: str = ""

    @property
    def close_code(self) -> int:
        """The code with which a websocket is closed for this refusal: 4000 and the status (4429, 4403, 4503)."""
        return 4000 + self.status


def suspended(reason: str) -> Refusal:
    """Return the refusal of a suspended workspace."""
    then = "what is in it is kept; its page in the portal says how it stands / 其中内容保留；进展见门户的工作区页面"
    return Refusal(403, "workspace_suspended", "This workspace is suspended", "该工作区已被暂停", reason, then=then)


def orders_unknown() -> Refusal:
    """Return the refusal of every workspace while the platform's orders cannot be read."""
    why = "the platform's orders cannot be read, and without orders nothing passes / 无法读取平台指令，暂不放行"
    return Refusal(503, "controls_unreadable", "Workspaces are held back", "工作区暂不可用", why)


def budget_used(limit_left: int, retry_after: int = 0) -> Refusal:
    """Return the refusal of a workspace that has shown as many bytes today as it may."""
    why = (
        "the screen budget of today is used up; results leave by an export request, and the authority can raise the"
        f" budget ({max(limit_left, 0)} bytes left) / 今日显示额度已用完，结果请通过出域申请带出"
    )
    return Refusal(429, "screen_budget_used", "Screen budget used up", "显示额度已用完", why, retry_after)


def cannot_count() -> Refusal:
    """Return the refusal of every workspace while what it shows cannot be written down."""
    why = "what is shown cannot be written down now, so nothing is shown / 暂时无法记录显示量，暂不放行"
    return Refusal(503, "screen_count_failed", "Workspaces are held back", "工作区暂不可用", why)


def stranger() -> Refusal:
    """Return the refusal of somebody whom the workspace's own server does not know."""
    return Refusal(403, "not_signed_in", "Sign in first", "请先登录", "sign in to this workspace / 请先登录该工作区")


def too_many(most: int) -> Refusal:
    """Return the refusal of a websocket when the workspace has `most` open."""
    why = f"this workspace has {most} connections to kernels open; close some pages / 该工作区的内核连接数已达上限"
    return Refusal(429, "too_many_connections", "Too many connections", "连接过多", why)


def coded_answer() -> Refusal:
    """Return what is said instead of an answer whose bytes a browser would unpack into more than was counted."""
    why = "its server answered in packed form, which the gate does not pass / 服务返回了压缩内容，已拒绝"
    return Refusal(502, "answer_packed", "The answer cannot be shown", "无法显示该内容", why)


def bad_request(reason: str) -> Refusal:
    """Return the refusal of a request whose head could be read in two ways, or that no server here answers."""
    return Refusal(400, "bad_request", "This request is not accepted", "请求不被接受", reason)


def too_slow() -> Refusal:
    """Return the refusal of a body that does not arrive in time."""
    return Refusal(
        408, "body_too_slow", "Too slow", "上传过慢", "the request's body did not arrive in time / 请求体未及时到达"
    )


def closed_route(reason: str) -> Refusal:
    """Return the refusal of a route that is not on the allow-list."""
    return Refusal(403, "route_closed", "This route is closed", "该路径未开放", reason)


def bad_path(reason: str) -> Refusal:
    """Return the refusal of a path that could be read in two ways."""
    return Refusal(400, "bad_path", "This address is not accepted", "地址不被接受", reason)


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body or notebook above `limit` bytes."""
    why = f"it is larger than {limit} bytes, the most that passes between a workspace and a browser"
    return Refusal(413, "too_large", "Too large", "内容过大", why)


def not_a_notebook(status: int) -> Refusal:
    """Return what is said instead of a server's own error about contents."""
    why = "there is no such notebook or folder, or it cannot be shown / 没有该笔记本或文件夹，或无法显示"
    return Refusal(status, "contents_refused", "Cannot be shown", "无法显示", why)


def unreachable() -> Refusal:
    """Return the answer when the server behind a route does not answer."""
    why = "its server does not answer; it may be starting or have been stopped / 服务未响应，可能正在启动或已停止"
    then = "its page in the portal says how it stands, and starts it again / 请在门户的工作区页面查看或重新启动"
    return Refusal(503, "server_unreachable", "The workspace does not answer", "工作区没有响应", why, then=then)


def answer(request: web.BaseRequest, refusal: Refusal) -> web.Response:
    """Return `refusal` as a page for a browser, as problem+json for anything else."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if refusal.retry_after:
        headers["Retry-After"] = str(refusal.retry_after)
    if "text/html" not in request.headers.get("Accept", ""):
        body = {
            "type": "about:blank", "title": refusal.title, "status": refusal.status, "code": refusal.code,
            "detail": refusal.reason, "message": refusal.reason,
        }  # fmt: skip
        text = json.dumps(body, ensure_ascii=False)
        return web.Response(status=refusal.status, text=text, content_type="application/problem+json", headers=headers)
    page = (
        f'<!doctype html><html lang="zh-Hans"><head><meta charset="utf-8"><title>{refusal.title_zh}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{refusal.title_zh} · {refusal.title}</h1>"
        f'<p class="reason">{html.escape(refusal.reason)}</p><p>{html.escape(refusal.then)}</p></main></body></html>'
    )
    headers["Content-Security-Policy"] = _POLICY
    return web.Response(status=refusal.status, text=page, content_type="text/html", headers=headers)
