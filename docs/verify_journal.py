#!/usr/bin/env python3
"""Verifies Troupe journal files, written from docs/journal-format.md alone; needs `pip install blake3`.
One line for each file: the head it ends with, or `bad record N`, or `bad file: why`. Exit 1 if any is bad."""
import struct, sys
from blake3 import blake3

HEADER, START, CHECKPOINT = 45, (0, bytes(32)), 17

def digest(data):
    return blake3(data).digest()

def read(data, at):  # the record at `at`: (seq, prev, kind, body, all its bytes), or None
    if at + HEADER > len(data):
        return None
    prev, seq, kind, size = struct.unpack_from("<32sQBI", data, at)
    end = at + HEADER + size
    return (seq, prev, kind, data[at + HEADER:end], data[at:end]) if size <= 1 << 30 and end <= len(data) else None

def places(data, what):
    at = data.find(what)
    while at >= 0:
        yield at
        at = data.find(what, at + 1)

def at_checkpoint(data, start):  # does a checkpoint record say that the journal begins at `start`?
    at, begins = 0, struct.pack("<Q32s", *start)
    while record := read(data, at):
        if record[2] == CHECKPOINT and record[3][:40] == begins and len(record[3]) == 48:
            return True
        at += len(record[4])
    return False

def first_bad(data, start, end):  # the seq of the first bad record, or None; and the tip
    (seq, head), at = start, 0
    def sound(record, at):  # something names the hash of its bytes, or nothing could
        known = digest(record[4])
        return end and end[1] == known or not end and at + len(record[4]) == len(data) or known in data

    while at < len(data):
        record, header = read(data, at), data[at:at + HEADER]
        whole = len(header) == HEADER
        follows, numbered = whole and header[:32] == head, whole and header[32:40] == struct.pack("<Q", seq)
        if record and follows and numbered:
            seq, head, at = seq + 1, digest(record[4]), at + len(record[4])
            continue
        if follows:
            return seq, None
        before = max(seq - 1, start[0])
        good, after = (sound(record, at), at + len(record[4])) if record else (False, at)
        inside = len(data) - after >= HEADER
        if record and numbered:
            next_one = data[after + 32:after + 40] == struct.pack("<Q", seq + 1) if inside else end and end[0] == seq + 1
            return before if good or not next_one else seq, None
        if good and record[0] < seq and inside and data[after:after + 40] == head + struct.pack("<Q", seq):
            return record[0], None
        if any((r := read(data, i)) and r[0] == seq and sound(r, i) for i in places(data, head)):
            return seq, None
        return min(seq, record[0]) if good else before, None
    if end and (seq, head) != end:
        return min(seq, end[0]) if seq != end[0] else max(seq - 1, start[0]), None
    return None, (seq, head)

def check(file):  # one line about the bytes of a journal file
    if file[:8] != b"TROUPEJL" or file[8:12] not in (struct.pack("<I", 1), struct.pack("<I", 2)):
        return "bad file: not a journal file of version 1 or 2"
    at = 16 + struct.unpack_from("<I", file, 12)[0] + 4 + 32
    start, at = struct.unpack_from("<Q32s", file, at), at + 72
    good, data, end = digest(file[:at - 32]) == file[at - 32:at], bytearray(), None
    start = start if good else None
    while end is None:
        (kind, size), chunk = struct.unpack_from("<BI", file, at), file[at + 5:]
        chunk, at = chunk[:size], at + 5 + size
        if kind == 1:
            data += chunk
        elif kind == 2:
            good &= digest(chunk[32:]) == chunk[:32]
        elif kind == 3 and size == 80:
            (count, *end), footer_good = struct.unpack_from("<QQ32s", chunk), digest(chunk[:48]) == chunk[48:]
        elif kind != 4:  # a signed head: checked by `troupe journal verify --key`
            return "bad file: an unknown part"
    data, first = bytes(data), read(data, 0)
    start = start or (first[:2] if first and first[0] and at_checkpoint(data, first[:2]) else START)
    bad, tip = first_bad(data, start, tuple(end) if footer_good else None)
    if bad is not None or start != START and not at_checkpoint(data, start):
        return f"bad record {bad if start == START or at_checkpoint(data, start) else 0}"
    if not (good and footer_good and len(file) == at + 32 and digest(file[:at]) == file[at:]):
        return "bad file: changed outside of its records"
    return tip[1].hex() if count == tip[0] - start[0] else "bad file: wrong count"

def line(name):
    try:
        return check(open(name, "rb").read())
    except struct.error:
        return "bad file: cut short"

if __name__ == "__main__":
    print("\n".join(lines := [line(name) for name in sys.argv[1:]]))
    sys.exit(any(text.startswith("bad") for text in lines))
