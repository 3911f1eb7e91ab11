"""Logs of parts whose pipes were closed behind the supervisor's back."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

from tornado.ioloop import IOLoop

from deploy.local.supervise import OwnPipes


@dataclass
class Part:
    """A process with one pipe, and what was logged of it."""

    loop: IOLoop
    pid: int = 1
    pipe_stdout: bool = True
    pipe_stderr: bool = False
    lines: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        read, self.end = os.pipe()
        self.stdout = os.fdopen(read, "rb", buffering=0)
        self.log = OwnPipes(lambda entry: self.lines.append(entry["data"]), None, loop=self.loop)
        self.log.start()

    def say(self, text: bytes) -> None:
        os.write(self.end, text)


async def story() -> tuple[Any, ...]:
    loop = IOLoop.current()
    first = Part(loop)
    first.log.add_redirections(first)
    number = first.stdout.fileno()
    first.stdout.close()  # nobody told the log
    second = Part(loop)
    same = second.stdout.fileno() == number
    second.log.add_redirections(second)
    second.say(b"begun")
    await asyncio.sleep(0.05)
    first.log.stop()
    second.say(b"goes on")
    await asyncio.sleep(0.05)
    second.log.remove_redirections(second)
    second.stdout.close()
    for part in (first, second):
        os.close(part.end)
    return same, first.lines, second.lines


def test_a_pipes_number_goes_to_the_next_process() -> None:
    assert asyncio.run(story()) == (True, [], [b"begun", b"goes on"])
