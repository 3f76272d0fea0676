"""Makes hostile input: bytes spoiled anywhere, and documents, headers and paths spoiled inside their structure."""

import copy
import json
import os
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from wfdb.io.header import parse_header_content, rx_record, rx_signal

from pipeline.leads import LEADS, STORED_LEADS
from pipeline.store.documents import Document

NUMBERS = (0, 1, -1, 31, 32, 33, 64, 8192, 8193, 10**9, 10**9 + 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
    [],
    {},
    [[]],
    {"": {}},
    [None] * 50,
)
TEXTS = (
    *[
        "0",
        "NaN",
        "1e400",
        "dataset",
        "subset",
        "../../etc/passwd",
        "/etc/passwd",
        "a/../b",
        "a//b",
        ".",
        "..",
        "a\\b",
        "C:\\x",
        "ledger/plan.json",
    ],
    *("", " ", "\x00", "\n", "\x1b[2J", "é", "\U0001f600", "\u202e", "\ud800"),
    *("a" * 300, "0" * 64, "f" * 64, "F" * 64, "2026-11-20T16:13:10Z", "9999-12-31T23:59:59+99:99"),
)
TOKENS = (
    *b'{ } [ ] , : " null NaN 1e999 - \\u0000 \\ud800 # / .. :: x + ( ~ s3:// %s "sealed_by":"'.split(),
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xc2\xb5", b"\n", b"\r", b" ", b"\t16"),
    *(b"[" * 3000, b"9" * 30, b"9" * 5000, b'{"a":' * 500, b"1" * 300),
)


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few of them turned over, taken out, moved, doubled, or something put among them."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, other = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        piece, token = data[at : min(other, at + 50)], rng.choice(TOKENS)
        data = rng.choice(
            (
                data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
                data[:at] + token + data[at:],
                data[:at] + token + data[at + len(piece) :],
                data[:at] + data[at + len(piece) :],
                data[:other] + piece + data[other:],
                data[:at],
            )
        )
    return data


@dataclass
class Target(ABC):
    """Something that takes input from outside: sound inputs of it, and what gives it one."""

    examples: list[bytes]
    run: Callable[[bytes], None]

    @abstractmethod
    def reshape(self, rng: random.Random, example: bytes) -> bytes:
        """An input that is spoiled inside its structure."""

    @abstractmethod
    def parses(self, data: bytes) -> bool:
        """Whether an input gets past a stock parser."""


@dataclass
class Json(Target):
    """A target that takes a JSON document; what is reshaped is sealed again where it still can be."""

    kind: type[Document] | None = None

    def reshape(self, rng: random.Random, example: bytes) -> bytes:
        value = json.loads(example)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            value = _reshaped(rng, value)
        if self.kind and isinstance(value, dict) and rng.random() < 0.95:
            try:
                value["sealed_by"] = self.kind.model_validate(value).seal()
            except ValidationError:
                value["sealed_by"] = "0" * 64
        ours = rng.random() < 0.8  # written as this program writes documents
        text = json.dumps(value, indent=1 if ours else None, ensure_ascii=not ours) + ("\n" if ours else "")
        if rng.random() < 0.03:  # a name twice
            again = rf"\g<0>, \g<1>{rng.choice(('null', '1', '[]'))}"
            text = re.sub(r'("[^"]+": *)("?\w+"?)', again, text, count=1)
        if rng.random() < 0.02:
            depth = rng.choice((10, 150, 300, 900))
            text = text.replace(rng.choice(("1", "null", '""')), "[" * depth + "]" * depth, 1)
        return text.encode("utf-8", "surrogatepass")

    def parses(self, data: bytes) -> bool:
        try:
            json.loads(data.decode())
        except (ValueError, RecursionError):
            return False
        return True


def _altered(rng: random.Random, value: object) -> Any:
    """Some value in the place of another: of the same kind, of another kind, or absurd."""
    if isinstance(value, bool) or value is None or rng.random() < 0.3:
        return copy.deepcopy(rng.choice((*NUMBERS, *OTHERS, *TEXTS)))
    if isinstance(value, int):
        as_float = float(value) if abs(value) < 2**64 else 0.0
        return rng.choice((value + 1, value - 1, -value, value * 2, as_float, str(value), [value], *NUMBERS))
    if isinstance(value, str):
        cut = rng.randrange(len(value) + 1)
        return rng.choice((value[:cut] + rng.choice(TEXTS) + value[cut:], value.upper(), value[:cut], [value], *TEXTS))
    return rng.choice(([value], {"": value}, list(value) if isinstance(value, dict) else {"0": value}, *NUMBERS))


def _reshaped(rng: random.Random, value: Any) -> Any:
    """A JSON value with one place in it altered, left out, doubled, renamed or filled up."""
    if isinstance(value, dict) and value:
        key, kind = rng.choice(list(value)), rng.random()
        if kind < 0.08:
            return {name: each for name, each in value.items() if name != key}
        if kind < 0.16:
            return value | {rng.choice((key + "x", *TEXTS)): copy.deepcopy(rng.choice((value[key], *NUMBERS)))}
        if kind < 0.2:
            return {str(_altered(rng, key)) if name == key else name: each for name, each in value.items()}
        return value | {key: _reshaped(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], *rng.choice(([], [_reshaped(rng, value[at])], [value[at]] * 3)), *value[at + 1 :]]
    return _altered(rng, value)


