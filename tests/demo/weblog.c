/* A line is in shape when it holds, over bytes,
 *   CLIENT... [DD/Mon/YYYY:HH:MM:SS +-HHMM] "REQUEST" STATUS SIZE
 * the first such time behind at least one byte, and after SIZE nothing, or a space, a tab, a quote or a CR. REQUEST may hold anything: it ends at
 * the first quote that is not escaped, if numbers follow, otherwise at the first quote after which they do.
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

static bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

/* What a method is made of (RFC 9110, token). */
static bool is_token(uint8_t byte) {
  const bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
  return letter || is_digit(byte) || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool scan_byte(scan *text, uint8_t byte) {
  if (text->failed || text->at == text->end || *text->at != byte) return false;
  text->at++;
  return true;
}

static void expect(scan *text, const char *literal) {
  for (; *literal != '\0'; literal++)
    if (!scan_byte(text, (uint8_t)*literal)) text->failed = true;
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

/* Three digits of a fraction of a second, of up to as many as there are; none is 0. */
static int64_t scan_ms(scan *text) {
  int64_t ms = 0, unit = 100;
  if (!scan_byte(text, '.') && !scan_byte(text, ',')) return 0;
  if (text->at == text->end || !is_digit(*text->at)) text->failed = true;
  for (; text->at < text->end && is_digit(*text->at); text->at++, unit /= 10) ms += (*text->at - '0') * unit;
  return ms;
}

/* `*valid` is whether the calendar has such a time. A leap second is the second after it. */
static int64_t expect_time_ms(scan *text, bool *valid) {
  expect(text, "[");
  int64_t day = expect_number(text, 2, 0, 99);
  expect(text, "/");
  int64_t month = expect_month(text);
  expect(text, "/");
  int64_t year = expect_number(text, 4, 0, 9999);
  expect(text, ":");
  int64_t hour = expect_number(text, 2, 0, 99);
  expect(text, ":");
  int64_t minute = expect_number(text, 2, 0, 99);
  expect(text, ":");
  int64_t second = expect_number(text, 2, 0, 99);
  int64_t ms = scan_ms(text);
  expect(text, " ");
  int64_t sign = 1;
  if (scan_byte(text, '-'))
    sign = -1;
  else
    expect(text, "+");
  int64_t east_hours = expect_number(text, 2, 0, 99);
  int64_t east_minutes = expect_number(text, 2, 0, 99);
  expect(text, "]");
  *valid = day >= 1 && day <= days_in_month(year, month) && hour <= 23 && minute <= 59 && second <= 60 && east_hours <= 23 &&
           east_minutes <= 59;
  int64_t offset = sign * (east_hours * 60 + east_minutes);
  return (days_since_epoch(year, month, day) * 86400 + hour * 3600 + (minute - offset) * 60 + second) * 1000 + ms;
}

/* What stands behind a request. */
typedef struct numbers {
  int64_t status;
  uint32_t size; /* a larger one is the largest that there is room for */
} numbers;

static uint32_t expect_size(scan *text) {
  uint64_t size = 0;
  if (scan_byte(text, '-')) return 0;
  if (text->at == text->end || !is_digit(*text->at)) text->failed = true;
  for (; text->at < text->end && is_digit(*text->at); text->at++) {
    size = size * 10 + (uint64_t)(*text->at - '0');
    if (size > UINT32_MAX) size = UINT32_MAX;
  }
  return (uint32_t)size;
}

/* Whether `text`, which stands before the quote that may end a request, has the numbers behind it. */
static bool has_numbers(scan text, numbers *found) {
  expect(&text, "\" ");
  found->status = scan_byte(&text, '-') ? 0 : expect_number(&text, 3, 0, 999);
  expect(&text, " ");
  found->size = expect_size(&text);
  static const uint8_t ends[] = {' ', '\t', '"', '\r'};
  return !text.failed && (text.at == text.end || memchr(ends, *text.at, sizeof ends) != NULL);
}

/* Finds the request, and the numbers behind it. */
static void expect_request(scan *text, const uint8_t **request, size_t *size, numbers *found) {
  expect(text, " \"");
  if (text->failed) return;
  const uint8_t *quote = text->at;
  while (quote < text->end && *quote != '"') quote += *quote == '\\' && quote + 1 < text->end ? 2 : 1;
  bool good = quote < text->end && has_numbers((scan){.at = quote, .end = text->end}, found);
  if (!good) {
    for (quote = text->at; !good && quote < text->end; quote++) {
      quote = memchr(quote, '"', (size_t)(text->end - quote));
      if (quote == NULL) break;
      good = has_numbers((scan){.at = quote, .end = text->end}, found);
      if (good) break;
    }
  }
  text->failed = !good;
  *request = text->at;
  *size = good ? (size_t)(quote - text->at) : 0;
}

/* Whether the bytes are HTTP/ and a version. */
static bool is_version(const uint8_t *at, const uint8_t *end) {
  if (end - at < 6 || memcmp(at, "HTTP/", 5) != 0) return false;
  for (at += 5; at < end; at++)
    if (!is_digit(*at) && *at != '.') return false;
  return true;
}

/* What a request asks for: all between method and version; nothing where it is no request. */
static void find_target(const uint8_t *request, size_t size, weblog_line *line) {
  const uint8_t *at = request, *end = request + size;
  while (at < end && is_token(*at)) at++;
  const uint8_t *method_end = at;
  while (at < end && *at == ' ') at++;
  line->target = at;
  if (method_end == request || at == method_end || at == end) return;
  const uint8_t *last = end;
  while (last > at && last[-1] != ' ') last--;
  if (last > at && is_version(last, end))
    for (end = last; end[-1] == ' ';) end--;
  line->target_size = (size_t)(end - at);
}

/* A half of an unsigned number, its bits read as a signed one. */
static int16_t half(uint32_t number, unsigned shift) {
  uint16_t bits = (uint16_t)(number >> shift);
  int16_t result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

/* Moves `text` behind the first time, which is not at its beginning. */
static int64_t find_time_ms(scan *text, bool *valid) {
  const uint8_t *start = text->at < text->end ? text->at + 1 : text->end;
  while (start < text->end && (start = memchr(start, '[', (size_t)(text->end - start))) != NULL) {
    scan time = {.at = start++, .end = text->end};
    int64_t ms = expect_time_ms(&time, valid);
    if (time.failed) continue;
    text->at = time.at;
    return ms;
  }
  text->failed = true;
  return 0;
}

weblog_line weblog_parse(const uint8_t *bytes, size_t size) {
  scan text = {.at = bytes, .end = bytes + size, .failed = false};
  weblog_line line = {.bytes = bytes, .size = size};
  bool valid = false;
  const uint8_t *request = NULL;
  size_t request_size = 0;
  numbers found = {0};
  line.time_ms = find_time_ms(&text, &valid);
  expect_request(&text, &request, &request_size, &found);
  if (text.failed || !valid) return (weblog_line){.bytes = bytes, .size = size};
  find_target(request, request_size, &line);
  line.in_shape = true;
  line.metadata[0] = (int16_t)found.status;
  line.metadata[1] = half(found.size, 16);
  line.metadata[2] = half(found.size, 0);
  return line;
}

uint32_t weblog_user(const weblog_line *line) {
  const size_t mark = line->size >= 3 && memcmp(line->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* a byte order mark is nobody's */
  const uint8_t *field = line->bytes + mark;
  const uint8_t *end = memchr(field, ' ', line->size - mark);
  size_t size = end != NULL ? (size_t)(end - field) : line->size - mark;
  char text[INET_ADDRSTRLEN] = "";
  struct in_addr address;
  if (size < sizeof text) memcpy(text, field, size);
  return inet_pton(AF_INET, text, &address) == 1 ? ntohl(address.s_addr) : sb_crc32c(0, field, size);
}

int64_t weblog_time_ns(const weblog_line *line) {
  const int64_t ms_max = INT64_MAX / 1000000;
  int64_t ms = line->time_ms;
  return (ms > ms_max ? ms_max : ms < -ms_max ? -ms_max : ms) * 1000000;
}
