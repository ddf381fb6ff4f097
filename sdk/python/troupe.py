"""Actors for Troupe as a class and a few methods.

    import troupe

    @troupe.actor
    class Counter(troupe.Actor):
        total = 0

        def request(self, call: troupe.Message):
            match call.type:
                case "add":
                    self.total += call.number()
                case "get":
                    pass
                case _:
                    call.unknown()
            return self.total

This stands in `app.py`. What lies in the object is the actor's state: Troupe keeps it over crashes, with no file and no database.

A method is a behaviour, and `wit/world.wit` exports it:

| method | export | gets | gives |
|---|---|---|---|
| `request(call)` | gen-server | calls | the answer: bytes, text, or a value whose `str()` it is; None is empty |
| `event(event)` | gen-event | casts and infos | nothing |
| `transition(state, message)` | gen-fsm | what has none of these two | the new state's name, or None to stay |
| `message(message)` | handler | what has none of these three | as `request` |
| `init(state)`, `terminate(reason)` | lifecycle | the manifest's `init`; the reason | nothing |
| `save()`, `load(state, saved_by)` | snapshot | | bytes; nothing |

`raise troupe.Err("words")` answers with an error, an ordinary end of the turn; any other exception is a fault and undoes the turn.
The imports of the world are `troupe.host`, `troupe.messaging`, `troupe.processes`, `troupe.channels`, `troupe.tuplespace`,
`troupe.groups`, `troupe.locks`, `troupe.registry`, each None unless the world names it; they raise Err, which, if it is not
caught, becomes an answer in words (`explain`).
"""

import importlib
import sys
from dataclasses import dataclass

from componentize_py_types import Err


def _import(name):
    try:
        return importlib.import_module(f"wit_world.imports.{name}")
    except ImportError:
        return None


types = _import("types")
host = _import("host")
messaging = _import("messaging")
processes = _import("processes")
channels = _import("channels")
tuplespace = _import("tuplespace")
groups = _import("groups")
locks = _import("locks")
registry = _import("registry")


@dataclass
class Message:
    """A message, as a handler gets it. More about it (headers, time left, attempt) is in `messaging.current()`."""

    from_: str
    type: str
    payload: bytes

    def text(self) -> str:
        """The payload as text."""
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            raise Err("the payload is not UTF-8")

    def number(self) -> int:
        """The payload as a whole number of 64 bits, in decimal."""
        return number(self.payload)

    def unknown(self):
        """Raises the error for a message type that the actor does not know."""
        raise Err(f"unknown message type: {self.type}")


class Actor:
    """A base class that may be left out: it says which methods there are."""

    def request(self, call: Message):
        call.unknown()

    def event(self, event: Message) -> None:
        event.unknown()

    def transition(self, state: str, message: Message) -> str | None:
        message.unknown()

    def message(self, message: Message):
        message.unknown()

    def init(self, state: bytes) -> None:
        pass

    def terminate(self, reason: str) -> None:
        pass


def number(payload: bytes) -> int:
    """Bytes as a whole number of 64 bits, in decimal."""
    text = payload.decode(errors="replace")
    digits = text.strip()
    if digits.isascii() and digits.removeprefix("-").removeprefix("+").isdigit():
        try:
            value = int(digits)
        except ValueError:
            raise Err(f"not a number: {text}")
        if -(2**63) <= value < 2**63:
            return value
    raise Err(f"not a number: {text}")


def payload(value) -> bytes:
    """What goes into a message: bytes as they are, None as nothing, all else as the text that it is."""
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return str(value).encode()


def explain(error) -> str:
    """An error of the runtime in words."""
    value = getattr(error, "value", error)
    if isinstance(value, str):
        return value
    kind = type(value).__name__.removeprefix("Error_")
    more = getattr(value, "value", None)
    match kind:
        case "Refused":
            return more
        case "Faulted":
            return f"the other actor faulted: {more.cause}"
        case "TooLarge":
            return f"too large: {more} bytes are allowed"
        case "Cycle":
            return "a circle of requests: " + ", ".join(more)
        case "Other":
            return f"{more[0]}: {more[1]}"
        case "ResourceExhausted":
            return f"limit reached: {more}"
    words = "".join(" " + letter.lower() if letter.isupper() else letter for letter in kind).strip()
    return words if more is None else f"{words}: {more}"


def _run(handler, *arguments):
    try:
        return handler(*arguments)
    except Err as error:
        raise Err(explain(error)) from None


def actor(kind):
    """Makes the exports of a class in its module, which must be `app`. The object is made when the component begins."""
    one = kind()
    module = sys.modules[kind.__module__]

    class GenServer:
        def handle_request(self, from_, message_type, data):
            return payload(_run(one.request, Message(from_, message_type, data)))

    class GenEvent:
        def handle_event(self, from_, message_type, data):
            _run(one.event, Message(from_, message_type, data))

    class GenFsm:
        def handle_transition(self, from_, state, message_type, data):
            return _run(one.transition, state, Message(from_, message_type, data)) or ""

    class Handler:
        def handle_message(self, from_, message_type, data):
            return payload(_run(one.message, Message(from_, message_type, data)))

    class Lifecycle:
        def init(self, initial_state):
            _run(one.init, initial_state)

        def terminate(self, reason):
            one.terminate(reason)

    class Snapshot:
        def save(self):
            return payload(_run(one.save))

        def load(self, state, saved_by):
            _run(one.load, state, saved_by)

    for export in (GenServer, GenEvent, GenFsm, Handler, Lifecycle, Snapshot):
        setattr(module, export.__name__, export)
    return kind
