//go:build cgo

package samebytes

/*
#cgo noescape sb_go_recent
#cgo nocallback sb_go_recent
#cgo noescape sb_go_add
#cgo nocallback sb_go_add

#include <samebytes/visits.h>
#include <stdlib.h>

// One crossing of the border: takes the snapshot of many users, and shows it.
static sb_status sb_go_recent(sb_visit_manager *manager, const uint32_t *users, size_t user_count, sb_visits **visits,
                              const sb_visit **rows, size_t *row_count, sb_error *error) {
  const sb_status status = sb_visit_manager_get_recent_visits_of(manager, users, user_count, visits, error);
  return status == SB_OK ? sb_visits_get_all(*visits, rows, row_count) : status;
}

// A visit whose url and text lie behind those of the one before it.
typedef struct sb_go_visit {
  uint32_t user, visit_id;
  int64_t time_ns;
  size_t url_size, text_size;
} sb_go_visit;

static sb_status sb_go_add(sb_visit_manager *manager, const sb_go_visit *visits, size_t count, const char *bytes, sb_error *error) {
  sb_visit *rows = count == 0 ? NULL : malloc(count * sizeof *rows);
  if (rows == NULL && count > 0) return SB_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    const sb_go_visit *visit = &visits[i];
    const char *text = bytes + visit->url_size;
    rows[i] = (sb_visit){visit->user, visit->visit_id, visit->time_ns, bytes, visit->url_size, text, visit->text_size};
    bytes = text + visit->text_size;
  }
  const sb_status status = sb_visit_manager_add_visits(manager, rows, count, error);
  free(rows);
  return status;
}
*/
import "C"

import (
	"fmt"
	"iter"
	"math"
	"time"
	"unsafe"
)

// Visit is one visit of a user. URL and Text are bytes as they were given; a Go string holds any.
type Visit struct {
	// User is whose visit it is.
	User uint32
	// VisitID is unique among the visits that the user has.
	VisitID uint32
	// URL and Text hold any bytes but NUL.
	URL  string
	Text string
	// Time is TimeNs in UTC. Adding uses TimeNs where it is not 0, otherwise Time; the zero Time is now, and never earlier than the user's newest.
	Time time.Time
	// TimeNs is nanoseconds since the Unix epoch, exactly as stored; VisitNow to add a visit now.
	TimeNs int64
}

// at returns the time to store a visit with.
func (v *Visit) at(op string) (int64, error) {
	switch {
	case v.TimeNs != 0:
		return v.TimeNs, nil
	case v.Time.IsZero():
		return VisitNow, nil
	}
	return timeNs(op, v.Time)
}

// timeNs is t in nanoseconds since the Unix epoch, for which an int64 has room from the year 1678 to 2262.
func timeNs(op string, t time.Time) (int64, error) {
	ns := t.UnixNano()
	if !time.Unix(0, ns).Equal(t) {
		return 0, &Error{Status: ErrOutOfRange, Frame: NoFrame, Field: "time_ns", op: op,
			Message: fmt.Sprintf("the time %s is not between the years 1678 and 2262", t.UTC().Format(time.RFC3339))}
	}
	return ns, nil
}

// visitManagerState is what a VisitManager keeps for Go: how its last step ended, which Close waits for.
type visitManagerState struct {
	last *lastStep
}

type lastStep struct {
	done chan struct{}
	err  error
}

// destroyer returns what destroys the manager. It must not hold the manager, so that the garbage collector may find it.
func (c *visitManagerState) destroyer() func(unsafe.Pointer) {
	step := &lastStep{done: make(chan struct{})}
	c.last = step
	return func(object unsafe.Pointer) {
		var explained C.sb_error
		if status := C.sb_visit_manager_finish((*C.sb_visit_manager)(object), &explained); status != 0 {
			step.err = failureOf("VisitManager.Close", status, &explained)
		}
		destroyVisitManager(object)
		close(step.done)
	}
}

