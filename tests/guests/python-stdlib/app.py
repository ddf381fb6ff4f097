"""An order book kept with Python's standard library: json, datetime, random, uuid, os, pathlib and asyncio at work.

Orders lie as `in/NAME.json` in the granted folder `/shop`. Calls (README.md beside the guests has the list): `take` reads them into the
book, `ship` lets a few packers ship what is open, `report` answers the book, `folder` what lies in `/shop`. What must hold is asserted here.
"""

import asyncio
import json
import os
import random
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import loop
from componentize_py_types import Err
from wit_world import exports

SHOP = Path("/shop")
CARRIERS = ["bicycle", "van", "tram"]
# Asks the system for every number: the state of `random` itself is fixed when the component is built.
dice = random.SystemRandom()

# What the actor knows without its files.
book: dict[str, dict] = {}


class GenServer(exports.GenServer):
    def handle_request(self, from_: str, message_type: str, payload: bytes) -> bytes:
        match message_type:
            case "take":
                return answer(take())
            case "ship":
                return answer(loop.run(ship(int(payload or b"2"))))
            case "report":
                return answer(report())
            case "folder":
                return answer(folder())
            case "nap":
                return answer(loop.run(nap(int(payload) / 1000)))
            case "asyncio":
                loop.run(behaviours())
                return b'"ok"'
            case _:
                raise Err(f"unknown message type: {message_type}")


def answer(value) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def now() -> datetime:
    return datetime.now(timezone.utc)


def take() -> list[str]:
    """Reads each order, gives it an id and a day by which it is due, and keeps it in a file of its own."""
    taken = []
    (SHOP / "book").mkdir(parents=True, exist_ok=True)
    for source in sorted((SHOP / "in").glob("*.json")):
        order = json.loads(source.read_text(encoding="utf-8"))
        placed = datetime.fromisoformat(order["placed"])
        assert placed.tzinfo is not None, "a moment with its zone"
        number = uuid.uuid4()
        assert number.version == 4 and uuid.UUID(str(number)) == number
        kept = {
            "name": source.stem,
            "customer": order["customer"],
            "cents": sum(item["cents"] * item["count"] for item in order["items"]),
            "placed": placed.astimezone(timezone.utc).isoformat(),
            "due": (placed + timedelta(days=3)).date().isoformat(),
            "taken": now().isoformat(),
            "carrier": dice.choice(CARRIERS),
            "shipped": None,
        }
        assert datetime.fromisoformat(kept["taken"]) > placed, "the clock is past what is placed"
        write(str(number), kept)
        taken.append(source.stem)
        source.unlink()
        assert not source.exists()
    return taken


def write(number: str, order: dict) -> None:
    """Into a file beside it first, so that a file is old or new, never half."""
    book[number] = order
    target = SHOP / "book" / f"{number}.json"
    beside = target.with_suffix(".tmp")
    with open(beside, "w", encoding="utf-8") as out:
        json.dump(order, out, ensure_ascii=False, indent=1)
    os.replace(beside, target)
    assert json.loads(target.read_bytes()) == order
    assert os.stat(target).st_size == target.stat().st_size > 0


async def ship(packers: int) -> list[dict]:
    """A few packers take orders from a queue, each as long as its dice say, and are told to go home when it is empty."""
    queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=2)
    counter = asyncio.Semaphore(1)
    shipped, busy, most = [], 0, 0

    async def pack(name: str) -> int:
        nonlocal busy, most
        packed = 0
        while (number := await queue.get()) is not None:
            busy += 1
            most = max(most, busy)
            before = asyncio.get_running_loop().time()
            nap = dice.uniform(0.001, 0.01)
            await asyncio.sleep(nap)
            assert asyncio.get_running_loop().time() - before >= nap * 0.99, "slept as long as was asked for"
            async with counter:
                order = dict(book[number], shipped=now().isoformat(), packer=name)
                write(number, order)
                shipped.append({"name": order["name"], "packer": name})
            packed += 1
            busy -= 1
        return packed

    async def deal() -> None:
        for number in sorted(book, key=lambda number: book[number]["name"]):
            if book[number]["shipped"] is None:
                await queue.put(number)
        for _ in range(packers):
            await queue.put(None)

    names = [f"packer {n}" for n in range(packers)]
    *packed, none = await asyncio.gather(*(pack(name) for name in names), deal())
    assert none is None and sum(packed) == len(shipped)
    assert most == min(packers, len(shipped)), "they work at the same time"
    return shipped


def report() -> dict:
    orders = sorted(book.items(), key=lambda item: item[1]["name"])
    return {
        "orders": [dict(order, id=number) for number, order in orders],
        "carriers": Counter(order["carrier"] for _, order in orders),
        "cents": sum(order["cents"] for _, order in orders),
    }


def folder() -> list[str]:
    """Everything below, as os and as pathlib see it."""
    seen = [os.path.join(root, name) for root, _, names in os.walk(SHOP) for name in names]
    assert sorted(seen) == sorted(str(path) for path in SHOP.rglob("*") if path.is_file())
    for path in seen:
        number = Path(path).stem
        if number in book:
            assert json.loads(Path(path).read_text(encoding="utf-8")) == book[number], "the file says what the book says"
    return sorted(os.path.relpath(path, SHOP).replace(os.sep, "/") for path in seen)


async def nap(seconds: float) -> list[str]:
    """Three tasks that sleep at once; their ids are drawn before and behind it."""

    async def one(n: int) -> str:
        before = uuid.uuid4()
        await asyncio.sleep(seconds * n)
        assert uuid.uuid4() != before
        return str(before)

    return await asyncio.gather(*(one(n) for n in (1, 2, 3)))


async def behaviours() -> None:
    """What programs that use asyncio rely on."""
    order = []

    async def after(delay: float, name: str) -> str:
        await asyncio.sleep(delay)
        order.append(name)
        return name

    assert await asyncio.gather(after(0.02, "slow"), after(0.001, "fast"), after(0, "now")) == ["slow", "fast", "now"]
    assert order == ["now", "fast", "slow"], order

    try:
        await asyncio.wait_for(after(60, "never"), timeout=0.002)
        raise AssertionError("no timeout")
    except TimeoutError:
        pass
    assert "never" not in order

    try:
        async with asyncio.TaskGroup() as group:
            endless = group.create_task(after(60, "never"))
            group.create_task(fail())
        raise AssertionError("no group of exceptions")
    except* ValueError as errors:
        assert [str(error) for error in errors.exceptions] == ["told to"]
    assert endless.cancelled()

    gate, passed = asyncio.Event(), []

    async def pass_gate(n: int) -> None:
        await gate.wait()
        passed.append(n)

    waiting = [asyncio.create_task(pass_gate(n)) for n in range(3)]
    await asyncio.sleep(0)
    assert passed == []
    asyncio.get_running_loop().call_later(0.001, gate.set)
    done, pending = await asyncio.wait(waiting)
    assert passed == [0, 1, 2] and len(done) == 3 and not pending

    async def count(to: int):
        for n in range(to):
            await asyncio.sleep(0)
            yield n

    assert [n async for n in count(3)] == [0, 1, 2]
    first = [await next_one for next_one in asyncio.as_completed([after(0.01, "b"), after(0.001, "a")])]
    assert first == ["a", "b"]


async def fail() -> None:
    await asyncio.sleep(0.001)
    raise ValueError("told to")
