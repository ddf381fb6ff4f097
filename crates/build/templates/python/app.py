"""The actor `{name}`: a counter. Its state is what lies in memory; Troupe keeps it over crashes by recording every call that
crosses the actor's boundary, and replaying them.

Each class below is an interface that `wit/world.wit` exports, under the name of the interface. An error is raised as
`Err("text")`; any other exception is a fault, and undoes the turn. Time and random numbers come from the usual modules; use
`random.SystemRandom` or `secrets`, because the state of `random` itself is fixed when the component is built.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import host
from wit_world.imports.host import Level

total = 0


class Lifecycle(exports.Lifecycle):
    def init(self, initial_state: bytes) -> None:
        """Once in the actor's life: the number to start from, or nothing."""
        global total
        total = number(initial_state) if initial_state else 0

    def terminate(self, reason: str) -> None:
        host.log(Level.INFO, f"stopped at {total}: {reason}")


class GenServer(exports.GenServer):
    def handle_request(self, from_: str, message_type: str, payload: bytes) -> bytes:
        """Calls: whoever sent one waits for the answer."""
        match message_type:
            case "add":
                return str(add(payload)).encode()
            case "get":
                return str(total).encode()
            case _:
                raise Err(f"unknown message type: {message_type}")


class GenEvent(exports.GenEvent):
    def handle_event(self, from_: str, message_type: str, payload: bytes) -> None:
        """Casts: nobody waits."""
        match message_type:
            case "add":
                add(payload)
            case _:
                raise Err(f"unknown message type: {message_type}")


def add(payload: bytes) -> int:
    global total
    total += number(payload)
    return total


def number(payload: bytes) -> int:
    text = payload.decode(errors="replace")
    try:
        return int(text)
    except ValueError:
        raise Err(f"not a number: {text}")
