"""Append events to a store until killed; say on the standard output what was acknowledged, and when.

python appending.py KIND FOLDER URL FIRST
"""

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

from store_kinds import event, exposure, make_store

from segue.serving.stores import Lifetimes, SteadyClock

RATE = 500
LONG = Lifetimes()


class Server:
    """The address of a server that runs elsewhere."""

    def __init__(self, url: str) -> None:
        self.url = url


def session_of(number: int) -> str:
    """Return the session of an event; now and then there is one of its own, which is deleted."""
    return f"gone-{number}-" if number % 120 == 7 else f"s{number % 10}"


def nth(number: int):
    return event(number // 3, f"item-{number}", f"id-{number}")


def say(kind: str, number: int) -> None:
    os.write(1, f"{kind} {number} {time.monotonic()}\n".encode())


def note_stalls(file: Path) -> None:
    """Say how long a busy machine keeps a thread waiting that wants to run, or to write without a sync."""
    worst, last = 0.0, time.monotonic()
    stream = file.open("wb", buffering=0)
    while True:
        time.sleep(0.002)
        stream.write(b"x" * 512)
        now = time.monotonic()
        if now - last > worst:
            worst = now - last
            say("stalled", int(1000 * worst))
        last = now


async def main(kind: str, folder: Path, url: str, first: int) -> None:
    store = make_store(kind, folder, SteadyClock(), Server(url), seconds=0.1, lifetimes=LONG)
    await store.open()
    say("ready", first)
    threading.Thread(target=note_stalls, args=(folder / "stalls",), daemon=True).start()
    others = set()

    async def commit(number: int) -> None:
        await store.committed()
        say("durable", number)

    async def delete(number: int) -> None:
        await store.delete(session_of(number))
        say("deleted", number)

    number, start = first, time.monotonic()
    while True:
        await store.append(session_of(number), [nth(number)])
        say("accepted", number)
        if number % 5 == 0:
            store.expose(exposure(session_of(number), f"r{number}"))
        if number % 40 == 20:
            others.add(asyncio.create_task(commit(number)))
        elif session_of(number).startswith("gone"):
            others.add(asyncio.create_task(delete(number)))
        number += 1
        await asyncio.sleep(max(0.0, start + (number - first) / RATE - time.monotonic()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
