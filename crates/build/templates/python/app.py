"""The actor `{name}`: a counter. Its state is what lies in the object; Troupe keeps it over crashes by recording every call that
crosses the actor's boundary, and replaying them.

`wit/world.wit` exports the behaviours and imports what is used. An error is raised as `troupe.Err("text")`; any other exception is
a fault, and undoes the turn. Time and random numbers come from the usual modules; use `random.SystemRandom` or `secrets`, because
the state of `random` itself is fixed when the component is built.
"""

import troupe
from troupe import host


@troupe.actor
class Counter(troupe.Actor):
    total = 0

    def init(self, state: bytes) -> None:
        """Once in the actor's life: the number to start from, or nothing."""
        self.total = troupe.number(state) if state else 0

    def terminate(self, reason: str) -> None:
        host.log(host.Level.INFO, f"stopped at {self.total}: {reason}")

    def request(self, call: troupe.Message) -> int:
        """Calls: whoever sent one waits for the answer."""
        match call.type:
            case "add":
                self.total += call.number()
            case "get":
                pass
            case _:
                call.unknown()
        return self.total

    def event(self, event: troupe.Message) -> None:
        """Casts: nobody waits."""
        if event.type != "add":
            event.unknown()
        self.total += event.number()
