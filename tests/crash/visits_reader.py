"""The file of visits, read and written from docs/file-format.md alone: nothing here is shared with the core.

`open_file` says what an open does with any bytes, and `is_sound` what verify says; `Writer` makes files. All is done the simplest way,
which takes the square of the size for some files.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

START, SECTOR, HEAD, ITEM_HEAD = 4096, 512, 32, 20
RECORD_MAX, TEXT_MAX, ITEMS_MAX, FILE_MAX = 0x20000000, 0x4000000, 4096, 1 << 43
VISITS, DELETE, CLEAR, LIMIT, PAGE, INDEX = range(1, 7)
MAGIC = b"\x89SBVIS\r\n"
COPIES = 1

_TABLE = []
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value >> 1) ^ (0x82F63B78 if _value & 1 else 0)
    _TABLE.append(_value)


def crc32c(data: bytes, checksum: int = 0) -> int:
    value = checksum ^ 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def padded(size: int) -> int:
    return (size + 7) // 8 * 8


class Refused(Exception):
    """An open that is refused: as damaged, at an offset, or as made by a newer library."""

    def __init__(self, status: str, offset: int | None = None) -> None:
        super().__init__(status, offset)
        self.status = status
        self.offset = offset


class Visit(NamedTuple):
    time: int
    visit_id: int
    url: bytes
    text: bytes


class Record(NamedTuple):
    offset: int
    length: int
    sequence: int
    durable: int
    type: int
    count: int
    user: int
    payload: bytes

    @property
    def end(self) -> int:
        return self.offset + padded(self.length)

    def visits(self) -> list[Visit]:
        found = []
        at = 0
        for _ in range(self.count):
            time, visit_id, url, text = struct.unpack_from("<qIII", self.payload, at)
            at += ITEM_HEAD
            found.append(Visit(time, visit_id, self.payload[at : at + url], self.payload[at + url : at + url + text]))
            at += url + text
        return found


class Slot(NamedTuple):
    generation: int
    state: int
    length: int
    index: int
    boot: int


class Page(NamedTuple):
    first: int
    last: int
    offset: int
    length: int
    users: int


@dataclass
class Base:
    record: Record
    max_visits: int
    users: int
    visits: int
    live: int
    pages: list[Page]


# ---- bytes ----


def header_is_whole(data: bytes) -> bool:
    return len(data) == 64 and data[:8] == MAGIC and crc32c(data[:60]) == struct.unpack_from("<I", data, 60)[0]


def payload_fits(kind: int, count: int, user: int, payload: bytes) -> bool:
    size = len(payload)
    if kind == VISITS:
        at = 0
        for _ in range(count):
            if size - at < ITEM_HEAD:
                return False
            url, text = struct.unpack_from("<II", payload, at + 12)
            at += ITEM_HEAD
            if url > TEXT_MAX or text > TEXT_MAX or size - at < url + text or 0 in payload[at : at + url + text]:
                return False
            at += url + text
        return count > 0 and at == size
    if kind == DELETE:
        return count > 0 and size == 4 * count
    if kind == CLEAR:
        return count == 0 and size == 0
    if kind == LIMIT:
        return count == 0 and user > 0 and (size == 0 or header_is_whole(payload))
    if kind == PAGE:
        if count == 0 or size < 8 * count:
            return False
        rows = [struct.unpack_from("<II", payload, 8 * i) for i in range(count)]
        if (
            rows[0][0] != user
            or any(runs == 0 for _, runs in rows)
            or any(a[0] >= b[0] for a, b in itertools.pairwise(rows))
        ):
            return False
        return size == 8 * count + 8 * sum(runs for _, runs in rows)
    if count != 0 or user != 0 or size < 32:
        return False
    rest = size - 32 - 24 * struct.unpack_from("<I", payload)[0]
    return rest == 0 or (rest == 64 and header_is_whole(payload[-64:]))


class Reader:
    """Any bytes as a file. Where they are read twice, the checksum is computed once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.seed = 0
        self.header = b""
        self.known: dict[int, Record | None] = {}
        self.summed: dict[int, tuple[int, int]] = {}  # of what has a right checksum, whatever it says: sequence and end

    def record(self, offset: int) -> Record | None:
        """The valid record at *offset*, its place in the log aside."""
        if offset not in self.known:
            self.known[offset] = self.read(offset)
        return self.known[offset]

    def read(self, offset: int) -> Record | None:
        data = self.data
        if offset < START or len(data) - offset < HEAD:
            return None
        length, checksum, sequence, durable, kind, zero, count, user = struct.unpack_from("<IIQQBBHI", data, offset)
        end = offset + padded(length)
        if (
            not HEAD <= length <= RECORD_MAX
            or end > len(data)
            or zero != 0
            or not 1 <= kind <= INDEX
            or count > ITEMS_MAX
        ):
            return None
        if not 1 <= sequence <= (offset - START) // HEAD + 1 or durable > offset:
            return None
        if crc32c(data[offset + 8 : end], crc32c(data[offset : offset + 4], self.seed)) != checksum:
            return None
        self.summed[offset] = sequence, end
        payload = data[offset + HEAD : offset + length]
        if any(data[offset + length : end]) or not payload_fits(kind, count, user, payload):
            return None
        return Record(offset, length, sequence, durable, kind, count, user, payload)

    def slot(self, number: int) -> Slot | None:
        at = SECTOR * (1 + number)
        raw = self.data[at : at + 64]
        generation, state, _, length, index, uuid, boot, _, checksum = struct.unpack("<QIIQQ16sQII", raw)
        if (
            crc32c(raw[:60]) != checksum
            or uuid != self.header[32:48]
            or generation % 2 != number
            or state not in (1, 2)
        ):
            return None
        if not START <= length <= FILE_MAX or length % 8 or index % 8 or (index and not START <= index < FILE_MAX):
            return None
        return Slot(generation, state, length, index, boot)

    def read_header(self, read_only: bool) -> Slot:
        if len(self.data) < START:
            raise Refused("SB_CORRUPT", len(self.data))
        self.header = header = self.data[:64]
        if crc32c(header[:60]) != struct.unpack_from("<I", header, 60)[0]:
            raise Refused("SB_CORRUPT", 0)
        version, _, start, to_read, to_write = struct.unpack_from("<HHIQQ", header, 8)
        if version != 1 or start != START or to_read & ~COPIES or (to_write and not read_only):
            raise Refused("SB_UNSUPPORTED")
        self.seed = crc32c(header[32:48])
        slots = [slot for slot in (self.slot(0), self.slot(1)) if slot is not None]
        if not slots:
            raise Refused("SB_CORRUPT", SECTOR)
        return max(slots)

    def owns(self, record: Record) -> bool:
        """Whether the copy of the header in a limit or an index is this file's."""
        payload = record.payload
        before = 0 if record.type == LIMIT else 32 + 24 * struct.unpack_from("<I", payload)[0]
        if len(payload) == before:
            return not struct.unpack_from("<Q", self.header, 16)[0] & COPIES
        return payload[before + 32 : before + 48] == self.header[32:48]

    def index(self, offset: int) -> Base:
        record = self.record(offset)
        if record is None or record.type != INDEX or not self.owns(record):
            raise Refused("SB_CORRUPT", offset)
        count, max_visits, users, visits, live = struct.unpack_from("<IIQQQ", record.payload)
        base = Base(record, max_visits, users, visits, live, [])
        free = START
        for i in range(count):
            page = Page(*struct.unpack_from("<IIQII", record.payload, 32 + 24 * i))
            wrong = page.first > page.last or (i > 0 and page.first <= base.pages[-1].last)
            wrong = (
                wrong
                or page.offset < free
                or page.offset % 8
                or not 1 <= page.users <= ITEMS_MAX
                or page.length < HEAD + 16 * page.users
            )
            free = page.offset + padded(page.length)
            if wrong or free > offset:
                raise Refused("SB_CORRUPT", offset)
            base.pages.append(page)
        if max_visits == 0 or users != sum(page.users for page in base.pages) or visits < users:
            raise Refused("SB_CORRUPT", offset)
        return base

    def between(self, base: Base) -> list[Record]:
        """The records that lie between the pages of an index, and are of users whose page does not know of them."""
        found = []
        last = 0
        for page, following in itertools.zip_longest(base.pages, base.pages[1:]):
            at = page.offset + padded(page.length)
            end = following.offset if following else base.record.offset
            while at < end:
                record = self.record(at)
                if (
                    record is None
                    or record.end > end
                    or record.type == LIMIT
                    or not last < record.sequence < base.record.sequence
                ):
                    raise Refused("SB_CORRUPT", at)
                last = record.sequence
                own = next((page.offset for page in base.pages if page.last >= record.user), base.record.offset)
                if record.type < LIMIT and record.offset >= own:
                    found.append(record)
                at = record.end
        return found

    def runs(self, base: Base) -> dict[int, list[int]]:
        """What all pages of an index say."""
        found: dict[int, list[int]] = {}
        for i, page in enumerate(base.pages):
            record = self.record(page.offset)
            if (
                record is None
                or record.end > base.record.offset
                or record.type != PAGE
                or (record.user, record.count, record.length) != (page.first, page.users, page.length)
                or struct.unpack_from("<I", record.payload, 8 * (page.users - 1))[0] != page.last
                or record.sequence + len(base.pages) - i > base.record.sequence
            ):
                raise Refused("SB_CORRUPT", page.offset)
            at = 8 * record.count
            for row in range(record.count):
                user, count = struct.unpack_from("<II", record.payload, 8 * row)
                found[user] = list(struct.unpack_from(f"<{count}Q", record.payload, at))
                at += 8 * count
        return found


