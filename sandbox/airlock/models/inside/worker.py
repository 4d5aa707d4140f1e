"""The worker of the model gate: reads one model, measures it over the prepared rows, answers, and ends.

    python -m sandbox.airlock.models.inside.worker     (order and file on standard input, the answer on standard output)

It runs in a jail (`models.apart`), under caps that it takes on before it reads a byte of the file.
"""

from __future__ import annotations

import hashlib
import resource
import sys

import msgspec

from sandbox.airlock.models.apart import Order
from sandbox.airlock.models.evidence import Answer, Evidence, Refusal


def main() -> int:
    """Do one order; return the exit code."""
    told = sys.stdin.buffer
    order = msgspec.msgpack.decode(told.read(int.from_bytes(told.read(8), "big")), type=Order)
    for kind, most in (
        (resource.RLIMIT_AS, order.addresses), (resource.RLIMIT_CPU, order.cpu_seconds), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_FSIZE, 256 * 1024**2),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))
    sys.stdout.buffer.write(msgspec.msgpack.encode(work(order, told.read(order.size))))
    return 0


def work(order: Order, data: bytes) -> Answer | Refusal:
    """Return what the file is and, where rows were given, what was measured of it."""
    # Numeric libraries are loaded where the file is read, after the caps.
    from sandbox.airlock.models.inside import measuring
    from sandbox.airlock.models.inside.arithmetic import ProgramFault
    from sandbox.airlock.models.problems import ModelRefused
    from sandbox.airlock.models.reading import read_model

    specification = order.specification
    try:
        read = read_model(data, specification)
    except ModelRefused as error:
        return Refusal(error.rule, str(error.place), error.accepted)
    program = read.program
    answer = Answer(read.format, read.content, read.types, program.family, program.numbers, program.texts())
    if not order.table:
        return answer
    asked = measuring.Asked(
        specification.task, tuple(specification.classes),
        {name: specification.columns.index(name) for name in specification.sensitive if name in specification.columns},
        order.seconds, int.from_bytes(hashlib.sha256(read.content).digest()[:4], "big"), order.least,
    )  # fmt: skip
    try:
        measured = measuring.measure(
            program, measuring.load(order.table, len(specification.columns)), asked, order.also
        )
        evidence = msgspec.convert(measured, Evidence, strict=False)
    except (measuring.Unmeasured, ProgramFault) as error:
        return msgspec.structs.replace(answer, failed=str(error))
    return msgspec.structs.replace(answer, evidence=evidence)


if __name__ == "__main__":
    sys.exit(main())