// NewVisitManager opens the file, or makes it, and keeps the newest maxVisits visits of each user; 0 means as many as the file says, or
// VisitsMaxDefault for a new one. OpenVisitManager has all options.
//
//   - Ownership: the caller closes the VisitManager.
//   - Threads: any.
//   - Errors: those of OpenVisitManager; ErrInvalidArgument when maxVisits is negative, ErrOutOfRange above 32 bits.
//   - Since: 1.0
func NewVisitManager(file string, maxVisits int) (*VisitManager, error) {
	const op = "NewVisitManager"
	if maxVisits < 0 {
		return nil, refuse(op, "maxVisits is negative")
	}
	if int64(maxVisits) > math.MaxUint32 {
		return nil, &Error{Status: ErrOutOfRange, Frame: NoFrame, op: op, Message: fmt.Sprintf("maxVisits is %d; at most %d are possible",
			maxVisits, uint32(math.MaxUint32))}
	}
	return openVisitManager(file, &VisitManagerOptions{MaxVisits: uint32(maxVisits)})
}

// OpenVisitManager opens the file at path, or makes it. A file of the old format is upgraded, and kept as path.v0; an unsynced tail is cut
// off, and kept as path.cut. nil options mean the defaults.
//
//   - Ownership: the caller closes the VisitManager.
//   - Threads: any.
//   - Errors: ErrLocked when another handle writes the file; ErrCorrupt for a damaged file, which stays untouched; ErrNotFound when there
//     is none and ReadOnly is set; ErrUnsupported for a file of a newer library; ErrInvalidArgument for a path that is no file, or an option
//     out of its range; ErrIO; ErrNoMemory.
//   - Since: 1.0
func OpenVisitManager(path string, options *VisitManagerOptions) (*VisitManager, error) {
	return openVisitManager(path, options)
}

// Close waits for the calls that are inside, closes the file cleanly, and returns the error of that last step. It may be called again, and
// then returns nil.
//
//   - Ownership: snapshots stay valid.
//   - Threads: any; calls that come after it return ErrClosed.
//   - Errors: ErrIO; the lock is free all the same.
//   - Since: 1.0
func (v *VisitManager) Close() error {
	if v == nil || v.handle.users.Load()&closed != 0 {
		return nil
	}
	v.handle.close()
	<-v.last.done
	return v.last.err
}

// Finish is Close: in Go other goroutines may be inside calls, so that the two steps of C are one.
//
//   - Ownership: snapshots stay valid.
//   - Threads: any; calls that come after it return ErrClosed.
//   - Errors: ErrIO; the lock is free all the same.
//   - Since: 1.0
func (v *VisitManager) Finish() error {
	return v.Close()
}

// AddVisit adds a visit now; its time is never earlier than that of the user's newest. A visitID that the user has is ignored.
//
//   - Ownership: url and text are copied.
//   - Threads: any.
//   - Errors: ErrInvalidArgument for a NUL in url or text; ErrTooLarge above VisitTextMax; otherwise see the manual.
//   - Since: 1.0
func (v *VisitManager) AddVisit(user, visitID uint32, url, text string) error {
	return v.addVisit(user, visitID, textBytes(url), textBytes(text))
}

// AddVisitAt adds a visit with a time.
//
//   - Ownership: url and text are copied.
//   - Threads: any.
//   - Errors: as AddVisit; ErrOutOfRange for a time that nanoseconds in 64 bits cannot say.
//   - Since: 1.0
func (v *VisitManager) AddVisitAt(user, visitID uint32, url, text string, at time.Time) error {
	ns, err := timeNs("VisitManager.AddVisitAt", at)
	if err != nil {
		return err
	}
	return v.addVisitAt(user, visitID, textBytes(url), textBytes(text), ns)
}

// textBytes shows the bytes of a string, which C only reads.
func textBytes(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text))
}

