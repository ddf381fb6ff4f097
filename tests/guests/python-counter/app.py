"""The counter in Python. The same behaviour as counter-rust, counter-js and counter-c: see ../README.md."""

import random
import re
import time

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import host
from wit_world.imports.host import Level
from wit_world.imports.types import Error_Timeout

# Asks the system for every number: the state of `random` itself is fixed when the component is built.
dice = random.SystemRandom()

total = 0
adds = 0
last_dice = 0


class Lifecycle(exports.Lifecycle):
    def init(self, initial_state: bytes) -> None:
        global total
        total = number(initial_state) if initial_state else 0

    def terminate(self, reason: str) -> None:
        host.log(Level.INFO, f"terminated: {reason}")


class GenServer(exports.GenServer):
    def handle_request(self, from_: str, message_type: str, payload: bytes) -> bytes:
        global total, last_dice
        match message_type:
            case "add":
                return str(add(payload)).encode()
            case "get":
                return str(total).encode()
            case "now":
                return str(time.time_ns() // 1_000_000).encode()
            case "dice":
                last_dice = dice.randint(1, 6)
                return str(last_dice).encode()
            case "state":
                return f"total={total} adds={adds} last-dice={last_dice}".encode()
            case "sleep":
                millis = number(payload)
                if millis < 0:
                    raise Err(f"not a time: {millis}")
                try:
                    host.sleep_millis(millis)
                except Err as error:
                    is_timeout = isinstance(error.value, Error_Timeout)
                    raise Err("sleep: timeout" if is_timeout else "sleep: error")
                return b"slept"
            case "log":
                host.log(Level.INFO, text(payload))
                return b"logged"
            case "trap":
                total += 1000
                raise RuntimeError("told to trap")
            case "loop":
                while True:
                    pass
            case "echo":
                return payload
            case _:
                raise Err(f"unknown message type: {message_type}")


class GenEvent(exports.GenEvent):
    def handle_event(self, from_: str, message_type: str, payload: bytes) -> None:
        match message_type:
            case "add":
                add(payload)
            case _:
                raise Err(f"unknown message type: {message_type}")


def add(payload: bytes) -> int:
    global total, adds
    result = total + number(payload)
    if not is_i64(result):
        raise Err("the total would overflow")
    total = result
    adds += 1
    return total


def number(payload: bytes) -> int:
    digits = text(payload)
    if re.fullmatch(r"[+-]?[0-9]+", digits.strip(), re.ASCII) and is_i64(int(digits)):
        return int(digits)
    raise Err(f"not a number: {digits}")


def is_i64(value: int) -> bool:
    return -(2**63) <= value < 2**63


def text(payload: bytes) -> str:
    return payload.decode(errors="replace")