def holds(slot: Slot, boot: int) -> bool:
    return slot.index != 0 and (slot.index < slot.length or (slot.boot != 0 and slot.boot == boot))


# ---- state ----


class State:
    """What replaying gives: of each user the visits, oldest first, each with its place."""

    def __init__(self, max_visits: int) -> None:
        self.max_visits = max_visits
        self.users: dict[int, list[tuple[Visit, int]]] = {}

    def add(self, user: int, visit: Visit, place: int) -> None:
        have = self.users.setdefault(user, [])
        if any(other.visit_id == visit.visit_id for other, _ in have):
            return
        if len(have) >= self.max_visits:
            if have[0][0].time > visit.time:
                return
            del have[0]
        at = len(have)
        while at > 0 and have[at - 1][0].time > visit.time:
            at -= 1
        have.insert(at, (visit, place))

    def take(self, record: Record) -> None:
        if record.type == LIMIT:
            self.max_visits = record.user
            for have in self.users.values():
                del have[: max(0, len(have) - record.user)]
        elif record.type == VISITS:
            for i, visit in enumerate(record.visits()):
                self.add(record.user, visit, record.offset // 8 << 24 | i << 12)
        elif record.type == DELETE:
            ids = set(struct.unpack(f"<{record.count}I", record.payload))
            have = self.users.get(record.user, [])
            have[:] = [entry for entry in have if entry[0].visit_id not in ids]
        elif record.type == CLEAR:
            self.users.pop(record.user, None)

    def shown(self) -> dict[int, list[Visit]]:
        return {user: [visit for visit, _ in reversed(have)] for user, have in sorted(self.users.items()) if have}


@dataclass
class Opened:
    tail: int = 0
    tail_offset: int = 0
    visits: dict[int, list[Visit]] | None = field(default_factory=dict)  # None: cannot be read


def log_end(reader: Reader, at: int, sequence: int, slot: Slot, boot: int, records: list[Record]) -> tuple[int, int]:
    """Adds what follows *at* to *records*. Returns where the log ends, and how many bytes behind it are no zeros."""
    data = reader.data
    while True:
        record = reader.record(at)
        if record is None or record.sequence != sequence + 1:
            break
        if sequence == 0 and record.type != LIMIT:
            raise Refused("SB_CORRUPT", at)
        if record.type == LIMIT and not reader.owns(record):
            raise Refused("SB_CORRUPT", at)
        records.append(record)
        at, sequence = record.end, record.sequence
    if at < slot.length:
        raise Refused("SB_CORRUPT", at)
    if sequence == 0:
        raise Refused("SB_CORRUPT", at)
    tail = len(data[at:].rstrip(b"\0"))
    same = slot.boot != 0 and slot.boot == boot
    behind = at
    while tail and behind + HEAD <= len(data):
        found = reader.record(behind)
        if found is not None and found.sequence > sequence and (same or found.durable > at):
            raise Refused("SB_CORRUPT", at)
        whose, end = reader.summed.get(behind, (0, 0))
        behind = end if whose > sequence else behind + 8
    return at, tail


def open_file(data: bytes, boot: int, *, read_only: bool) -> Opened:
    reader = Reader(data)
    if data[:8] != MAGIC:
        raise Refused("SB_CORRUPT")  # the old format is none of this reader's
    slot = reader.read_header(read_only)
    if len(data) < slot.length:
        raise Refused("SB_CORRUPT", len(data))
    base = None
    records: list[Record] = []
    if holds(slot, boot):
        try:
            base = reader.index(slot.index)
            records = reader.between(base)
        except Refused:
            if slot.index < slot.length:
                raise
            base = None
    start, sequence = (base.record.end, base.record.sequence) if base else (START, 0)
    end, tail = log_end(reader, start, sequence, slot, boot, records)
    opened = Opened(tail, end)
    state = State(base.max_visits if base else 0)
    try:
        if base:
            # Clearing a user gives up what is damaged of it.
            cleared = {record.user for record in records if record.type == CLEAR}
            for user, runs in reader.runs(base).items():
                take_runs(reader, base, state, user, runs, given_up=user in cleared)
        for record in records:
            state.take(record)
        opened.visits = state.shown()
    except Refused:
        opened.visits = None
    return opened


def take_runs(reader: Reader, base: Base, state: State, user: int, runs: list[int], *, given_up: bool) -> None:
    for run in runs:
        place, first, count = (run >> 24) * 8, run >> 12 & 0xFFF, (run & 0xFFF) + 1
        record = reader.record(place)
        if (
            record is None
            or record.end > base.record.offset
            or (record.type, record.user) != (VISITS, user)
            or first + count > record.count
            or record.sequence >= base.record.sequence
        ):
            if given_up:
                return
            raise Refused("SB_CORRUPT", place)
        for i, visit in enumerate(record.visits()[first : first + count]):
            state.add(user, visit, (place // 8 << 24) | (first + i) << 12)


def is_sound(data: bytes, boot: int) -> bool:
    """Whether verify finds nothing."""
    reader = Reader(data)
    if data[:8] != MAGIC:
        return False
    try:
        slot = reader.read_header(read_only=True)
        if any(data[a:b].strip(b"\0") for a, b in ((10, 12), (48, 60), (64, 512), (576, 1024), (1088, START))):
            return False
        if len(data) < slot.length:
            return False
        slots = []
        for number in range(2):
            raw = data[SECTOR * (1 + number) : SECTOR * (1 + number) + 64]
            found = reader.slot(number)
            if found is None:
                if slot.generation > 1 or any(raw):
                    return False
                continue
            if any(raw[12:16]) or any(raw[56:60]):
                return False
            slots.append(found)
        records: list[Record] = []
        end, tail = log_end(reader, START, 0, slot, boot, records)
        ends = {START, *(record.end for record in records)}
        indexes = {found.index for found in slots if holds(found, boot)}
        if tail or any(found.length not in ends for found in slots):
            return False
        if any(
            index < end and index not in {record.offset for record in records if record.type == INDEX}
            for index in indexes
        ):
            return False
        state = State(0)
        limits = 0
        pages: dict[
            int, tuple[int, dict[int, list[tuple[Visit, int]]]]
        ] = {}  # how many limits, and what users had, at the place of each
        for record in records:
            if record.type == PAGE:
                pages[record.offset] = limits, {user: list(have) for user, have in state.users.items() if have}
            if (
                record.type == INDEX
                and record.offset in indexes
                and not index_agrees(reader, record.offset, state, limits, pages)
            ):
                return False
            limits += record.type == LIMIT
            state.take(record)
    except Refused:
        return False
    return True


def index_agrees(
    reader: Reader,
    offset: int,
    state: State,
    limits: int,
    pages: dict[int, tuple[int, dict[int, list[tuple[Visit, int]]]]],
) -> bool:
    """Whether each page says of its users, and of all up to the next page's, what they had at its place, and the index the sums."""
    base = reader.index(offset)
    said = reader.runs(base)
    live = visits = first = 0
    for page in base.pages:
        if page.offset not in pages or pages[page.offset][0] != limits:
            return False
        there = {user: have for user, have in pages[page.offset][1].items() if first <= user <= page.last}
        if there.keys() != {user for user in said if page.first <= user <= page.last}:
            return False
        for user, have in there.items():
            if [place for _, place in have] != [
                (run & ~0xFFF) + (i << 12) for run in said[user] for i in range((run & 0xFFF) + 1)
            ]:
                return False
            live += HEAD + sum(ITEM_HEAD + len(visit.url) + len(visit.text) for visit, _ in have)
            visits += len(have)
        first = page.last + 1
    more = any(have and user >= first for user, have in state.users.items())
    return not more and (base.max_visits, base.visits, base.live) == (state.max_visits, visits, live)


# ---- writing ----


class Writer:
    """Makes a file, record by record."""

    def __init__(self, uuid: bytes, *, copies: bool = True) -> None:
        header = bytearray(64)
        struct.pack_into("<8sHHIQQ16s", header, 0, MAGIC, 1, 0, START, COPIES if copies else 0, 0, uuid)
        struct.pack_into("<I", header, 60, crc32c(header[:60]))
        self.header = bytes(header)
        self.copy = self.header if copies else b""
        self.seed = crc32c(uuid)
        self.log = bytearray()
        self.sequence = 0
        self.durable = START
        self.state = State(0)

    @property
    def end(self) -> int:
        return START + len(self.log)

    def record(self, kind: int, count: int, user: int, payload: bytes) -> int:
        self.sequence += 1
        offset = self.end
        record = bytearray(padded(HEAD + len(payload)))
        struct.pack_into(
            "<IIQQBBHI", record, 0, HEAD + len(payload), 0, self.sequence, self.durable, kind, 0, count, user
        )
        record[HEAD : HEAD + len(payload)] = payload
        struct.pack_into("<I", record, 4, crc32c(record[8:], crc32c(record[:4], self.seed)))
        self.log += record
        self.state.take(Record(offset, HEAD + len(payload), self.sequence, self.durable, kind, count, user, payload))
        return offset

    def limit(self, max_visits: int) -> None:
        self.record(LIMIT, 0, max_visits, self.copy)

    def visits(self, user: int, visits: list[Visit]) -> None:
        payload = b"".join(
            struct.pack("<qIII", v.time, v.visit_id, len(v.url), len(v.text)) + v.url + v.text for v in visits
        )
        self.record(VISITS, len(visits), user, payload)

    def delete(self, user: int, ids: list[int]) -> None:
        self.record(DELETE, len(ids), user, struct.pack(f"<{len(ids)}I", *ids))

    def clear(self, user: int) -> None:
        self.record(CLEAR, 0, user, b"")

    def index(self, users_per_page: int, between: Callable[[], None] = lambda: None) -> int:
        """Writes an index; *between* may write records behind each page."""
        pages = []
        live = visits = users = first = 0
        while part := [(user, have) for user, have in sorted(self.state.users.items()) if have and user >= first][
            :users_per_page
        ]:
            heads = runs_of_page = b""
            for user, have in part:
                runs: list[int] = []
                for visit, place in have:
                    same = runs and runs[-1] >> 24 == place >> 24
                    if same and (runs[-1] >> 12 & 0xFFF) + (runs[-1] & 0xFFF) + 1 == place >> 12 & 0xFFF:
                        runs[-1] += 1
                    else:
                        runs.append(place)
                    live += ITEM_HEAD + len(visit.url) + len(visit.text)
                live += HEAD
                visits += len(have)
                heads += struct.pack("<II", user, len(runs))
                runs_of_page += struct.pack(f"<{len(runs)}Q", *runs)
            last = part[-1][0]
            offset = self.record(PAGE, len(part), part[0][0], heads + runs_of_page)
            pages.append(struct.pack("<IIQII", part[0][0], last, offset, HEAD + len(heads + runs_of_page), len(part)))
            users += len(part)
            first = last + 1
            between()
        payload = struct.pack("<IIQQQ", len(pages), self.state.max_visits, users, visits, live) + b"".join(pages)
        return self.record(INDEX, 0, 0, payload + self.copy)

    def file(self, slots: list[Slot]) -> bytearray:
        page = bytearray(START)
        page[:64] = self.header
        for slot in slots:
            raw = bytearray(struct.pack("<QIIQQ16sQII", *slot[:2], 0, *slot[2:4], self.header[32:48], slot.boot, 0, 0))
            struct.pack_into("<I", raw, 60, crc32c(raw[:60]))
            at = SECTOR * (1 + slot.generation % 2)
            page[at : at + 64] = raw
        return page + self.log
