// Package headers has nothing for Go. It makes the folder of the C headers a package, so that `go mod vendor` carries them along.
package headers
