//go:build cgo

package samebytes

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestColumnsAddTheVisitsOfRows(t *testing.T) {
	rows := []Visit{{User: 1, VisitID: 1, URL: "/a", Text: "x", TimeNs: 20}, {User: 2, VisitID: 1, URL: "/bb", TimeNs: 5},
		{User: 1, VisitID: 2, Text: "zz", TimeNs: 10}}
	byRow, byColumn := visitStore(t, visitPath(t), 3), visitStore(t, visitPath(t), 3)
	must(t, byRow.AddVisits(rows))
	urls, texts := StringColumn([]string{"/a", "/bb", ""}), StringColumn([][]byte{[]byte("x"), nil, []byte("zz")})
	must(t, byColumn.AddVisitColumns([]uint32{1, 2, 1}, []uint32{1, 1, 2}, &urls, &texts, []int64{20, 5, 10}))
	for _, user := range []uint32{1, 2} {
		want, err := byRow.GetRecentVisits(user)
		must(t, err)
		got, err := byColumn.GetRecentVisits(user)
		must(t, err)
		if !slices.Equal(got, want) {
			t.Errorf("user %d has %v, not %v", user, got, want)
		}
	}
}

func TestVisitColumnsMayHaveOffsetsAndNoTimes(t *testing.T) {
	manager := visitStore(t, visitPath(t), 3)
	urls := Column{Values: []byte("/a/bb"), Offsets: []int64{2, 0}, Lengths: []int32{3, 2}}
	before := time.Now()
	must(t, manager.AddVisitColumns([]uint32{1, 1}, []uint32{1, 2}, &urls, &Column{Lengths: []int32{0, 0}}, nil))
	visits, err := manager.GetRecentVisits(1)
	must(t, err)
	if len(visits) != 2 || visits[0].URL != "/a" || visits[1].URL != "/bb" || visits[1].Time.Before(before.Add(-time.Second)) {
		t.Errorf("visits %v", visits)
	}
	must(t, manager.AddVisitColumns(nil, nil, &Column{}, &Column{}, nil))
}

func TestOneWrongColumnAddsNone(t *testing.T) {
	manager := visitStore(t, visitPath(t), 3)
	two, strs := []uint32{1, 2}, func(values ...string) *Column { column := StringColumn(values); return &column }
	short := &Column{Values: []byte("u"), Lengths: []int32{1, 1}}
	for _, wrong := range []struct {
		err    error
		status error
		field  string
		frame  int64
	}{
		{manager.AddVisitColumns(two, two[:1], strs("u", "v"), strs("", ""), nil), ErrInvalidArgument, "visit_ids", NoFrame},
		{manager.AddVisitColumns(two, two, strs("u"), strs("", ""), nil), ErrInvalidArgument, "urls", NoFrame},
		{manager.AddVisitColumns(two, two, strs("u", "v"), strs("", "", ""), nil), ErrInvalidArgument, "texts", NoFrame},
		{manager.AddVisitColumns(two, two, strs("u", "v"), strs("", ""), []int64{1}), ErrInvalidArgument, "times_ns", NoFrame},
		{manager.AddVisitColumns(two, two, short, strs("", ""), nil), ErrOutOfRange, "url", 1},
		{manager.AddVisitColumns(two, two, strs("u", "v"), strs("", "\x00"), nil), ErrInvalidArgument, "text", 1},
	} {
		var refused *Error
		if !errors.As(wrong.err, &refused) || !errors.Is(wrong.err, wrong.status) || refused.Field != wrong.field || refused.Frame != wrong.frame {
			t.Errorf("refused with %#v, not %v of %s", wrong.err, wrong.status, wrong.field)
		}
	}
	err := manager.AddVisitColumns(two, two, nil, strs("", ""), nil)
	if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "urls is nil") {
		t.Errorf("without urls: %v", err)
	}
	if users, err := manager.Users(); err != nil || len(users) != 0 {
		t.Errorf("users %v, %v", users, err)
	}
}
