"""Three actors in one component, since a component in Python holds the whole interpreter. `init` says which one this is:
`counter`, `collector` or `worker`. Each class could be the whole of an `app.py`, with `@troupe.actor` above it.
"""

import troupe
from collector import Collector
from counter import Counter
from worker import Worker

ROLES = {"counter": Counter, "collector": Collector, "worker": Worker}


@troupe.actor
class Office(troupe.Actor):
    def init(self, state):
        role = state.decode(errors="replace")
        if role not in ROLES:
            raise troupe.Err(f"no such role: {role}")
        self.role = ROLES[role]()

    def request(self, call):
        return self.role.request(call)

    def event(self, event):
        self.role.event(event)
