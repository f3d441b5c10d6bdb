package main

import (
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func (r *request) visit() samebytes.Visit {
	return samebytes.Visit{User: r.u32(), VisitID: r.u32(), Time: time.Unix(0, r.i64()), URL: string(r.bytes()), Text: string(r.bytes())}
}

func (r *request) users() []uint32 {
	users := make([]uint32, r.count(4, 4))
	for i := range users {
		users[i] = r.u32()
	}
	return users
}

func (out *reply) visits(visits []samebytes.Visit) {
	out.u32(uint32(len(visits)))
	for _, visit := range visits {
		out.u32(visit.User)
		out.u32(visit.VisitID)
		out.i64(visit.TimeNs)
		out.bytes([]byte(visit.URL))
		out.bytes([]byte(visit.Text))
	}
}

// A session is the file of a request, and what reads it, or another file, besides.
type session struct {
	path            string
	manager, reader *samebytes.VisitManager
}

func visits(in *request, out *reply) (err error) {
	now := session{path: string(in.bytes())}
	options := samebytes.VisitManagerOptions{MaxVisits: in.u32(), Durability: int32(in.u8())}
	if now.manager, err = samebytes.OpenVisitManager(now.path, &options); err != nil {
		return err
	}
	defer func() {
		now.reader.Close()
		if last := now.manager.Close(); err == nil {
			err = last
		}
	}()
	for range in.count(4, 1) {
		var body reply
		if err := now.operate(in, &body); err == errProtocol {
			return err
		} else if err != nil {
			out.u8(1)
			out.error(err)
		} else {
			out.u8(0)
			*out = append(*out, body...)
		}
	}
	return nil
}

func (out *reply) bool(value bool) {
	if value {
		out.u8(1)
	} else {
		out.u8(0)
	}
}

func (now *session) operate(in *request, out *reply) error {
	switch op := in.u8(); op {
	case 11:
		stats, err := now.manager.GetStats()
		out.u32(stats.MaxVisits)
		out.i64(int64(stats.CutBytes))
		for _, value := range []bool{stats.Upgraded, stats.Poisoned, stats.DurableBytes == stats.FileBytes, stats.Syncs > 0} {
			out.bool(value)
		}
		return err
	case 12:
		return now.manager.CopyTo(now.path + string(in.bytes()))
	case 13:
		report, err := samebytes.SalvageVisits(now.path, now.path+string(in.bytes()))
		out.i64(int64(report.Users))
		out.i64(int64(report.Visits))
		return err
	case 14:
		return now.read(now.path+string(in.bytes()), in.u32(), out)
	case 15:
		manager := now.manager
		if in.u8() != 0 {
			manager = now.reader
		}
		changed, err := manager.Refresh()
		if err != nil {
			return err
		}
		out.bool(changed)
		return scan(manager, 0, out)
	case 16:
		visit := in.visit()
		return now.reader.AddVisitAt(visit.User, visit.VisitID, visit.URL, visit.Text, visit.Time)
	default:
		return operate(now.manager, op, in, out)
	}
}

func (now *session) read(path string, most uint32, out *reply) (err error) {
	now.reader.Close()
	now.reader, err = samebytes.OpenVisitManager(path, &samebytes.VisitManagerOptions{MaxVisits: most, ReadOnly: true})
	if err != nil {
		return err
	}
	return scan(now.reader, 0, out)
}

func operate(manager *samebytes.VisitManager, op byte, in *request, out *reply) error {
	switch op {
	case 1:
		visit := in.visit()
		return manager.AddVisitAt(visit.User, visit.VisitID, visit.URL, visit.Text, visit.Time)
	case 2:
		visits := make([]samebytes.Visit, in.count(4, 24))
		for i := range visits {
			visits[i] = in.visit()
		}
		return manager.AddVisits(visits)
	case 3:
		return recent(manager, in.users(), out)
	case 4:
		found, err := manager.DeleteVisits(in.u32(), in.users())
		out.bool(found)
		return err
	case 5:
		user, erase := in.u32(), in.u8()
		if erase != 0 {
			return manager.EraseUser(user)
		}
		return manager.ClearUser(user)
	case 6:
		users, err := manager.Users()
		out.u32(uint32(len(users)))
		for _, user := range users {
			out.u32(user.User)
			out.u32(user.VisitCount)
		}
		return err
	case 7:
		return scan(manager, int(in.u32()), out)
	case 8:
		return manager.Compact()
	case 9:
		return manager.Sync()
	case 10:
		report, err := manager.Verify()
		out.i64(int64(report.Users))
		out.i64(int64(report.Visits))
		return err
	}
	return errProtocol
}

func recent(manager *samebytes.VisitManager, users []uint32, out *reply) error {
	var visits []samebytes.Visit
	var err error
	if len(users) == 1 {
		visits, err = manager.GetRecentVisits(users[0])
	} else {
		visits, err = manager.GetRecentVisitsOf(users)
	}
	out.visits(visits)
	return err
}

// scan walks step by step, or by the iterator where the number is left to the library.
func scan(manager *samebytes.VisitManager, least int, out *reply) error {
	var all []samebytes.Visit
	if least == 0 {
		for visit, err := range manager.All() {
			if err != nil {
				return err
			}
			all = append(all, visit)
		}
		out.visits(all)
		return nil
	}
	scan, err := manager.Scan()
	if err != nil {
		return err
	}
	defer scan.Close()
	for {
		snapshot, err := scan.Next(least)
		if err != nil {
			return err
		}
		visits, err := snapshot.GetAll()
		snapshot.Close()
		if err != nil {
			return err
		}
		if len(visits) == 0 {
			break
		}
		all = append(all, visits...)
	}
	out.visits(all)
	return nil
}
