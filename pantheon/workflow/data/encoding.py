"""Recognise the encoding of a text file."""

import codecs
import re
from pathlib import Path

from pantheon.workflow.data.textfile import CHUNK, INVISIBLE

START = 1 << 18  # bytes in which the target and the kind of letters are looked for
LIKELY = (
    *("cp1252", "cp1250", "cp1251", "gb18030", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("shift_jis", "big5", "euc_kr", "koi8_r", "cp866", "cp437", "mac_roman", "mac_cyrillic"),
)
RUNS = re.compile(rb"[\x80-\xff]{3,}")
HIGH = re.compile(rb"[\x80-\xff]")
COMMON = re.compile(rb"(?:[\xb0-\xd7][\xa1-\xfe])+")  # the frequent Chinese characters of GB 2312
CYRILLIC = re.compile(rb"[\xc0-\xff\xa8\xb8]")


def encoding_of(path: Path, target: str = "") -> str:
    """Detect utf-8, utf-16 (-le or -be without a BOM), or an encoding of one region. Reads the complete file.

    Args:
        target: a column's name: the encoding in which the file has it is the right one, if it is not ASCII.
    """
    with path.open("rb") as file:
        start = file.read(START)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in start:
        return "utf-16-le" if start[1::2].count(0) >= start[::2].count(0) else "utf-16-be"
    if _decodes(path, "utf-8"):
        return "utf-8"
    if target and not target.isascii():
        wanted = target.strip(INVISIBLE)
        for encoding in LIKELY:
            try:
                if wanted.encode(encoding) in start and _decodes(path, encoding):
                    return encoding
            except UnicodeEncodeError:
                continue
    guesses = (_of_letters(start), "cp1252")
    return next((encoding for encoding in guesses if encoding and _decodes(path, encoding)), "latin-1")


def _of_letters(start: bytes) -> str:
    """Return gb18030 or cp1251 if most letters beyond ASCII stand beside others, as they do not in Western words."""
    high = len(HIGH.findall(start))
    runs = RUNS.findall(start)
    if sum(map(len, runs)) < high / 2:
        return ""
    if sum(len(match) for match in COMMON.findall(start)) > 0.6 * high:
        return "gb18030"
    return "cp1251" if len(CYRILLIC.findall(start)) > 0.9 * high else ""


def _decodes(path: Path, encoding: str) -> bool:
    with path.open(encoding=encoding, newline="") as file:
        try:
            while file.read(CHUNK):
                pass
        except UnicodeDecodeError:
            return False
    return True
