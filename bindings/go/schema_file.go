//go:build cgo

package samebytes

import (
	"io"
	"os"
)

// LoadSchemas returns the schemas that the file at path describes, by the names of their messages. The manual of such files is
// schema_file.h in core/include/samebytes.
//
// Ownership: the caller closes the schemas.
// Threads: any.
// Errors: ErrInvalidArgument with file, line and reason when the text is wrong; ErrTooLarge when it is too long; ErrNotFound, which is
// fs.ErrNotExist too, when there is no such file; ErrIO, with the error of the operating system, when it cannot be read.
// Since: 1.0
func LoadSchemas(path string) (map[string]*Schema, error) {
	text, err := readSchemaFile(path)
	if err != nil {
		return nil, refusedFile("LoadSchemas", path, err)
	}
	file, err := NewSchemaFile(text, path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	schemas := make(map[string]*Schema, file.Count())
	for i := range file.Count() {
		schema, err := file.Get(i)
		if err != nil {
			for _, opened := range schemas {
				opened.Close()
			}
			return nil, err
		}
		schemas[schema.Name()] = schema
	}
	return schemas, nil
}

// readSchemaFile reads one byte more than is allowed, so that a longer file is refused without reading it all.
func readSchemaFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, SchemaFileSizeMax+1))
}
