//go:build cgo && samebytes_shared

package samebytes

// #cgo pkg-config: samebytes
import "C"

import (
	"fmt"

	_ "github.com/samebytes/samebytes/core/include/samebytes" // the headers that the generated files compile against
)

// A program works with a library of the same major and at least its own minor version. An older one may lack functions, or keep what
// they promise differently; so it must not be used at all.
func init() {
	version := Version()
	if version>>16 != VersionMajor || version>>8&0xff < VersionMinor {
		panic(fmt.Sprintf("samebytes: the shared library has version %d.%d, this program needs %d.%d or later",
			version>>16, version>>8&0xff, VersionMajor, VersionMinor))
	}
}