// AddVisits adds visits of any users, in order and in one call. Either all are added or none, a crash aside, which may keep the first of
// them only.
//
//   - Ownership: visits are copied.
//   - Threads: any.
//   - Errors: as AddVisitAt, with the index of the visit in Error.Frame.
//   - Since: 1.0
func (v *VisitManager) AddVisits(visits []Visit) error {
	const op = "VisitManager.AddVisits"
	object, err := v.enter(op)
	if err != nil {
		return err
	}
	defer v.leave()
	size := 1 // there is an address even where no visit has a byte
	for i := range visits {
		size += len(visits[i].URL) + len(visits[i].Text)
	}
	rows, bytes := make([]C.sb_go_visit, len(visits)), make([]byte, 0, size)
	for i := range visits {
		visit := &visits[i]
		at, err := visit.at(op)
		if err != nil {
			err.(*Error).Frame = int64(i)
			return err
		}
		rows[i] = C.sb_go_visit{C.uint32_t(visit.User), C.uint32_t(visit.VisitID), C.int64_t(at), C.size_t(len(visit.URL)),
			C.size_t(len(visit.Text))}
		bytes = append(append(bytes, visit.URL...), visit.Text...)
	}
	var explained C.sb_error
	status := C.sb_go_add(object, unsafe.SliceData(rows), C.size_t(len(rows)), (*C.char)(unsafe.Pointer(unsafe.SliceData(bytes))), &explained)
	if status != 0 {
		return failureOf(op, status, &explained)
	}
	return nil
}

// GetRecentVisits returns the visits of user, newest first; empty for a user who has none.
//
//   - Ownership: the visits are the caller's.
//   - Threads: any.
//   - Errors: see the manual.
//   - Since: 1.0
func (v *VisitManager) GetRecentVisits(user uint32) ([]Visit, error) {
	return v.recent("VisitManager.GetRecentVisits", user)
}

// GetRecentVisitsOf returns the visits of many users in one call: user by user in the order asked for, newest first for each.
//
//   - Ownership: the visits are the caller's.
//   - Threads: any.
//   - Errors: see the manual.
//   - Since: 1.0
func (v *VisitManager) GetRecentVisitsOf(users []uint32) ([]Visit, error) {
	return v.recent("VisitManager.GetRecentVisitsOf", users...)
}

func (v *VisitManager) recent(op string, users ...uint32) ([]Visit, error) {
	object, err := v.enter(op)
	if err != nil {
		return nil, err
	}
	defer v.leave()
	var (
		visits    *C.sb_visits
		rows      *C.sb_visit
		count     C.size_t
		explained C.sb_error
	)
	ids := (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(users)))
	if status := C.sb_go_recent(object, ids, C.size_t(len(users)), &visits, &rows, &count, &explained); status != 0 {
		return nil, failureOf(op, status, &explained)
	}
	defer C.sb_visits_close(visits)
	return goVisits(unsafe.Slice(rows, int(count))), nil
}

// goVisits copies visits with two allocations: one for them all, and one for their bytes.
func goVisits(rows []C.sb_visit) []Visit {
	size := 0
	for i := range rows {
		size += int(rows[i].url_size + rows[i].text_size)
	}
	bytes, visits := make([]byte, 0, size), make([]Visit, len(rows))
	take := func(data unsafe.Pointer, size C.size_t) string {
		start := len(bytes)
		bytes = append(bytes, unsafe.Slice((*byte)(data), int(size))...)
		return unsafe.String(unsafe.SliceData(bytes[start:]), len(bytes)-start)
	}
	for i := range rows {
		row := &rows[i]
		visits[i] = Visit{
			User:    uint32(row.user),
			VisitID: uint32(row.visit_id),
			URL:     take(row.url, row.url_size),
			Text:    take(row.text, row.text_size),
			Time:    time.Unix(0, int64(row.time_ns)).UTC(),
			TimeNs:  int64(row.time_ns),
		}
	}
	return visits
}

