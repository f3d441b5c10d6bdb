# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""Echo requests by a struct parser in Cython: eager objects from a stream, and frames from values."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from "<endian.h>" nogil:
    uint16_t be16toh(uint16_t)
    uint32_t be32toh(uint32_t)
    uint64_t be64toh(uint64_t)


cdef inline uint16_t load16(const char *data) noexcept:
    cdef uint16_t value
    memcpy(&value, data, 2)
    return be16toh(value)


cdef inline uint32_t load32(const char *data) noexcept:
    cdef uint32_t value
    memcpy(&value, data, 4)
    return be32toh(value)


cdef inline uint64_t load64(const char *data) noexcept:
    cdef uint64_t value
    memcpy(&value, data, 8)
    return be64toh(value)


@cython.freelist(64)
cdef class Request:
    cdef readonly int api_key, sequence
    cdef readonly int64_t timestamp
    cdef readonly bytes subject
    cdef readonly list metadata
    cdef readonly bytes body


cdef class Parser:
    cdef bytes tail

    def __init__(self):
        self.tail = b""

    def feed(self, bytes chunk):
        """Return the requests that are complete."""
        cdef bytes data = self.tail + chunk if self.tail else chunk
        cdef const char *at = PyBytes_AS_STRING(data)
        cdef const char *end = at + PyBytes_GET_SIZE(data)
        cdef int32_t size
        cdef list rows = []
        while end - at >= 4:
            size = <int32_t>load32(at)
            if size < 20 or size > 1048576:
                raise ValueError(f"a frame of {size} bytes")
            if end - at - 4 < size:
                break
            rows.append(decode(at + 4, size))
            at += 4 + size
        self.tail = PyBytes_FromStringAndSize(at, end - at)
        return rows


cdef Request decode(const char *at, int32_t size):
    cdef int64_t left = size - 20
    cdef uint32_t length
    cdef int count, i
    cdef Request row = Request.__new__(Request)
    if at[0] != 0:
        raise ValueError(f"api_key {at[0]}")
    row.api_key = 0
    row.sequence = <signed char>at[1]
    row.timestamp = <int64_t>load64(at + 2)
    length = load32(at + 10)
    if length > left:
        raise ValueError("subject is longer than its frame")
    left -= length
    row.subject = PyBytes_FromStringAndSize(at + 14, length)
    at += 14 + length
    count = <int16_t>load16(at)
    if count < 0 or 2 * count > left:
        raise ValueError("metadata is longer than its frame")
    left -= 2 * count
    row.metadata = [<int16_t>load16(at + 2 + 2 * i) for i in range(count)]
    at += 2 + 2 * count
    if load32(at) != left:
        raise ValueError("body does not end with its frame")
    row.body = PyBytes_FromStringAndSize(at + 4, left)
    return row


def encode(int sequence, int64_t timestamp, bytes subject, list metadata, bytes body):
    """Return the frame of a request."""
    cdef Py_ssize_t count = len(metadata)
    if count > 32767:
        raise ValueError("too many metadata")
    cdef Py_ssize_t size = 24 + len(subject) + 2 * count + len(body)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, size)
    cdef char *at = PyBytes_AS_STRING(frame)
    cdef uint32_t word = be32toh(<uint32_t>(size - 4))
    cdef uint64_t long_word = be64toh(<uint64_t>timestamp)
    cdef uint16_t short_word
    memcpy(at, &word, 4)
    at[4] = 0
    at[5] = <char>sequence
    memcpy(at + 6, &long_word, 8)
    word = be32toh(<uint32_t>len(subject))
    memcpy(at + 14, &word, 4)
    memcpy(at + 18, PyBytes_AS_STRING(subject), len(subject))
    at += 18 + len(subject)
    short_word = be16toh(<uint16_t>count)
    memcpy(at, &short_word, 2)
    at += 2
    for item in metadata:
        short_word = be16toh(<uint16_t><int16_t>item)
        memcpy(at, &short_word, 2)
        at += 2
    word = be32toh(<uint32_t>len(body))
    memcpy(at, &word, 4)
    memcpy(at + 4, PyBytes_AS_STRING(body), len(body))
    return frame
