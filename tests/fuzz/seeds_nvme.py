#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Writes the seeds of fuzz_nvme, whose steps fuzz_nvme.c reads: tests/fuzz/corpus/nvme.
import os
import struct

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "nvme")
ENABLED, QUEUES, LARGE = 1, 2, 4


def ram(page, offset=None):
    return bytes([page]) if offset is None else bytes([0x60 | page]) + struct.pack("<H", offset)


def cmb(page):
    return bytes([0x80 | page])


def pmr(page):
    return bytes([0x40 | page])


def edge(words, end=False):
    return bytes([0xA0 | (16 if end else 0) | words])


def raw(value):
    return b"\xe0" + struct.pack("<Q", value)


REG = {"cc": 0, "aqa": 1, "asq": 2, "asqh": 3, "acq": 4, "cap": 5, "cmbmsc": 6, "cmbmsch": 7, "csts": 8,
       "nssr": 9, "intms": 10, "intmc": 11, "acqh": 12, "cmbloc": 13, "pmrctl": 14, "vs": 15}


def reg(name, value):
    return bytes([REG[name] << 4]) + struct.pack("<I", value)


PMR = {"ctl": 0, "mscl": 1, "mscu": 2, "sts": 3, "cap": 4}


def pmreg(name, value):
    return bytes([PMR[name] << 5 | 8]) + struct.pack("<I", value)


def bell(index, value):
    return bytes([1 | index << 3, value])


def bell32(index, value):
    return bytes([1 | index << 3 | 0x40, 0]) + struct.pack("<I", value)


def word(at, value):
    return b"\x02" + at + bytes([value])


def quad(at, value):
    return b"\x0a" + at + struct.pack("<Q", value)


def prps(to, at, nr, then=None):
    return (bytes([3 | 0x10 | (0x40 if then else 0)]) + to + at + bytes([nr - 1]) + b"\0\0\0"
            + (then + b"\0" if then else b""))


def sgls(to, at, nr, length, kind=0, then=None, onward=True):
    return (bytes([3 | (0x20 if onward else 0) | (0x40 if then else 0)]) + to + at + bytes([nr - 1])
            + struct.pack("<HB", length, kind << 4) + (then[0] + bytes([then[1] << 4]) if then else b""))


def command(q, opcode, d1=ram(24), d2=ram(25), dw10=0, dw11=None, dw12=0, nsid=1, flags=0, more=False, sgl=None):
    form = 1 if nsid == 1 else 2 if nsid == 0xFFFFFFFF else nsid << 4
    wide = dw10 > 255 or dw12 > 255
    op = 6 | q << 4 | (0x40 if more else 0)
    form |= 4 if wide else 0
    form |= 8 if dw11 else 0
    out = bytes([op, opcode, flags | (0x40 if sgl else 0), 7, form])
    out += sgl[0] + struct.pack("<HB", sgl[1], sgl[2] << 4) if sgl else d1 + d2
    out += struct.pack("<I" if wide else "<B", dw10)
    out += struct.pack("<I", dw11) if dw11 else b""
    out += struct.pack("<I" if wide else "<B", dw12)
    out += struct.pack("<I", 0) if dw11 else b""
    return out


def other(kind, value, at, size=2):
    return bytes([5 | kind << 6 | size << 4]) + struct.pack("<IH", value, at)


TAKE = b"\x04"
READ, WRITE, FLUSH, COMPARE, ZEROES, DSM, VERIFY = 2, 1, 0, 5, 8, 9, 12
CC = 1 | 6 << 16 | 4 << 20

