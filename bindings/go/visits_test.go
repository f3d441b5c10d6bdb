//go:build cgo

package samebytes

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

func visitPath(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	return filepath.Join(folder, "visits")
}

// visitStore opens a manager that the test closes at its end.
func visitStore(t testing.TB, path string, maxVisits int) *VisitManager {
	t.Helper()
	manager, err := NewVisitManager(path, maxVisits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := manager.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return manager
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants checks that an error has a status.
func wants(t testing.TB, what string, err, status error) {
	t.Helper()
	if !errors.Is(err, status) {
		t.Errorf("%s: %v, want %v", what, err, status)
	}
}

func idsOf(t testing.TB, manager *VisitManager, user uint32) string {
	t.Helper()
	visits, err := manager.GetRecentVisits(user)
	must(t, err)
	found := []uint32{}
	for _, visit := range visits {
		found = append(found, visit.VisitID)
	}
	return fmt.Sprint(found)
}

func wantIDs(t testing.TB, manager *VisitManager, user uint32, want string) {
	t.Helper()
	if found := idsOf(t, manager, user); found != want {
		t.Errorf("user %d has %s, want %s", user, found, want)
	}
}

func TestVisitsAreKeptNewestFirst(t *testing.T) {
	manager := visitStore(t, visitPath(t), 3)
	before := time.Now()
	for i := range uint32(5) {
		must(t, manager.AddVisit(7, i, "/index", fmt.Sprint("text ", i)))
	}
	wantIDs(t, manager, 7, "[4 3 2]")
	wantIDs(t, manager, 8, "[]")
	visits, err := manager.GetRecentVisits(7)
	must(t, err)
	newest := visits[0]
	if newest.User != 7 || newest.URL != "/index" || newest.Text != "text 4" || newest.Time.Before(before) || newest.Time.UnixNano() != newest.TimeNs {
		t.Errorf("the newest is %+v", newest)
	}
	if newest.Time.Location() != time.UTC {
		t.Errorf("its time is in %s", newest.Time.Location())
	}
}

func TestTimesOfVisitsAreExact(t *testing.T) {
	manager := visitStore(t, visitPath(t), 10)
	when := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.FixedZone("far", 3600))
	must(t, manager.AddVisitAt(1, 1, "u", "t", when))
	must(t, manager.AddVisits([]Visit{
		{User: 1, VisitID: 2, Time: when.Add(1)},
		{User: 1, VisitID: 3, TimeNs: when.UnixNano() - 1},
		{User: 1, VisitID: 4, Time: time.Unix(0, 0)},
		{User: 1, VisitID: 5, Time: time.Unix(0, math.MaxInt64)},
		{User: 1, VisitID: 6, Time: time.Unix(0, math.MinInt64+2)},
	}))
	wantIDs(t, manager, 1, "[5 2 1 3 4 6]")
	visits, err := manager.GetRecentVisits(1)
	must(t, err)
	if !visits[2].Time.Equal(when) || visits[4].TimeNs != 0 {
		t.Errorf("times %v and %v", visits[2].Time, visits[4].Time)
	}
	wants(t, "a far time", manager.AddVisitAt(1, 7, "u", "t", when.AddDate(300, 0, 0)), ErrOutOfRange)
	wants(t, "a far time in a row", manager.AddVisits([]Visit{{}, {Time: when.AddDate(-500, 0, 0)}}), ErrOutOfRange)
	wants(t, "the smallest number", manager.AddVisits([]Visit{{TimeNs: math.MinInt64}}), ErrOutOfRange)
	wantIDs(t, manager, 0, "[]")
}

func TestOneWrongVisitAddsNone(t *testing.T) {
	manager := visitStore(t, visitPath(t), 3)
	err := manager.AddVisits([]Visit{{User: 1, VisitID: 1, URL: "u"}, {User: 1, VisitID: 2, URL: "u", Text: "a\x00b"}})
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != ErrInvalidArgument || refused.Frame != 1 || refused.Field != "text" {
		t.Errorf("refused with %#v", err)
	}
	wants(t, "a NUL", manager.AddVisit(1, 1, "\x00", ""), ErrInvalidArgument)
	wants(t, "a text that is too large", manager.AddVisit(1, 1, "u", string(make([]byte, VisitTextMax+1))), ErrTooLarge)
	must(t, manager.AddVisits(nil))
	must(t, manager.AddVisits([]Visit{{}}))
	users, err := manager.Users()
	if err != nil || !slices.Equal(users, []VisitUser{{User: 0, VisitCount: 1}}) {
		t.Errorf("users %v, %v", users, err)
	}
}

func TestDeleteClearAndErase(t *testing.T) {
	path := visitPath(t)
	manager := visitStore(t, path, 3)
	must(t, manager.AddVisits([]Visit{{User: 1, VisitID: 1, Text: "first secret"}, {User: 1, VisitID: 2}, {User: 2, VisitID: 1, Text: "second secret"}}))
	for _, step := range []struct {
		ids  []uint32
		want bool
	}{{[]uint32{2, 9}, true}, {[]uint32{2}, false}, {nil, false}} {
		if found, err := manager.DeleteVisits(1, step.ids); found != step.want || err != nil {
			t.Errorf("DeleteVisits(%v): %v, %v", step.ids, found, err)
		}
	}
	must(t, manager.ClearUser(1))
	must(t, manager.Sync())
	wantIDs(t, manager, 1, "[]")
	data, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Contains(data, []byte("second secret")) {
		t.Error("clearing another user took it away")
	}
	must(t, manager.EraseUser(2))
	data, err = os.ReadFile(path)
	must(t, err)
	if bytes.Contains(data, []byte("secret")) {
		t.Error("an erased user is in the file still")
	}
}

func TestWalksShowEveryVisit(t *testing.T) {
	manager := visitStore(t, visitPath(t), 2)
	var visits []Visit
	for user := range uint32(3000) {
		visits = append(visits, Visit{User: user, VisitID: 1, URL: "/a"}, Visit{User: user, VisitID: 2})
	}
	must(t, manager.AddVisits(visits))
	count := uint32(0)
	for visit, err := range manager.All() {
		must(t, err)
		if visit.User != count/2 || visit.VisitID != 2-count%2 {
			t.Fatalf("visit %d is %+v", count, visit)
		}
		count++
	}
	if count != 6000 {
		t.Errorf("%d visits", count)
	}
	for range manager.All() {
		break
	}
	of, err := manager.GetRecentVisitsOf([]uint32{9, 5000, 7, 9})
	must(t, err)
	if len(of) != 6 || of[2].User != 7 || of[5].VisitID != 1 || of[5].URL != "/a" {
		t.Errorf("many users gave %+v", of)
	}
	if none, err := manager.GetRecentVisitsOf(nil); len(none) != 0 || err != nil {
		t.Errorf("no users gave %v, %v", none, err)
	}
}

func TestVisitsAreThereAfterAReopen(t *testing.T) {
	path := visitPath(t)
	for i, durability := range []int32{DurabilityNone, DurabilityInterval, DurabilityAlways} {
		manager, err := OpenVisitManager(path, &VisitManagerOptions{MaxVisits: 5, Durability: durability})
		must(t, err)
		must(t, manager.AddVisit(1, uint32(i), "u", "t"))
		must(t, manager.Close())
	}
	wantIDs(t, visitStore(t, path, 0), 1, "[2 1 0]")
	_, err := OpenVisitManager(path, &VisitManagerOptions{Durability: 9})
	wants(t, "a durability that is none", err, ErrInvalidArgument)
	_, err = NewVisitManager(path, -1)
	wants(t, "negative", err, ErrInvalidArgument)
	_, err = NewVisitManager(path, math.MaxUint32+1)
	wants(t, "above 32 bits", err, ErrOutOfRange)
	_, err = NewVisitManager("a\x00b", 1)
	wants(t, "a NUL", err, ErrInvalidArgument)
	_, err = NewVisitManager(filepath.Dir(path), 1)
	wants(t, "a folder", err, ErrInvalidArgument)
}

func TestOpeningWithoutALimitNeverDeletes(t *testing.T) {
	path := visitPath(t)
	manager := visitStore(t, path, 1000)
	for id := range uint32(100) {
		must(t, manager.AddVisit(1, id, "u", "t"))
	}
	must(t, manager.Close())
	opens := map[string]func() (*VisitManager, error){
		"no options":      func() (*VisitManager, error) { return OpenVisitManager(path, nil) },
		"default options": func() (*VisitManager, error) { return OpenVisitManager(path, &VisitManagerOptions{}) },
		"read-only":       func() (*VisitManager, error) { return OpenVisitManager(path, &VisitManagerOptions{ReadOnly: true}) },
		"0":               func() (*VisitManager, error) { return NewVisitManager(path, 0) },
	}
	for name, open := range opens {
		manager, err := open()
		must(t, err)
		visits, err := manager.GetRecentVisits(1)
		must(t, err)
		if stats, err := manager.GetStats(); err != nil || len(visits) != 100 || stats.MaxVisits != 1000 {
			t.Errorf("%s: %d visits, stats %+v, %v", name, len(visits), stats, err)
		}
		must(t, manager.Close())
	}
}

func TestAPathMayBeNoText(t *testing.T) {
	path := visitPath(t) + "\xff\xe9"
	manager := visitStore(t, path, 1)
	must(t, manager.AddVisit(1, 1, "\xff", "\xc0\x80"))
	must(t, manager.CopyTo(path+".copy"))
	visits, err := manager.GetRecentVisits(1)
	must(t, err)
	if visits[0].URL != "\xff" || visits[0].Text != "\xc0\x80" {
		t.Errorf("the bytes are %q", visits[0])
	}
	if _, err := os.Stat(path + ".copy"); err != nil {
		t.Error(err)
	}
}

func TestOneWriterAndManyReaders(t *testing.T) {
	path := visitPath(t)
	_, err := OpenVisitManager(path, &VisitManagerOptions{ReadOnly: true})
	wants(t, "no file", err, ErrNotFound)
	writer := visitStore(t, path, 3)
	_, err = NewVisitManager(path, 3)
	wants(t, "a second writer", err, ErrLocked)
	reader, err := OpenVisitManager(path, &VisitManagerOptions{ReadOnly: true})
	must(t, err)
	defer reader.Close()
	must(t, writer.AddVisit(1, 1, "u", "t"))
	wantIDs(t, reader, 1, "[]")
	if changed, err := reader.Refresh(); !changed || err != nil {
		t.Errorf("Refresh: %v, %v", changed, err)
	}
	wantIDs(t, reader, 1, "[1]")
	wants(t, "adding", reader.AddVisit(1, 2, "u", "t"), ErrUnsupported)
	wants(t, "adding many", reader.AddVisits([]Visit{{}}), ErrUnsupported)
	wants(t, "clearing", reader.ClearUser(1), ErrUnsupported)
	_, err = writer.Refresh()
	wants(t, "refreshing a writer", err, ErrUnsupported)
}

func TestAnOpenWaitsForTheLockAsLongAsItIsTold(t *testing.T) {
	path := visitPath(t)
	first := visitStore(t, path, 3)
	begin := time.Now()
	_, err := OpenVisitManager(path, &VisitManagerOptions{LockTimeoutMs: 50})
	wants(t, "a locked file", err, ErrLocked)
	if waited := time.Since(begin); waited < 50*time.Millisecond {
		t.Errorf("the open waited %v", waited)
	}
	closed := make(chan error)
	go func() {
		time.Sleep(20 * time.Millisecond)
		closed <- first.Close()
	}()
	second, err := OpenVisitManager(path, &VisitManagerOptions{LockTimeoutMs: math.MaxUint32})
	must(t, err)
	must(t, <-closed)
	must(t, second.Close())
}

func TestAManagerWhoseFileIsGoneStopsAndSaysSo(t *testing.T) {
	path := visitPath(t)
	manager, err := OpenVisitManager(path, &VisitManagerOptions{Durability: DurabilityAlways})
	must(t, err)
	must(t, manager.AddVisit(1, 1, "u", "t"))
	must(t, os.Rename(path, path+".away"))
	wants(t, "adding", manager.AddVisit(1, 2, "u", "t"), ErrNotFound)
	wantIDs(t, manager, 1, "[1]")
	wants(t, "closing", manager.Close(), ErrNotFound)
}

func TestADamagedFileIsRefusedAndStaysAsItIs(t *testing.T) {
	path := visitPath(t)
	manager := visitStore(t, path, 3)
	for user := range uint32(50) {
		must(t, manager.AddVisit(user, 1, "u", "some text"))
	}
	must(t, manager.Close())
	data, err := os.ReadFile(path)
	must(t, err)
	data[bytes.Index(data, []byte("some text"))] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
	_, err = VerifyVisits(path)
	wants(t, "verify", err, ErrCorrupt)
	again, err := NewVisitManager(path, 3)
	if err == nil {
		for _, failed := range again.All() {
			err = failed
		}
		again.Close()
	}
	wants(t, "open and walk", err, ErrCorrupt)
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(after, data) {
		t.Error("the damaged file was changed")
	}
	report, err := SalvageVisits(path, path+".saved")
	must(t, err)
	if report.DamagedBytes == 0 || report.Visits != 49 {
		t.Errorf("salvage found %+v", report)
	}
}

func TestAClosedManagerRefuses(t *testing.T) {
	manager := visitStore(t, visitPath(t), 3)
	must(t, manager.AddVisit(1, 1, "u", "t"))
	scan, err := manager.Scan()
	must(t, err)
	must(t, manager.Finish())
	must(t, manager.Close())
	calls := map[string]func() error{
		"AddVisit":   func() error { return manager.AddVisit(1, 1, "u", "t") },
		"AddVisitAt": func() error { return manager.AddVisitAt(1, 1, "u", "t", time.Now()) },
		"AddVisits":  func() error { return manager.AddVisits([]Visit{{}}) },
		"AddVisitColumns": func() error {
			return manager.AddVisitColumns([]uint32{1}, []uint32{1}, &Column{Lengths: []int32{0}}, &Column{Lengths: []int32{0}}, nil)
		},
		"ClearUser": func() error { return manager.ClearUser(1) },
		"EraseUser": func() error { return manager.EraseUser(1) },
		"Compact":   manager.Compact,
		"Sync":      manager.Sync,
		"CopyTo":    func() error { return manager.CopyTo("copy") },
		"Get":       func() error { _, err := manager.GetRecentVisits(1); return err },
		"GetOf":     func() error { _, err := manager.GetRecentVisitsOf(nil); return err },
		"Delete":    func() error { _, err := manager.DeleteVisits(1, nil); return err },
		"Users":     func() error { _, err := manager.Users(); return err },
		"Scan":      func() error { _, err := manager.Scan(); return err },
		"Next":      func() error { _, err := scan.Next(0); return err },
		"Refresh":   func() error { _, err := manager.Refresh(); return err },
		"Verify":    func() error { _, err := manager.Verify(); return err },
		"GetStats":  func() error { _, err := manager.GetStats(); return err },
		"All": func() (last error) {
			for _, last = range manager.All() {
				continue
			}
			return last
		},
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		wants(t, name, calls[name](), ErrClosed)
	}
	must(t, scan.Close())
	var none *VisitManager
	must(t, none.Close())
	wants(t, "nil", none.AddVisit(1, 1, "u", "t"), ErrInvalidArgument)
}

func TestAForgottenManagerIsClosed(t *testing.T) {
	path := visitPath(t)
	func() {
		manager, err := NewVisitManager(path, 3)
		must(t, err)
		must(t, manager.AddVisit(1, 1, "u", "t"))
	}()
	for range 100 {
		runtime.GC()
		manager, err := NewVisitManager(path, 3)
		if err == nil {
			wantIDs(t, manager, 1, "[1]")
			must(t, manager.Close())
			return
		}
		wants(t, "reopening", err, ErrLocked)
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the lock of a forgotten manager was never free")
}

func TestVisitsOutliveTheirSnapshot(t *testing.T) {
	manager := visitStore(t, visitPath(t), 3)
	must(t, manager.AddVisit(1, 1, "/url", "text"))
	scan, err := manager.Scan()
	must(t, err)
	snapshot, err := scan.Next(1)
	must(t, err)
	visits, err := snapshot.GetAll()
	must(t, err)
	must(t, snapshot.Close())
	must(t, scan.Close())
	must(t, manager.ClearUser(1))
	if visits[0].URL != "/url" || visits[0].Text != "text" {
		t.Errorf("the visit is %+v", visits[0])
	}
	_, err = snapshot.GetAll()
	wants(t, "a closed snapshot", err, ErrClosed)
}

func TestGoroutinesShareAManager(t *testing.T) {
	path := visitPath(t)
	manager := visitStore(t, path, 5)
	var workers sync.WaitGroup
	for user := range uint32(4) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for i := range uint32(200) {
				if err := manager.AddVisit(user, i, fmt.Sprint("/", user, "/", i), "t"); err != nil {
					t.Error(err)
				}
				visits, err := manager.GetRecentVisits(user)
				if err != nil || visits[0].VisitID != i || visits[0].URL != fmt.Sprint("/", user, "/", i) {
					t.Errorf("user %d after %d: %v, %v", user, i, visits, err)
				}
				if err := manager.AddVisits([]Visit{{User: 99, VisitID: user*1000 + i}}); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := errors.Join(manager.Compact(), manager.Sync()); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	workers.Wait()
	must(t, manager.Close())
	report, err := VerifyVisits(path)
	if err != nil || report.Visits != 25 {
		t.Errorf("the file has %+v, %v", report, err)
	}
}

func TestCloseWaitsForTheCallsInside(t *testing.T) {
	for range 20 {
		path := visitPath(t)
		manager, err := NewVisitManager(path, 5)
		must(t, err)
		var workers sync.WaitGroup
		for range 3 {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for i := uint32(0); ; i++ {
					err := manager.AddVisit(1, i, "u", "t")
					for _, walked := range manager.All() {
						err = errors.Join(err, walked)
					}
					if err != nil {
						wants(t, "a call beside Close", err, ErrClosed)
						return
					}
				}
			}()
		}
		time.Sleep(time.Millisecond)
		var closers sync.WaitGroup
		for range 2 {
			closers.Add(1)
			go func() {
				defer closers.Done()
				if err := manager.Close(); err != nil {
					t.Error(err)
				}
			}()
		}
		closers.Wait()
		again := visitStore(t, path, 5) // the lock is free as soon as both Closes are back
		workers.Wait()
		must(t, again.Close())
	}
}

// visitModel says in maps what a store must say.
type visitModel struct {
	most     int
	users    map[uint32][]Visit // newest first; among equal times, the later arrival
	arrivals int
}

func (m *visitModel) add(visit Visit) {
	kept := m.users[visit.User]
	if slices.ContainsFunc(kept, func(other Visit) bool { return other.VisitID == visit.VisitID }) {
		return
	}
	at := slices.IndexFunc(kept, func(other Visit) bool { return other.TimeNs <= visit.TimeNs })
	if at < 0 {
		at = len(kept)
	}
	kept = slices.Insert(kept, at, visit)
	m.users[visit.User] = kept[:min(len(kept), m.most)]
}

func TestRandomOperationsAgreeWithAModel(t *testing.T) {
	for seed := range int64(3) {
		draw := rand.New(rand.NewSource(seed))
		model := visitModel{most: 1 + draw.Intn(5), users: map[uint32][]Visit{}}
		path := visitPath(t)
		manager := visitStore(t, path, model.most)
		for step := range 1500 {
			at := 1 + draw.Int63n(40)
			visit := Visit{User: uint32(draw.Intn(10)), VisitID: uint32(draw.Intn(30)), URL: fmt.Sprint("/", draw.Intn(1000)),
				Text: "t", TimeNs: at, Time: time.Unix(0, at).UTC()}
			user := visit.User
			switch draw.Intn(12) {
			case 0:
				before := len(model.users[user])
				model.users[user] = slices.DeleteFunc(model.users[user], func(v Visit) bool { return v.VisitID == visit.VisitID })
				found, err := manager.DeleteVisits(user, []uint32{visit.VisitID, 1000})
				if must(t, err); found != (len(model.users[user]) < before) {
					t.Fatalf("seed %d, step %d: DeleteVisits gave %v", seed, step, found)
				}
			case 1:
				must(t, manager.ClearUser(user))
				delete(model.users, user)
			case 2:
				if step%5 == 0 {
					must(t, manager.Compact())
				}
			case 3:
				if step%3 == 0 {
					must(t, manager.Close())
					manager = visitStore(t, path, 0)
				}
			default:
				must(t, manager.AddVisits([]Visit{visit}))
				model.add(visit)
			}
			found, err := manager.GetRecentVisits(user)
			if must(t, err); !slices.Equal(found, model.users[user]) {
				t.Fatalf("seed %d, step %d: user %d has %v, want %v", seed, step, user, found, model.users[user])
			}
		}
		must(t, manager.Close())
	}
}

func TestGettingAllocatesLittle(t *testing.T) {
	manager := visitStore(t, visitPath(t), 10)
	for i := range uint32(10) {
		must(t, manager.AddVisit(1, i, "/some/url", "some text"))
	}
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := manager.GetRecentVisits(1); err != nil {
			t.Error(err)
		}
	})
	if allocations > 8 { // the visits, their bytes, and what cgo needs for outputs
		t.Errorf("%v allocations for 10 visits", allocations)
	}
}
