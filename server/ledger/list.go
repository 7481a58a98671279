package ledger

// list is a queue of entries from which any can be taken out. The entries carry
// the links, so that it takes no memory of its own.
type list struct{ first, last *Entry }

func (q *list) push(e *Entry) {
	e.in, e.prev, e.next = q, q.last, nil
	if q.last == nil {
		q.first = e
	} else {
		q.last.next = e
	}
	q.last = e
}

func (q *list) remove(e *Entry) {
	if e.prev == nil {
		q.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		q.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.in, e.prev, e.next = nil, nil, nil
}
