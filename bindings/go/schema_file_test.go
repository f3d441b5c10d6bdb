//go:build cgo

package samebytes_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	samebytes "github.com/samebytes/samebytes/bindings/go"
)

func schemaFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.schema")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadedSchemasAreThoseOfTheFile(t *testing.T) {
	path := schemaFile(t, "message Reading request 7 { time int64; values array<int32>; } # a sensor\nmessage Stored response 7 {}\n")
	schemas, err := samebytes.LoadSchemas(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(schemas) != 2 {
		t.Fatalf("%d schemas", len(schemas))
	}
	for _, schema := range schemas {
		defer schema.Close()
	}
	fields, err := schemas["Reading"].Fields()
	if err != nil {
		t.Fatal(err)
	}
	wanted := []samebytes.SchemaField{{Name: "time", Type: samebytes.TypeInt64}, {Name: "values", Type: samebytes.TypeArrayInt32}}
	if len(fields) != 2 || fields[0] != wanted[0] || fields[1] != wanted[1] {
		t.Errorf("the fields are %v", fields)
	}
	if schemas["Stored"].Direction() != samebytes.DirectionResponse || schemas["Stored"].APIKey() != 7 {
		t.Error("the second message is another")
	}
}

func TestAWrongSchemaFileIsRefusedWithFileAndLine(t *testing.T) {
	path := schemaFile(t, "message M request 0 {\n  a int8;\n  a int16;\n}\n")
	_, err := samebytes.LoadSchemas(path)
	if !errors.Is(err, samebytes.ErrInvalidArgument) || !strings.Contains(err.Error(), "test.schema:3: message M has two fields called a") {
		t.Errorf("the error is %v", err)
	}
	var explained *samebytes.Error
	if !errors.As(err, &explained) || explained.Field != "a" {
		t.Errorf("the error does not name the field: %#v", err)
	}
}

func TestASchemaFileThatIsTooLongOrMissingIsRefused(t *testing.T) {
	path := schemaFile(t, string(bytes.Repeat([]byte{'\n'}, samebytes.SchemaFileSizeMax+10)))
	if _, err := samebytes.LoadSchemas(path); !errors.Is(err, samebytes.ErrTooLarge) {
		t.Errorf("the error is %v", err)
	}
	if _, err := samebytes.LoadSchemas(path + ".missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}