SIGNAL_FILES = [
    "sound.dat",
    "twelve.dat",
    "short.dat",
    "empty.dat",
    "noise.dat",
    "flac.dat",
    "folder.dat",
    "link.dat",
    "fifo.dat",
    "no.dat",
]
_DIGITS = ("0", "1", "2", "8", "12", "16", "250", "499.9", "500", "5000", "32000", "65535", "9" * 12, "9" * 40, "")
_SIGNED = (*_DIGITS, "-1", "-0", "-5000", "-99999999999")
_SPACED = tuple(f" {signed}" for signed in _SIGNED)
_RECORD_FIELDS = (
    ("r", "x-1", "_", "R" * 200),
    ("", "", "", "/", "/0", "/1", "/2", "/9999999999"),
    (" 8", " 12", " 0", " 1", " 9", " 64", " 65", " 99999999999999999999"),
    (*(f" {digits}" for digits in _DIGITS), " 500.00000001", " 1000", " 499.5", " .5", " 500."),
    ("", "", "/", "/500", "/-1", "/0(0)", "/1(99999)", "/.(.)", f"/{'9' * 400}"),
    (*(f" {digits}" for digits in _DIGITS), " 2500", " 10000", " 4999", " 5001"),
    ("", " 00:00:00", " 23:59:59.999", " 99:99:99", " ::", " 1"),
    ("", " 01/01/2000", " 31/02/2000", " 99/99/9999", " //", " 0/0/0"),
)
"""What the fields of a record line may be, so that wfdb's grammar takes them."""
_SIGNAL_FIELDS = (
    (*SIGNAL_FILES, "~", "", "-", "a.b", "é.dat", "x" * 300),
    tuple(f" {number}" for number in (16, 212, 24, 32, 8, 61, 80, 160, 310, 311, 508, 516, 524, 0, 99)),
    ("", "", *(f"x{digits}" for digits in _DIGITS)),
    ("", "", *(f":{digits}" for digits in _DIGITS)),
    ("", "", *(f"+{digits}" for digits in _DIGITS)),
    (" 1000", *_SPACED, " 1e308", " 1e999", " 1e-400", " .e", " 0.0", " -.5"),
    ("", "(0)", *(f"({signed})" for signed in _SIGNED)),
    ("", "/mV", "/uV", "/V", "/%", "//", "/NU", f"/{'m' * 400}"),
    *[("", " 0", *_SPACED)] * 5,
    tuple(f" {lead}" for lead in (*LEADS, "lead I", "MDC_ECG_LEAD_II", "v1", "", "RESP", "é", "I" * 300)),
)
"""Likewise of a signal line."""


@dataclass
class Wfdb(Target):
    """A target that takes a WFDB header, beside signal files of every kind."""

    def reshape(self, rng: random.Random, example: bytes) -> bytes:
        leads = LEADS if b"aVR" in example else STORED_LEADS
        name = "twelve.dat" if leads == LEADS else "sound.dat"
        name = name if rng.random() < 0.7 else rng.choice(SIGNAL_FILES)
        lines = [["r", "", f" {len(leads)}", " 500", "", " 5000", "", ""]]
        lines += [[name, " 16", "", "", "", " 1000", "(0)", "/mV", *[" 0"] * 5, f" {lead}"] for lead in leads]
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            at = rng.randrange(len(lines)) if rng.random() < 0.7 else 0
            fields = _SIGNAL_FIELDS if at else _RECORD_FIELDS
            place = rng.randrange(len(fields))
            value = rng.choice(fields[place])
            of_all = at and place < len(fields) - 1 and rng.random() < 0.5
            for line in lines[1:] if of_all else [lines[at]]:
                line[place] = value
        if rng.random() < 0.1:
            lines[1:] = rng.choice((lines[:0:-1], lines[1:-1], [*lines[1:], lines[-1]], lines[1:] * 10))
        comment = rng.choice(("", "", "# Age: 1\n", "#\n" * 100))
        return (comment + "\n".join("".join(line) for line in lines) + "\n").encode()

    def parses(self, data: bytes) -> bool:
        record, *signals = parse_header_content(data.decode("ascii", "ignore"))[0] or [""]
        return bool(rx_record.match(record)) and all(map(rx_signal.match, signals))


_PARTS = (
    *[
        "w",
        "r",
        "r.hea",
        "r.dat",
        "deep",
        "..",
        ".",
        "loop",
        "out",
        "fifo.hea",
        "folder.hea",
        "~",
        "*",
        "x.npy",
        "zip.npy",
        "pickle.npy",
        "fifo.npy",
        "::http:",
        "s3:",
    ],
    *("", "é", "\U0001f600", "\n", "\x7f", "\udcff", "\x00", "a" * 255, "b" * 256),
)


@dataclass
class Names(Target):
    """A target that takes the path of an input, below a folder where there is something of every kind."""

    def reshape(self, rng: random.Random, example: bytes) -> bytes:
        parts = [rng.choice(_PARTS) for _ in range(rng.randrange(1, 6))]
        return os.fsencode("/".join([example.decode(), *parts] if rng.random() < 0.3 else parts))

    def parses(self, data: bytes) -> bool:
        return b"\x00" not in data and bool(Path(os.fsdecode(data)).parts)
