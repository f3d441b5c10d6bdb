//go:build cgo && !samebytes_shared

// Package core is the C library itself: because this file imports "C", Go compiles the .c files beside it into the program. Programs
// import bindings/go instead.
//
// The core stays hidden inside the program, so that a Go library loaded into a process that has a samebytes of its own does not get in
// its way. With the build tag samebytes_shared this package is empty, and bindings/go links to the shared library.
package core

/*
#cgo CFLAGS: -std=gnu11 -fvisibility=hidden -DSB_BUILD_HIDDEN -DNDEBUG -I${SRCDIR}/../include
#cgo LDFLAGS: -pthread -ldl
*/
import "C"

// Without these imports `go mod vendor` would leave the headers out.
import (
	_ "github.com/samebytes/samebytes/core/include"
	_ "github.com/samebytes/samebytes/core/include/samebytes"
)
