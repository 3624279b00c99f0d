#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Writes the seeds of fuzz_dsa, whose steps fuzz_dsa.c reads: tests/fuzz/corpus/dsa.
import os
import struct

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "dsa")


def ram(page, offset=None):
    return bytes([page]) if offset is None else bytes([0x40 | page]) + struct.pack("<H", offset)


def raw(value):
    return b"\xc0" + struct.pack("<Q", value)


TOP = b"\x81"
DONE, INTERRUPT, CHECK = 0x0C, 0x10, 0x80


def desc(code, size, flags=DONE, src=ram(8), dst=ram(16), done=ram(0), irq=1, pasid=None):
    form = (2 if size > 0x1FFF else 4 if size > 255 else 0) | (8 if pasid is not None else 0) | (flags >> 16 & 1)
    out = bytes([flags & 0xFF, flags >> 8 & 0xFF, irq, form, code]) + done + src + dst
    out += struct.pack("<I" if form & 2 else "<H" if form & 4 else "<B", size)
    return out + (struct.pack("<I", pasid) if pasid is not None else b"")


def submit(d, wq=0, more=None):
    return bytes([6 | wq << 3 | (0x80 if more else 0)]) + d + (more or b"")


def listed(at, d, lg2=0):
    return bytes([3 | lg2 << 3]) + at + d


def command(code, operand=0):
    return bytes([1 | code << 3, operand])


def reg(at, value, lg2=2):
    return bytes([lg2 << 3]) + struct.pack("<HQ", at, value)


def quad(at, value):
    return b"\x02" + at + struct.pack("<Q", value)


NOOP, BATCH, DRAIN, MOVE, FILL, COMPARE, PATTERN, DUAL, CRC, COPY_CRC = 0, 1, 2, 3, 4, 5, 6, 9, 16, 17

seeds = {
    "off": (0, submit(desc(MOVE, 64)), command(1), command(6), command(3)),
    "enable": (0, reg(0x500, 64), reg(0x508, 0x11), reg(0x50C, 12 | 10 << 5), reg(0x400, 1, 3), reg(0x420, 1, 3),
               command(1), command(6), submit(desc(NOOP, 0))),
    "commands": (1, *(command(code, 1) for code in range(16)), command(1), command(6, 1)),
    "tables": (0, *(reg(0x400 + 8 * i, 0xFFFFFFFFFFFFFFFF, 3) for i in range(40)), command(1)),
    "registers": (1, *(reg(8 * i, 0xFFFFFFFFFFFFFFFF, 3) for i in range(32))),
    "operations": (3, *(submit(desc(op, 100, DONE | INTERRUPT)) for op in range(20))),
    "move-overlap": (1, submit(desc(MOVE, 4096, src=ram(8), dst=ram(8, 100))),
                     submit(desc(MOVE, 4096, src=ram(8, 100), dst=ram(8)))),
    "fill": (1, submit(desc(FILL, 4096, src=raw(0x1122334455667788), dst=ram(8, 3)))),
    "compare": (1, quad(ram(8, 777), 1), submit(desc(COMPARE, 4096)), submit(desc(COMPARE, 4096, DONE | CHECK)),
                submit(desc(PATTERN, 4096, dst=raw(0)))),
    "dualcast": (1, submit(desc(DUAL, 256, dst=ram(16)), more=ram(24) + ram(0)),
                 submit(desc(DUAL, 256, dst=ram(16)), more=ram(24, 1) + ram(0))),
    "crc": (1, submit(desc(CRC, 100)), submit(desc(COPY_CRC, 4096)), submit(desc(CRC, 9, DONE | 1 << 16), more=ram(1) + ram(2)),
            submit(desc(CRC, 9, DONE | 1 << 16), more=ram(1) + TOP)),
    "sizes": (1, submit(desc(MOVE, 0)), submit(desc(MOVE, 4097)), submit(desc(MOVE, 0xFFFFFFFF)), submit(desc(BATCH, 1))),
    "records": (1, submit(desc(NOOP, 0, done=ram(0, 8))), submit(desc(NOOP, 0, done=TOP)), submit(desc(NOOP, 0, 4)),
                submit(desc(NOOP, 0, 0)), submit(desc(99, 0, 0)), submit(desc(MOVE, 64, 0, src=raw(1 << 40)))),
    "faults": (3, submit(desc(MOVE, 4096, src=ram(31, 100))), submit(desc(MOVE, 4096, dst=ram(31, 100))),
               submit(desc(MOVE, 4096, src=TOP)), submit(desc(MOVE, 4096, dst=raw(2**64 - 1)))),
    "flags": (1, *(submit(desc(MOVE, 64, 1 << bit | 4)) for bit in range(17)), submit(desc(MOVE, 64, pasid=0xFFFFFFFF))),
    "batch": (3, listed(ram(4), desc(MOVE, 100, done=ram(1)), 3), submit(desc(BATCH, 8, src=ram(4)))),
    "batch-large": (1, listed(ram(4), desc(NOOP, 0, 0), 7), listed(ram(6), desc(NOOP, 0, 0), 7),
                    submit(desc(BATCH, 1024, src=ram(4)))),
    "batch-in-batch": (1, listed(ram(4), desc(BATCH, 4, src=ram(4)), 2), submit(desc(BATCH, 4, src=ram(4)))),
    "batch-on-itself": (1, listed(ram(4), desc(MOVE, 4096, src=ram(4), dst=ram(4, 64)), 6),
                        submit(desc(BATCH, 64, src=ram(4))), submit(desc(BATCH, 64, src=ram(4, 64)))),
    "batch-faults": (1, submit(desc(BATCH, 100, src=ram(31))), submit(desc(BATCH, 100, src=ram(31, 8))),
                     submit(desc(BATCH, 100, src=TOP)), listed(ram(4), desc(MOVE, 99, src=TOP), 2),
                     submit(desc(BATCH, 4, src=ram(4)))),
    "batch-fence": (1, listed(ram(4), desc(COMPARE, 64, DONE | CHECK), 2), listed(ram(4, 256), desc(MOVE, 64, DONE | 1), 2),
                    submit(desc(BATCH, 8, src=ram(4)))),
    "records-on-list": (1, listed(ram(4), desc(NOOP, 0, done=ram(4, 128)), 4), submit(desc(BATCH, 16, src=ram(4)))),
    "queues": (1, *(submit(desc(MOVE, 4096), wq) for wq in (0, 1, 2, 3, 1, 2)), command(9, 6), command(7, 2),
               submit(desc(NOOP, 0), 1)),
    "drain": (1, submit(desc(DRAIN, 0)), command(3), command(8, 7), command(4), command(5)),
    "no-master": (1, b"\x45\x04\0" + struct.pack("<I", 2), submit(desc(MOVE, 64)), command(1)),
    "narrow": (1, b"\x05\0\0" + struct.pack("<I", 9), b"\x25\x10\0\0\0\0\0", reg(0xA0, 1, 0), reg(0xA2, 1, 1)),
    "errors": (3, reg(0x88, 1), submit(desc(99, 0, 0)), submit(desc(98, 0, 0)), reg(0xC0, 3, 3), reg(0x98, 3)),
}

os.makedirs(OUT, exist_ok=True)
for name, (how, *steps) in seeds.items():
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(bytes([how]) + b"".join(steps))
print(f"{len(seeds)} seeds")