seeds = {
    "enable": (0, reg("aqa", 0x1F001F), reg("asq", 0x100000), reg("acq", 0x101000), reg("cc", CC), bell(0, 1)),
    "enable-bad": (0, reg("aqa", 0), reg("cc", CC), reg("cc", 0), reg("cc", CC | 15 << 7)),
    "shutdown": (3, command(1, WRITE), reg("cc", CC | 1 << 14), reg("cc", 0), reg("cc", CC)),
    "subsystem-reset": (3, reg("nssr", 0x4E564D65), reg("csts", 16), reg("cc", CC)),
    "masks": (3, reg("intms", 5), command(1, READ), reg("intmc", 1), TAKE, reg("intms", 0xFFFFFFFF)),
    "constants": (1, reg("cap", 0), reg("vs", 1), reg("cmbloc", 7), reg("pmrctl", 1)),
    "pmr-data": (3, command(1, WRITE, pmr(2), dw12=7), command(1, READ, pmr(15), dw12=7),
                 command(1, READ, pmr(15), pmr(0), dw12=15), command(1, READ, pmr(1), cmb(0), dw12=15)),
    "pmr-off": (3, pmreg("ctl", 0), command(1, READ, pmr(2)), pmreg("sts", 0), pmreg("cap", 0), pmreg("ctl", 1),
                command(1, READ, pmr(2))),
    "pmr-moves": (3, pmreg("mscl", 0x80002), command(1, WRITE, pmr(2)), pmreg("mscu", 0xFFFFFFFF),
                  pmreg("mscl", 0xFFFF0002), command(1, READ, raw(2**64 - 4096)), pmreg("mscl", 0xFFFF1002),
                  reg("cmbmsc", 0xFFFF0003), reg("cmbmsch", 0xFFFFFFFF), command(1, READ, raw(2**64 - 4096))),
    "identify": (1, *(command(0, 6, dw10=cns) for cns in range(5)), command(0, 6, nsid=15), TAKE),
    "logs": (1, *(command(0, 2, dw10=lid | 1023 << 16, nsid=0xFFFFFFFF) for lid in range(7)), TAKE,
             command(0, 2, dw10=1 | 15 << 16, dw12=64), command(0, 2, dw10=2 | 15 << 16, dw12=2)),
    "features": (1, *(command(0, 10, dw10=fid | 3 << 8) for fid in range(16)), TAKE,
                 *(command(0, 9, dw10=fid, dw11=1, nsid=0) for fid in range(1, 15)), TAKE),
    "queues": (1, command(0, 5, ram(2), dw10=1 | 15 << 16, dw11=3 | 1 << 16),
               command(0, 1, ram(3), dw10=1 | 15 << 16, dw11=1 | 1 << 16), command(1, READ), TAKE,
               command(0, 4, dw10=1), command(0, 0, dw10=1), command(0, 4, dw10=1)),
    "queues-in-cmb": (1, command(0, 5, cmb(0), dw10=1 | 15 << 16, dw11=3),
                      command(0, 1, cmb(1), dw10=1 | 15 << 16, dw11=1 | 1 << 16), command(1, READ, cmb(2)),
                      reg("cmbmsc", 0), command(1, READ, cmb(2))),
    "queue-nowhere": (1, command(0, 5, raw(1 << 40), dw10=1 | 15 << 16, dw11=1),
                      command(0, 1, raw(1 << 41), dw10=1 | 15 << 16, dw11=1 | 1 << 16), bell(2, 1), reg("cc", 0)),
    "events": (1, *(command(0, 12) for _ in range(5)), bell(5, 1), command(0, 2, dw10=1 | 15 << 16), bell(0, 99),
               command(0, 8, dw10=7 << 16), TAKE),
    "temperature": (1, command(0, 12), command(0, 9, dw10=11, dw11=0xFFFF, nsid=0),
                    command(0, 9, dw10=4, dw11=200, nsid=0), TAKE),
    "format": (3, command(0, 0x80, dw10=1), command(1, READ, dw12=7), command(0, 0x80, dw10=0x200),
               command(1, READ, dw10=200), command(0, 12), TAKE),
    "firmware": (1, command(0, 0x10, dw10=0x11), command(0, 0x11), command(0, 0x10, dw10=7)),
    "doorbells-in-memory": (3, command(0, 0x7C, ram(28), ram(29)), word(ram(28, 8), 1), bell(2, 1),
                            command(1, READ), word(ram(28, 8), 99), word(ram(28, 12), 99), bell(3, 0), TAKE),
    "doorbells-on-doorbells": (3, command(0, 0x7C, ram(28), ram(28)), *(command(2, READ) for _ in range(5))),
    "doorbells-on-queue": (3, command(0, 0x7C, ram(5), ram(4)), *(command(2, WRITE) for _ in range(5))),
    "doorbells-bad": (3, *(bell32(i, v) for i in range(8) for v in (0xFFFF, 16, 0x80000001, 0xFFFFFFFE))),
    "read-write": (3, command(1, WRITE, dw12=7), command(1, READ, ram(26), dw12=7), command(1, COMPARE, dw12=7),
                   TAKE, command(2, FLUSH), command(2, ZEROES, dw12=15), command(2, VERIFY, dw12=255)),
    "blocks-4096": (7, command(1, WRITE), command(1, READ, dw10=63), command(1, READ, dw10=64), TAKE),
    "fua": (3, command(1, WRITE, dw12=1 << 30), command(1, READ, dw12=1 << 30), command(1, ZEROES, dw12=3 << 29)),
    "ranges": (3, command(1, READ, dw10=511, dw12=1), command(1, READ, dw10=0xFFFFFFFF, dw11=0xFFFFFFFF),
               command(1, WRITE, dw12=0xFFFF), command(1, VERIFY, dw12=0xFFFF)),
    "batch": (3, *(command(2, (READ, WRITE)[i & 1], dw10=8 * i, dw12=7, more=i < 14) for i in range(15)), TAKE),
    "batch-full": (3, *(command(3, READ, more=i < 59) for i in range(60)), TAKE, TAKE, TAKE, TAKE),
    "dsm": (3, quad(ram(24), 8 << 32), quad(ram(24, 8), 8), command(1, DSM, dw10=1, dw11=4),
            quad(ram(24), 0xFFFFFFFF << 32), command(1, DSM, dw10=255, dw11=4)),
    "prp-list": (3, prps(ram(20), ram(8), 12), command(1, WRITE, ram(24, 0x800), ram(20), dw12=60),
                 command(1, READ, ram(24), ram(20, 8), dw12=60)),
    "prp-list-chain": (3, prps(ram(20, 4088), ram(21), 1), prps(ram(21), ram(8), 30),
                       command(1, WRITE, ram(24), ram(20, 4088), dw12=127)),
    "prp-list-itself": (3, prps(ram(20, 4088), ram(20), 1), prps(ram(20), ram(20), 64),
                        command(1, READ, ram(24), ram(20, 4088), dw12=255), command(1, READ, ram(20), ram(20), dw12=127)),
    "prp-offsets": (3, command(1, READ, ram(24, 2)), command(1, READ, ram(24), ram(20, 4), dw12=31),
                    command(1, READ, ram(24), ram(25, 8), dw12=15), prps(ram(20), ram(24, 8), 3),
                    command(1, READ, ram(24), ram(20), dw12=31)),
    "prp-cmb": (3, command(1, WRITE, ram(31), cmb(0), dw12=15), command(1, READ, cmb(15), ram(24), dw12=15),
                prps(cmb(3), cmb(4), 8), command(1, READ, cmb(4), cmb(3), dw12=63)),
    "sgl-data": (3, command(1, WRITE, sgl=(ram(24), 512, 0)), command(1, READ, sgl=(ram(24, 1), 8192, 0)),
                 command(1, READ, sgl=(ram(24), 511, 0)), command(1, READ, sgl=(ram(24), 512, 4)), TAKE),
    "sgl-list": (3, sgls(ram(20), ram(8), 16, 32), command(1, WRITE, sgl=(ram(20), 256, 3)),
                 command(1, READ, sgl=(ram(20), 256, 2)), command(1, READ, sgl=(ram(20), 255, 3))),
    "sgl-chain": (3, sgls(ram(20), ram(8), 3, 32, then=(ram(21), 3)), sgls(ram(21), ram(9), 8, 64),
                  command(1, READ, sgl=(ram(20), 64, 2))),
    "sgl-itself": (3, sgls(ram(20), ram(20), 4, 64, kind=2, onward=False), command(1, READ, sgl=(ram(20), 64, 2)),
                   command(1, READ, sgl=(ram(20), 16, 2))),
    "sgl-empty": (3, sgls(ram(20), ram(8), 64, 0), command(1, READ, sgl=(ram(20), 0xFFF0, 3)),
                  command(1, READ, sgl=(ram(22), 0xFFF0, 3))),
    "sgl-small": (3, sgls(ram(20), ram(8), 64, 1), sgls(ram(20, 1024), ram(9), 64, 7),
                  command(1, READ, sgl=(ram(20), 2048, 3))),
    "sgl-edges": (3, command(1, READ, sgl=(edge(9), 512, 0)), command(1, WRITE, sgl=(edge(9, True), 512, 0)),
                  command(1, READ, sgl=(raw(2**64 - 100), 512, 0)), command(1, READ, sgl=(b"\xc0\x10", 512, 0))),
    "no-master": (3, other(1, 2, 4, 1), command(1, READ), command(1, WRITE), reg("cc", 0)),
    "function-reset": (3, command(1, READ), other(3, 0, 0), reg("cc", CC), command(0, 6, dw10=1)),
    "calls": (1, other(0, 5, 0x0C), other(0, 1, 0x1000), other(0, CC, 0x14), other(0, 0x12345678, 0x1008, 0)),
    "messages": (3, other(2, 8, 2), command(1, READ), command(2, READ), reg("intms", 4), command(2, READ),
                 reg("intmc", 4), other(2, 0, 2), command(1, READ), TAKE),
    "cmb-moves": (3, command(1, WRITE, cmb(2)), reg("cmbmsc", 0x100003), command(1, WRITE, ram(24)),
                  reg("cmbmsc", 0xFFFFF003), reg("cmbmsch", 0xFFFFFFFF), command(1, READ, raw(2**64 - 4096)),
                  reg("cmbmsc", 3), command(1, READ, raw(0))),
}

os.makedirs(OUT, exist_ok=True)
for name, (how, *steps) in seeds.items():
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(bytes([how]) + b"".join(steps))
print(f"{len(seeds)} seeds")
