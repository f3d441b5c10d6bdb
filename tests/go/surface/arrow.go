package surface

/*
#cgo CFLAGS: -I${SRCDIR}/../../../core/include
#include <samebytes/arrow.h>

static void release_schema(void *schema) { ((struct ArrowSchema *)schema)->release(schema); }
static void release_array(void *array) { ((struct ArrowArray *)array)->release(array); }
static void release_stream(void *stream) { ((struct ArrowArrayStream *)stream)->release(stream); }
*/
import "C"

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

// arrow exports to Arrow and releases again; tests/arrow reads it.
func arrow(c *calls) {
	schema := made[*samebytes.Schema](c, "sb_echo_request_schema")(samebytes.EchoRequestSchema())
	defer schema.Close()
	parser := made[*samebytes.Parser](c, "sb_parser_open")(samebytes.NewParser([]*samebytes.Schema{schema}, nil))
	defer parser.Close()
	batch := made[*samebytes.Batch](c, "sb_batch_open")(samebytes.NewBatch())
	defer batch.Close()
	c.did("sb_parser_parse", parser.Parse(batch))
	var types [2]C.struct_ArrowSchema
	var rows C.struct_ArrowArray
	var streams [2]C.struct_ArrowArrayStream
	c.did("sb_schema_export_arrow", schema.ExportArrow(samebytes.StringsUTF8, unsafe.Pointer(&types[0])))
	c.did("sb_batch_export_arrow", batch.ExportArrow(0, samebytes.StringsBinary, unsafe.Pointer(&types[1]), unsafe.Pointer(&rows)))
	c.did("sb_batch_export_arrow_stream", batch.ExportArrowStream(0, samebytes.StringsUTF8, unsafe.Pointer(&streams[0])))
	c.says("sb_schema_export_arrow", types[0].n_children == 7 && C.GoString(types[0].format) == "+s")
	c.says("sb_batch_export_arrow", types[1].n_children == 7 && rows.length == 0)
	for i := range types {
		C.release_schema(unsafe.Pointer(&types[i]))
	}
	C.release_array(unsafe.Pointer(&rows))
	C.release_stream(unsafe.Pointer(&streams[0]))
	visitsToArrow(c, unsafe.Pointer(&streams[1]))
}

func visitsToArrow(c *calls, stream unsafe.Pointer) {
	folder, err := os.MkdirTemp("", "samebytes-surface-")
	c.did("sb_visit_manager_open", err)
	defer os.RemoveAll(folder)
	manager := made[*samebytes.VisitManager](c, "sb_visit_manager_open")(samebytes.NewVisitManager(filepath.Join(folder, "visits"), 3))
	defer manager.Close()
	c.did("sb_visit_manager_add_visit", manager.AddVisit(7, 1, "/now", "\xff"))
	c.did("sb_visit_manager_export_arrow_stream", manager.ExportArrowStream(samebytes.StringsBinary, stream))
	C.release_stream(stream)
	scan := made[*samebytes.VisitScan](c, "sb_visit_manager_scan")(manager.Scan())
	defer scan.Close()
	visits := made[*samebytes.Visits](c, "sb_visit_scan_next")(scan.Next(1))
	defer visits.Close()
	err = visits.ExportArrowStream(samebytes.StringsUTF8, stream)
	c.did("sb_visits_export_arrow_stream", nil)
	c.says("sb_visits_export_arrow_stream", errors.Is(err, samebytes.ErrInvalidArgument) && strings.Contains(err.Error(), "visit 1 of user 7"))
}
