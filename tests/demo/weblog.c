/* A line is in shape when it matches, over bytes,
 *   ^(\S+) \S+ \S+ \[DD/Mon/YYYY:HH:MM:SS +-HHMM\] "METHOD TARGET[ PROTO]" STATUS (SIZE|-)( |$)
 * No token may hold the byte that ends it, so one pass from left to right decides, without going back.
 * Invariant of a scan: at <= end, and after the first mismatch nothing matches any more. */

#include "weblog.h"

#include <arpa/inet.h>
#include <string.h>

#include <samebytes/crc32c.h>

typedef struct scan {
  const uint8_t *at;
  const uint8_t *end;
  bool failed;
} scan;

typedef bool (*byte_test)(uint8_t byte);

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }
static bool is_not_space(uint8_t byte) { return byte != ' ' && (byte < '\t' || byte > '\r'); }
static bool is_in_quotes(uint8_t byte) { return byte != ' ' && byte != '"'; }

static bool scan_byte(scan *text, uint8_t byte) {
  if (text->failed || text->at == text->end || *text->at != byte) return false;
  text->at++;
  return true;
}

static void expect(scan *text, const char *literal) {
  for (; *literal != '\0'; literal++)
    if (!scan_byte(text, (uint8_t)*literal)) text->failed = true;
}

/* One or more bytes that pass the test; returns how many. */
static size_t expect_token(scan *text, byte_test test) {
  const uint8_t *start = text->at;
  while (!text->failed && text->at < text->end && test(*text->at)) text->at++;
  size_t size = (size_t)(text->at - start);
  if (size == 0) text->failed = true;
  return size;
}

/* Exactly `count` digits with a value from `least` to `most`. */
static int64_t expect_number(scan *text, size_t count, int64_t least, int64_t most) {
  int64_t number = 0;
  for (size_t i = 0; i < count; i++) {
    if (text->failed || text->at == text->end || !is_digit(*text->at)) {
      text->failed = true;
      return least;
    }
    number = number * 10 + (*text->at++ - '0');
  }
  if (number < least || number > most) text->failed = true;
  return number;
}

static int64_t expect_month(scan *text) {
  static const char names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (int i = 0; i < 12 && !text->failed && text->end - text->at >= 3; i++) {
    if (memcmp(text->at, names[i], 3) == 0) {
      text->at += 3;
      return i + 1;
    }
  }
  text->failed = true;
  return 1;
}

static int64_t days_in_month(int64_t year, int64_t month) {
  static const int8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Days from 1970-01-01. Years begin in March here, so that the leap day comes last; 719468 days lie between 0000-03-01 and then. */
static int64_t days_since_epoch(int64_t year, int64_t month, int64_t day) {
  int64_t y = month <= 2 ? year - 1 : year;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t year_of_era = y - era * 400;
  int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static int64_t expect_time_ms(scan *text) {
  int64_t day = expect_number(text, 2, 1, 31);
  expect(text, "/");
  int64_t month = expect_month(text);
  expect(text, "/");
  int64_t year = expect_number(text, 4, 0, 9999);
  if (day > days_in_month(year, month)) text->failed = true;
  expect(text, ":");
  int64_t hour = expect_number(text, 2, 0, 23);
  expect(text, ":");
  int64_t minute = expect_number(text, 2, 0, 59);
  expect(text, ":");
  int64_t second = expect_number(text, 2, 0, 59);
  expect(text, " ");
  int64_t sign = 1;
  if (scan_byte(text, '-'))
    sign = -1;
  else
    expect(text, "+");
  int64_t offset = expect_number(text, 2, 0, 23) * 60;
  offset += expect_number(text, 2, 0, 59);
  return (days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - sign * offset * 60) * 1000;
}

/* `-`, or 1 to 10 digits up to 2^32-1. */
static uint32_t expect_size(scan *text) {
  if (scan_byte(text, '-')) return 0;
  const uint8_t *start = text->at;
  size_t count = expect_token(text, is_digit);
  if (count > 10) text->failed = true;
  uint64_t size = 0;
  for (size_t i = 0; i < count && !text->failed; i++) size = size * 10 + (uint64_t)(start[i] - '0');
  if (size > UINT32_MAX) text->failed = true;
  return (uint32_t)size;
}

/* A half of an unsigned number, its bits read as a signed one. */
static int16_t half(uint32_t number, unsigned shift) {
  uint16_t bits = (uint16_t)(number >> shift);
  int16_t result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

weblog_line weblog_parse(const uint8_t *bytes, size_t size) {
  scan text = {.at = bytes, .end = bytes + size, .failed = false};
  weblog_line line = {.bytes = bytes, .size = size};
  for (int i = 0; i < 3; i++) {
    (void)expect_token(&text, is_not_space);
    expect(&text, " ");
  }
  expect(&text, "[");
  line.time_ms = expect_time_ms(&text);
  expect(&text, "] \"");
  (void)expect_token(&text, is_in_quotes);
  expect(&text, " ");
  line.target = text.at;
  line.target_size = expect_token(&text, is_in_quotes);
  if (scan_byte(&text, ' ')) (void)expect_token(&text, is_in_quotes);
  expect(&text, "\" ");
  int64_t status = expect_number(&text, 3, 0, 999);
  expect(&text, " ");
  uint32_t reply_size = expect_size(&text);
  if (text.at < text.end) expect(&text, " ");
  if (text.failed) return (weblog_line){.bytes = bytes, .size = size};
  line.in_shape = true;
  line.metadata[0] = (int16_t)status;
  line.metadata[1] = half(reply_size, 16);
  line.metadata[2] = half(reply_size, 0);
  return line;
}

uint32_t weblog_user(const weblog_line *line) {
  const uint8_t *end = memchr(line->bytes, ' ', line->size);
  size_t size = end != NULL ? (size_t)(end - line->bytes) : line->size;
  char text[INET_ADDRSTRLEN] = "";
  struct in_addr address;
  if (size < sizeof text) memcpy(text, line->bytes, size);
  return inet_pton(AF_INET, text, &address) == 1 ? ntohl(address.s_addr) : sb_crc32c(0, line->bytes, size);
}

int64_t weblog_time_ns(const weblog_line *line) {
  const int64_t ms_max = INT64_MAX / 1000000;
  int64_t ms = line->time_ms;
  return (ms > ms_max ? ms_max : ms < -ms_max ? -ms_max : ms) * 1000000;
}
