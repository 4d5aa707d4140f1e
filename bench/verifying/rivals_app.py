"""The rivals: an idiomatic empty FastAPI POST route, and FastAPI with asyncpg and PostgreSQL that looks up and meters.

python rivals_app.py empty PORT
python rivals_app.py postgres PORT DSN
"""

import datetime as dt
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel, Field


class Question(BaseModel):
    subject: dict[str, str]
    claim: str = Field(max_length=64)
    purpose: str = Field(max_length=64)
    consent: str = Field(max_length=200)


class Reply(BaseModel):
    result: Literal["match", "no_match"]
    usage_id: str


def empty() -> FastAPI:
    """Return an app whose route reads a question and answers a constant: no key, no lookup, no meter."""
    app = FastAPI()

    @app.post("/v1/products/{code}/verify")
    async def verify(code: str, question: Question) -> Reply:  # noqa: ARG001
        return Reply(result="match", usage_id="usg_01jexample0000000000000000")

    return app


def with_postgres(dsn: str) -> FastAPI:
    """Return an app as one would write it: the key and the subject looked up by key, a usage row a call, committed."""
    import asyncpg

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await asyncpg.create_pool(dsn, min_size=16, max_size=16)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)

    async def connection(request: Request) -> AsyncIterator[asyncpg.Connection]:
        async with request.app.state.pool.acquire() as taken:
            yield taken

    @app.post("/v1/products/{code}/verify")
    async def verify(
        code: str,
        question: Question,
        authorization: Annotated[str, Header()],
        database: Annotated[asyncpg.Connection, Depends(connection)],
    ) -> Reply:
        subject = question.subject["resident_id"]
        found = await database.fetchrow("SELECT claims FROM subjects WHERE subject = $1", subject)
        if not authorization.startswith("Bearer "):
            raise HTTPException(401)
        result = "match" if found and found["claims"] & 1 else "no_match"
        usage_id = uuid.uuid4()
        await database.execute(
            "INSERT INTO usage (usage_id, key, product, claim, purpose, result, occurred_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            usage_id, authorization[7:20], code, question.claim, question.purpose, result, dt.datetime.now(dt.UTC),
        )  # fmt: skip
        return Reply(result=result, usage_id=str(usage_id))

    return app


if __name__ == "__main__":
    made = empty() if sys.argv[1] == "empty" else with_postgres(sys.argv[3])
    uvicorn.run(
        made, host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop", http="httptools", ws="none",
        log_level="warning", access_log=False,
    )  # fmt: skip
