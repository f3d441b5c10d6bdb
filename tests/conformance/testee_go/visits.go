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

func visits(in *request, out *reply) (err error) {
	path, most := string(in.bytes()), in.u32()
	manager, err := samebytes.NewVisitManager(path, int(most))
	if err != nil {
		return err
	}
	defer func() {
		if last := manager.Close(); err == nil {
			err = last
		}
	}()
	for range in.count(4, 1) {
		var body reply
		if err := operate(manager, in, &body); err == errProtocol {
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

func operate(manager *samebytes.VisitManager, in *request, out *reply) error {
	switch in.u8() {
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
		if found {
			out.u8(1)
		} else {
			out.u8(0)
		}
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
