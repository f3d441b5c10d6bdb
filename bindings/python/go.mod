// This folder is no part of the Go module: its own go.mod keeps it out of what `go get` downloads.
module github.com/samebytes/samebytes/bindings/python
