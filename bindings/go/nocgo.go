//go:build !cgo

package samebytes

// The core is C, so the bindings need cgo; every other file here is left out without it, and this name says why the build fails.
var _ = samebytes_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler
