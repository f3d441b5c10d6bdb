package main

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/samebytes/samebytes/bindings/go/echo"
)

// timeInLine finds the time: day, month, year, hour, minute, second, a fraction, and the offset's sign, hours and minutes. What digits may
// say is checked after it.
var timeInLine = regexp.MustCompile(`\[(\d\d)/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/(\d{4}):(\d\d):(\d\d):(\d\d)(?:[.,](\d+))? ` +
	`([+-])(\d\d)(\d\d)\]`)

// A request ends at the first quote that is not escaped, if status and size follow; otherwise at the first quote after which they do.
const numbers = `" (\d{3}|-) (\d+|-)(?:[ \t"\r]|$)`

var (
	escaped   = regexp.MustCompile(`(?s)^ "([^"\\]*(?:\\.[^"\\]*)*)` + numbers)
	unescaped = regexp.MustCompile(`(?s)^ "(.*?)` + numbers)
	method    = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+ +")
	version   = regexp.MustCompile(` HTTP/[\d.]+$`)
)

var months = map[string]time.Month{"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10,
	"Nov": 11, "Dec": 12}

// readLog returns the requests that the lines of a web log become, and how many lines are out of shape. A line is its bytes without LF.
func readLog(path string) (requests []echo.Request, outOfShape int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		request, ok := requestOf(line)
		if !ok {
			outOfShape++
		}
		request.Sequence = int8(len(requests))
		requests = append(requests, request)
	}
	return requests, outOfShape, nil
}

// requestOf makes a request of a line; one that is out of shape has nothing but its body.
func requestOf(line []byte) (request echo.Request, ok bool) {
	request.Body = line
	if len(line) == 0 {
		return request, false
	}
	at := timeInLine.FindSubmatchIndex(line[1:])
	if at == nil {
		return request, false
	}
	rest := line[1+at[1]:]
	parts := escaped.FindSubmatch(rest)
	if parts == nil {
		parts = unescaped.FindSubmatch(rest)
	}
	timestamp, ok := timeOf(timeInLine.FindSubmatch(line[1:])[1:])
	if parts == nil || !ok {
		return request, false
	}
	request.Timestamp = timestamp
	request.Subject = targetOf(parts[1])
	size := sizeOf(parts[3])
	request.Metadata = []int16{int16(number(parts[2])), int16(size >> 16), int16(size)}
	return request, true
}

// targetOf is what a request asks for: all between method and version; nothing where it is no request.
func targetOf(request []byte) []byte {
	found := method.Find(request)
	if found == nil || len(found) == len(request) {
		return nil
	}
	target := request[len(found):]
	if at := version.FindIndex(target); at != nil {
		target = bytes.TrimRight(target[:at[0]], " ")
	}
	return target
}

// number is what digits say, of which a pattern lets few through; - is 0.
func number(digits []byte) int {
	value, _ := strconv.Atoi(string(digits))
	return value
}

// sizeOf is what digits say, or the largest size there is room for; - is 0.
func sizeOf(digits []byte) uint32 {
	value, err := strconv.ParseUint(string(digits), 10, 32)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0
	}
	return uint32(value)
}

// timeOf returns ms since the Unix epoch. A leap second is the second after it.
func timeOf(parts [][]byte) (timestamp int64, ok bool) {
	month := months[string(parts[1])]
	day, year, hour, minute, second := number(parts[0]), number(parts[2]), number(parts[3]), number(parts[4]), number(parts[5])
	offsetHours, offsetMinutes := number(parts[8]), number(parts[9])
	if month == 0 || hour > 23 || minute > 59 || second > 60 || offsetHours > 23 || offsetMinutes > 59 {
		return 0, false
	}
	at := time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	if day == 0 || at.Day() != day { // a day that the month does not have becomes one of the next
		return 0, false
	}
	fraction := append(append([]byte{}, parts[6]...), "000"...)[:3]
	offset := time.Duration(offsetHours)*time.Hour + time.Duration(offsetMinutes)*time.Minute
	if parts[7][0] == '+' {
		offset = -offset
	}
	return at.Add(offset).UnixMilli() + int64(second)*1000 + int64(number(fraction)), true
}
