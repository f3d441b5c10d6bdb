//go:build cgo

package samebytes

// Parse decodes every complete frame that has been received into batch, whose former content is dropped.
//
// A bad body or an unknown api_key is an entry in the batch's errors, and the stream goes on. A Size that cannot be ends the stream: when
// the frames before it gave rows, Parse delivers them and returns nil, and the next call returns the error; otherwise it returns it at
// once, and the batch's errors have it as well.
//
// Ownership: batch keeps the memory it shows.
// Threads: one user of the Parser and of batch at a time.
// Errors: ErrNoMemory, the frames are then parsed by the next call; the error that ended the stream.
// Since: 1.0
func (p *Parser) Parse(batch *Batch) error {
	if err := p.parse(batch); err != nil {
		return err
	}
	if batch.RowCount() > 0 || p.End() == 0 {
		return nil
	}
	last := batch.ErrorCount() - 1
	ended, err := batch.GetError(last)
	if err != nil {
		return err
	}
	ended.op = "Parser.Parse"
	return ended
}

// GetValues returns copies of the values of the row at index, one per field of its schema, in its order: int64 for an integer, []byte
// for a string, []int8 to []int64 or [][]byte for an array.
//
// Ownership: the values are the caller's.
// Threads: one user of the Batch at a time.
// Errors: ErrOutOfRange when there is no such row.
// Since: 1.0
func (b *Batch) GetValues(index int) ([]any, error) {
	if _, err := b.enter("Batch.GetValues"); err != nil {
		return nil, err
	}
	defer b.leave() // so that no Close comes in between
	row, err := b.GetRow(index)
	if err != nil {
		return nil, err
	}
	fields, err := b.schemaFields(int(row.SchemaIndex))
	if err != nil {
		return nil, err
	}
	return b.copyValues(index, fields)
}

// copyValues is called inside a call, because raw shows memory of the batch.
func (b *Batch) copyValues(index int, fields []SchemaField) ([]any, error) {
	raw, err := b.getValues(index)
	if err != nil {
		return nil, err
	}
	values := make([]any, len(raw))
	for i := range raw {
		values[i] = raw[i].get(fields[i].Type)
	}
	return values, nil
}

// Message is a decoded message: its head, and copies of its values as GetValues returns them.
type Message struct {
	Row

	// Values holds one value per field of the schema.
	Values []any
}

// Messages returns all rows with copies of their values, with a few calls of C for all of them. Those of one call share memory, and an
// append to one of them cannot reach the next.
func (b *Batch) Messages() ([]Message, error) {
	const op = "Batch.Messages"
	self, err := b.enter(op)
	if err != nil {
		return nil, err
	}
	defer b.leave() // so that no Close comes in between
	rows, values, err := showAll(op, self)
	if err != nil {
		return nil, err
	}
	fields, err := b.rowFields(rows)
	if err != nil {
		return nil, err
	}
	from := newCopies(rows, values, fields)
	all := make([]any, 0, len(values))
	messages := make([]Message, len(rows))
	for i := range rows {
		start := len(all)
		for j, field := range fields[rows[i].schema_index] {
			all = append(all, from.copied(field.Type, &values[start+j]))
		}
		messages[i].Row, messages[i].Values = goRow(&rows[i]), all[start:len(all):len(all)]
	}
	return messages, nil
}

func (b *Batch) schemaFields(index int) ([]SchemaField, error) {
	schema, err := b.GetSchema(index)
	if err != nil {
		return nil, err
	}
	defer schema.Close()
	return schema.fields()
}

// Errors returns what the last parse refused, in the order of the stream.
func (b *Batch) Errors() ([]*Error, error) {
	if _, err := b.enter("Batch.Errors"); err != nil {
		return nil, err
	}
	defer b.leave()
	refused := make([]*Error, b.ErrorCount())
	for i := range refused {
		entry, err := b.GetError(i)
		if err != nil {
			return nil, err
		}
		refused[i] = entry
	}
	return refused, nil
}
