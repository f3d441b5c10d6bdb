// Package headers has nothing for Go. It makes the folder of the drop-in headers a package, so that `go mod vendor` carries them along.
package headers
