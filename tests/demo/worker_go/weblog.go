package main

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/samebytes/samebytes/bindings/go/echo"
)

// inShape takes a line of a web log apart: time (day, month, year, hour, minute, second), offset (sign, hours, minutes), target, status,
// size. What digits may say is checked after it.
var inShape = regexp.MustCompile(`^[^\s\v]+ [^\s\v]+ [^\s\v]+ \[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] ` +
	`"[^ "]+ ([^ "]+)(?: [^ "]+)?" (\d{3}) (\d{1,10}|-)(?: |$)`)

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
	parts := inShape.FindSubmatch(line)
	if parts == nil {
		return request, false
	}
	timestamp, ok := timeOf(parts[1:10])
	size, fits := sizeOf(parts[12])
	if !ok || !fits {
		return request, false
	}
	request.Timestamp = timestamp
	request.Subject = parts[10]
	request.Metadata = []int16{int16(number(parts[11])), int16(size >> 16), int16(size)}
	return request, true
}

func number(digits []byte) int {
	value, _ := strconv.Atoi(string(digits)) // the pattern lets few digits through, and nothing else
	return value
}

func sizeOf(digits []byte) (size uint32, ok bool) {
	if string(digits) == "-" {
		return 0, true
	}
	value, err := strconv.ParseUint(string(digits), 10, 32)
	return uint32(value), err == nil
}

// timeOf returns ms since the Unix epoch.
func timeOf(parts [][]byte) (timestamp int64, ok bool) {
	month := months[string(parts[1])]
	day, year, hour, minute, second := number(parts[0]), number(parts[2]), number(parts[3]), number(parts[4]), number(parts[5])
	offsetHours, offsetMinutes := number(parts[7]), number(parts[8])
	if month == 0 || hour > 23 || minute > 59 || second > 59 || offsetHours > 23 || offsetMinutes > 59 {
		return 0, false
	}
	at := time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	if day == 0 || at.Day() != day { // a day that the month does not have becomes one of the next
		return 0, false
	}
	offset := time.Duration(offsetHours)*time.Hour + time.Duration(offsetMinutes)*time.Minute
	if parts[6][0] == '+' {
		offset = -offset
	}
	return at.Add(offset).UnixMilli(), true
}
