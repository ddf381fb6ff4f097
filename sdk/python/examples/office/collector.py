"""An event collector as gen-event: keeps the last hundred casts and infos, whatever they are. Calls: `count`, `list`, `clear`."""

from collections import deque

import troupe


class Collector(troupe.Actor):
    def __init__(self):
        self.lines = deque(maxlen=100)

    def event(self, event):
        self.lines.append(f"{event.type}: {event.text()}")

    def request(self, call):
        match call.type:
            case "count":
                return len(self.lines)
            case "list":
                return "".join(f"{line}\n" for line in self.lines)
            case "clear":
                count = len(self.lines)
                self.lines.clear()
                return count
            case _:
                call.unknown()
