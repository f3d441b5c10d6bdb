//go:build cgo && !samebytes_shared

package samebytes

// The core is compiled into the program.
import _ "github.com/samebytes/samebytes/core/src"
