package surface

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func visits(c *calls) {
	folder, err := os.MkdirTemp("", "samebytes-surface-")
	c.did("sb_visit_manager_open", err)
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "visits")
	manager := made[*samebytes.VisitManager](c, "sb_visit_manager_open")(samebytes.NewVisitManager(path, 3))
	c.did("sb_visit_manager_options_init", nil) // openVisitManager calls it for options
	c.did("sb_visit_manager_add_visit", manager.AddVisit(7, 1, "/now", "text"))
	c.did("sb_visit_manager_add_visit_at", manager.AddVisitAt(7, 2, "/then", "", time.Unix(5, 9)))
	urls, texts := samebytes.StringColumn([]string{"/4", "/5"}), samebytes.StringColumn([]string{"a", "b"})
	c.did("sb_visit_manager_add_visit_columns", manager.AddVisitColumns([]uint32{4, 4}, []uint32{1, 2}, &urls, &texts, []int64{20, 10}))
	columns, err := manager.GetRecentVisits(4)
	c.says("sb_visit_manager_add_visit_columns", err == nil && slices.Equal(ids(columns), []uint32{1, 2}) && columns[1].URL == "/5")
	c.did("sb_visit_manager_clear_user", manager.ClearUser(4))
	c.did("sb_visit_manager_add_visits", manager.AddVisits([]samebytes.Visit{{User: 8, VisitID: 1, URL: "/8", TimeNs: 10}, {User: 7, VisitID: 3}}))
	recent, err := manager.GetRecentVisits(7)
	c.did("sb_visit_manager_get_recent_visits", err)
	c.says("sb_visit_manager_get_recent_visits", slices.Equal(ids(recent), []uint32{3, 1, 2}) && recent[2].TimeNs == 5000000009)
	of, err := manager.GetRecentVisitsOf([]uint32{8, 7, 9})
	c.did("sb_visit_manager_get_recent_visits_of", err)
	c.says("sb_visit_manager_get_recent_visits_of", slices.Equal(ids(of), []uint32{1, 3, 1, 2}) && of[0].URL == "/8")
	users, err := manager.Users()
	c.did("sb_visit_manager_users", err)
	c.did("sb_visit_users_close", nil) // by Users
	c.says("sb_visit_users_get_all", slices.Equal(users, []samebytes.VisitUser{{User: 7, VisitCount: 3}, {User: 8, VisitCount: 1}}))
	walk(c, manager)
	found, err := manager.DeleteVisits(7, []uint32{1, 99})
	c.did("sb_visit_manager_delete_visits", err)
	c.says("sb_visit_manager_delete_visits", found)
	c.did("sb_visit_manager_clear_user", manager.ClearUser(8))
	c.did("sb_visit_manager_clear_user", manager.EraseUser(8))
	c.did("sb_visit_manager_compact", manager.Compact())
	c.did("sb_visit_manager_sync", manager.Sync())
	if _, err := manager.Refresh(); !errors.Is(err, samebytes.ErrUnsupported) { // it writes
		c.says("sb_visit_manager_refresh", false)
	}
	c.did("sb_visit_manager_refresh", nil)
	begin := time.Now()
	_, err = samebytes.OpenVisitManager(path, &samebytes.VisitManagerOptions{LockTimeoutMs: 30})
	c.says("sb_visit_manager_open", errors.Is(err, samebytes.ErrLocked) && time.Since(begin) >= 30*time.Millisecond)
	report, err := manager.Verify()
	c.did("sb_visit_manager_verify", err)
	c.says("sb_visit_manager_verify", report.Visits == 2 && report.DamagedOffset == -1)
	stats, err := manager.GetStats()
	c.did("sb_visit_manager_get_stats", err)
	c.says("sb_visit_manager_get_stats", stats.MaxVisits == 3 && stats.Compactions > 0)
	c.did("sb_visit_manager_copy_to", manager.CopyTo(path+".copy"))
	c.did("sb_visit_manager_finish", manager.Finish())
	c.did("sb_visit_manager_close", manager.Close())
	report, err = samebytes.VerifyVisits(path + ".copy")
	c.did("sb_verify_visits", err)
	c.says("sb_verify_visits", report.Visits == 2)
	report, err = samebytes.SalvageVisits(path, path+".salvaged")
	c.did("sb_salvage_visits", err)
	c.says("sb_salvage_visits", report.Visits == 2)
}

func ids(visits []samebytes.Visit) []uint32 {
	found := make([]uint32, len(visits))
	for i, visit := range visits {
		found[i] = visit.VisitID
	}
	return found
}

// walk reads all visits by the steps of a scan.
func walk(c *calls, manager *samebytes.VisitManager) {
	scan := made[*samebytes.VisitScan](c, "sb_visit_manager_scan")(manager.Scan())
	first := made[*samebytes.Visits](c, "sb_visit_scan_next")(scan.Next(1))
	c.says("sb_visits_count", first.Count() == 3)
	rows, err := first.GetAll()
	c.did("sb_visits_get_all", err)
	c.says("sb_visits_get_all", slices.Equal(ids(rows), []uint32{3, 1, 2}) && rows[1].Text == "text")
	c.did("sb_visits_close", first.Close())
	c.did("sb_visit_scan_close", scan.Close())
}
