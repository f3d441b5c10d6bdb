//go:build samebytes_shared

// Package core is empty here: the build tag samebytes_shared makes bindings/go link to the shared library.
package core
