package server

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// pool runs what may block, in a fixed number of goroutines and from queues of a
// fixed length. Jobs of one lane run in the order they were submitted.
type pool struct {
	lanes    []chan func()
	waiting  prometheus.Gauge
	rejected prometheus.Counter
	tasks    *sync.WaitGroup // counts queued and running jobs
	workers  sync.WaitGroup
}

// newPool starts the workers. With one lane they share it and jobs run in any
// order; otherwise there is a worker for each lane.
func newPool(workers, lanes, queue int, tasks *sync.WaitGroup, waiting prometheus.Gauge, rejected prometheus.Counter) *pool {
	p := &pool{lanes: make([]chan func(), lanes), waiting: waiting, rejected: rejected, tasks: tasks}
	for i := range p.lanes {
		p.lanes[i] = make(chan func(), max(1, queue/lanes))
	}
	for i := range workers {
		lane := p.lanes[i%lanes]
		p.workers.Go(func() {
			for job := range lane {
				p.waiting.Dec()
				job()
				p.tasks.Done()
			}
		})
	}
	return p
}

// submit queues the job behind those with the same key, or returns false at once
// when there is no room.
func (p *pool) submit(key uint64, job func()) bool {
	p.tasks.Add(1)
	p.waiting.Inc()
	select {
	case p.lanes[key%uint64(len(p.lanes))] <- job:
		return true
	default:
		p.tasks.Done()
		p.waiting.Dec()
		p.rejected.Inc()
		return false
	}
}

// wait is submit for a caller that can wait for room, until quit is closed; then the
// job is not run.
func (p *pool) wait(key uint64, quit <-chan struct{}, job func()) {
	p.tasks.Add(1)
	p.waiting.Inc()
	select {
	case p.lanes[key%uint64(len(p.lanes))] <- job:
	case <-quit:
		p.tasks.Done()
		p.waiting.Dec()
	}
}

// stop ends the workers. All jobs have run: the caller waited for tasks.
func (p *pool) stop() {
	for _, lane := range p.lanes {
		close(lane)
	}
	p.workers.Wait()
}