// GetAll returns copies of the visits of a snapshot.
//
//   - Ownership: the visits are the caller's.
//   - Threads: one user of the Visits at a time.
//   - Errors: ErrClosed.
//   - Since: 1.0
func (v *Visits) GetAll() ([]Visit, error) {
	object, err := v.enter("Visits.GetAll")
	if err != nil {
		return nil, err
	}
	defer v.leave()
	var rows *C.sb_visit
	var count C.size_t
	if status := C.sb_visits_get_all(object, &rows, &count); status != 0 {
		return nil, failure("Visits.GetAll", status)
	}
	return goVisits(unsafe.Slice(rows, int(count))), nil
}

// ClearUser deletes all visits of user. Their bytes stay in the file until it is compacted; EraseUser takes them away at once.
//
//   - Ownership: none.
//   - Threads: any.
//   - Errors: see the manual.
//   - Since: 1.0
func (v *VisitManager) ClearUser(user uint32) error {
	return v.clearUser(user, false)
}

// EraseUser deletes all visits of user; when it returns, their bytes are gone from the file as well, which is rewritten for it. Files that
// were kept beside it (.cut, .v0) stay.
//
//   - Ownership: none.
//   - Threads: any.
//   - Errors: see the manual. When only the erasing failed, the visits are deleted all the same.
//   - Since: 1.0
func (v *VisitManager) EraseUser(user uint32) error {
	return v.clearUser(user, true)
}

// Users returns the users who have visits, ascending.
//
//   - Ownership: the list is the caller's.
//   - Threads: any.
//   - Errors: see the manual.
//   - Since: 1.0
func (v *VisitManager) Users() ([]VisitUser, error) {
	users, err := v.users()
	if err != nil {
		return nil, err
	}
	defer users.Close()
	return users.GetAll()
}

// All walks over all visits, by user ascending, newest first for each. Each user is shown as of the moment when the walk comes to it. An
// error ends the walk, as its last pair.
//
//		for visit, err := range manager.All() {
//
//	  - Since: 1.0
func (v *VisitManager) All() iter.Seq2[Visit, error] {
	return func(yield func(Visit, error) bool) {
		scan, err := v.Scan()
		if err != nil {
			yield(Visit{}, err)
			return
		}
		defer scan.Close()
		for {
			visits, err := scan.nextVisits()
			if err != nil {
				yield(Visit{}, err)
				return
			}
			for _, visit := range visits {
				if !yield(visit, nil) {
					return
				}
			}
			if len(visits) == 0 {
				return
			}
		}
	}
}

// visitScanState is what a VisitScan keeps for Go: whose visits it walks over.
type visitScanState struct {
	manager *VisitManager
}

// Scan begins a walk over all visits, by user ascending. Each user is shown as of the moment when the walk comes to it. All does the same
// as an iterator.
//
//   - Ownership: the caller closes the VisitScan, before or after v; after v it refuses with ErrClosed.
//   - Threads: any.
//   - Errors: ErrClosed; ErrNoMemory.
//   - Since: 1.0
func (v *VisitManager) Scan() (*VisitScan, error) {
	scan, err := v.scan()
	if err != nil {
		return nil, err
	}
	scan.manager = v
	return scan, nil
}

// Next makes a snapshot of the visits of the next users, newest first for each, at least visitsMin visits unless the walk ends, 0 leaving
// the number to the library; it is empty when the walk has ended.
//
//   - Ownership: the caller closes the Visits.
//   - Threads: one user of the VisitScan at a time.
//   - Errors: see the manual; the walk stays where it was.
//   - Since: 1.0
func (v *VisitScan) Next(visitsMin int) (*Visits, error) {
	if v != nil && v.manager != nil {
		if _, err := v.manager.enter("VisitScan.Next"); err != nil {
			return nil, err
		}
		defer v.manager.leave() // so that its Close waits
	}
	return v.next(visitsMin)
}

func (v *VisitScan) nextVisits() ([]Visit, error) {
	visits, err := v.Next(0)
	if err != nil {
		return nil, err
	}
	defer visits.Close()
	return visits.GetAll()
}
