"""A counter as gen-server: calls `add` N and `get`, and the cast `add` N."""

import troupe


class Counter(troupe.Actor):
    total = 0

    def request(self, call):
        match call.type:
            case "add":
                self.add(call)
            case "get":
                pass
            case _:
                call.unknown()
        return self.total

    def event(self, event):
        if event.type != "add":
            event.unknown()
        self.add(event)

    def add(self, message):
        total = self.total + message.number()
        if not -(2**63) <= total < 2**63:
            raise troupe.Err("the total would overflow")
        self.total = total
