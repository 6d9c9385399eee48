package sink

import (
	"errors"
	"time"
)

// outlet is the consumer's side of a Queue; it belongs to run.
type outlet struct {
	*Queue
	begun   bool // the first mark was handed over
	failing bool // the last Write failed
	stopped bool // the Writer gets no more frames
	batch   []Frame
	bytes   []byte // payloads of batch
}

// run takes frames out of the ring and calls the Writer, until Close or until the Writer stops.
func (q *Queue) run() {
	defer close(q.done)
	size := min(max(2*q.options.Batch, 16), maxBatch)
	o := outlet{Queue: q, batch: make([]Frame, 0, size), bytes: make([]byte, 0, size*slotBytes)}
	for !o.stopped {
		// In this order: a frame that was offered before Close is found by the collect that follows.
		closing := q.closing.Load()
		if o.collect() {
			if err := o.write(); o.stopped {
				q.result = err
			}
			continue
		}
		if closing {
			o.batch = append(o.batch[:0], Frame{At: q.end})
			q.result = o.write()
			break
		}
		o.park()
	}
	q.shut.Store(true)
	q.result = errors.Join(q.result, o.finish())
	o.leave()
}

// collect copies frames out of the ring, so that no slot is held while the Writer works.
func (o *outlet) collect() bool {
	o.batch, o.bytes = o.batch[:0], o.bytes[:0]
	if !o.begun && o.started.Load() {
		o.begun = true
		o.batch = append(o.batch, Frame{At: o.start})
	}
	for len(o.batch) < cap(o.batch) {
		var f Frame
		var ok bool
		if o.bytes, ok = o.ring.take(&f, o.bytes); !ok {
			break
		}
		// The mark is written before the first frame: it may have come between the look above and this frame.
		if !o.begun {
			if o.begun = true; o.started.Load() {
				o.batch = append(o.batch, Frame{At: o.start})
			}
		}
		o.batch = append(o.batch, f)
	}
	return len(o.batch) > 0
}

// park waits for a Wake. After parked is set either Offer sees it, or the look after it sees what Offer put.
func (o *outlet) park() {
	o.taken.Store(o.ring.tail)
	o.parked.Store(true)
	if !o.ring.waiting() && (o.begun || !o.started.Load()) && !o.closing.Load() {
		<-o.wakes
	}
	o.parked.Store(false)
}

// write hands the batch to the Writer and tells of failures where they begin and end.
func (o *outlet) write() error {
	var audio uint64
	for i := range o.batch {
		if o.batch[i].Direction != 0 {
			audio++
		}
	}
	err := o.call("Write", func() error { return o.writer.Write(o.batch) })
	if err == nil {
		o.count.frames.Add(audio)
		if o.failing {
			o.failing = false
			if o.options.Recovered != nil {
				o.options.Recovered()
			}
		}
		return nil
	}
	o.count.refused.Add(audio)
	o.stopped = errors.Is(err, ErrStopped)
	if (o.stopped || !o.failing) && o.options.Failed != nil {
		o.options.Failed(err)
	}
	o.failing = true
	return err
}

// finish closes the Writer.
func (o *outlet) finish() error { return o.call("Close", o.writer.Close) }

// call runs one of the Writer's methods, remembers since when, and turns a panic into an error.
func (o *outlet) call(what string, method func() error) (err error) {
	o.count.busySince.Store(int64(time.Since(o.origin)) + 1)
	defer func() {
		if v := recover(); v != nil {
			err = panicError(what, v)
		}
		o.count.busySince.Store(0)
		if err != nil {
			o.count.errors.Add(1)
			text := err.Error()
			o.count.last.Store(&text)
		}
	}()
	return method()
}

// leave counts what nobody will take any more.
func (o *outlet) leave() {
	var f Frame
	for {
		var ok bool
		if o.bytes, ok = o.ring.take(&f, o.bytes[:0]); !ok {
			return
		}
		if f.Direction != 0 {
			o.count.dropped.Add(1)
		}
	}
}
