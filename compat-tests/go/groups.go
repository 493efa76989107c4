package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const groupPartitions = 4

// What commits-before commits and commits-after goes on from, by partition.
var committedBefore = map[int32]int64{0: 3, 1: 7}

// member is one of a group, at work: it polls, notes what it read, and commits it.
type member struct {
	client *kgo.Client
	stop   context.CancelFunc
	done   chan struct{}

	mutex sync.Mutex // guards what follows
	owned map[int32]bool
	read  []*kgo.Record
	err   error
}

func (s *step) join(options ...kgo.Opt) (*member, error) {
	m := &member{owned: map[int32]bool{}, done: make(chan struct{})}
	owns := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			for _, partition := range changed[s.name] {
				if owned {
					m.owned[partition] = true
				} else {
					delete(m.owned, partition)
				}
			}
		}
	}
	options = append(s.groupOptions(s.name), append(options,
		kgo.OnPartitionsAssigned(owns(true)), kgo.OnPartitionsRevoked(owns(false)), kgo.OnPartitionsLost(owns(false)))...)
	client, err := s.client(options...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(s.ctx)
	m.client, m.stop = client, stop
	go m.work(ctx)
	return m, nil
}

func (s *step) groupOptions(name string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(name),
		kgo.ConsumeTopics(name),
		kgo.DisableAutoCommit(),
		kgo.HeartbeatInterval(heartbeat),
	}
}

func (m *member) work(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		fetches := m.client.PollFetches(ctx)
		records := fetches.Records()
		err := fetches.Err()
		if err == nil {
			err = m.client.CommitRecords(ctx, records...)
		}
		m.mutex.Lock()
		m.read = append(m.read, records...)
		if ctx.Err() == nil {
			m.err = errors.Join(m.err, err)
		}
		m.mutex.Unlock()
	}
}

// state is what the member owns, sorted, how many records it read, and what went wrong.
func (m *member) state() ([]int32, int, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Sorted(maps.Keys(m.owned)), len(m.read), m.err
}

func (m *member) leave() {
	m.stop()
	<-m.done
	m.client.Close()
}

func (s *step) group(options ...kgo.Opt) error {
	if err := s.createTopic(s.name, groupPartitions); err != nil {
		return err
	}
	first, err := s.join(options...)
	if err != nil {
		return err
	}
	if err := s.phase("alone", first); err != nil {
		return err
	}
	second, err := s.join(options...)
	if err != nil {
		return err
	}
	if err := s.phase("shared", first, second); err != nil {
		return err
	}
	second.leave()
	if err := s.phase("alone again", first); err != nil {
		return err
	}
	first.leave()
	distinct, read := map[string]bool{}, 0
	for _, m := range []*member{first, second} {
		for _, record := range m.read {
			distinct[fmt.Sprint(record.Partition, record.Offset)] = true
			read++
		}
	}
	committed, err := s.committed(s.name)
	s.tell("sum", details{"read": read, "distinct": len(distinct), "committed": committed})
	return err
}

// phase waits for a settled assignment, writes, and waits until all of it was read and committed.
func (s *step) phase(name string, members ...*member) error {
	settled, err := s.until(members, func(owned []int32, _ int) bool { return len(owned) == groupPartitions })
	if err != nil {
		return fmt.Errorf("%s: assignment: %w", name, err)
	}
	if err := s.write(s.name, name, groupPartitions); err != nil {
		return err
	}
	due := settled.sum + groupPartitions*s.count
	done, err := s.until(members, func(_ []int32, read int) bool { return read >= due })
	if err != nil {
		return fmt.Errorf("%s: records: %w", name, err)
	}
	for at := range done.read {
		done.read[at] -= settled.read[at]
	}
	s.tell(name, details{"owned": done.owned, "read": done.read})
	return nil
}

type sight struct {
	owned [][]int32
	read  []int
	sum   int
}

// until waits for what holds of all partitions owned together and of all records read together; nobody may own nothing.
func (s *step) until(members []*member, holds func(owned []int32, read int) bool) (sight, error) {
	for {
		var seen sight
		var all []int32
		idle := false
		for _, m := range members {
			owned, read, err := m.state()
			if err != nil {
				return seen, err
			}
			seen.owned, seen.read, seen.sum = append(seen.owned, owned), append(seen.read, read), seen.sum+read
			all, idle = append(all, owned...), idle || len(owned) == 0
		}
		if !idle && holds(all, seen.sum) {
			return seen, nil
		}
		select {
		case <-s.ctx.Done():
			return seen, fmt.Errorf("seen at last: %+v", seen)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *step) commitsBefore() error {
	topic := s.prefix + "-commits"
	if err := s.createTopic(topic, len(committedBefore)); err != nil {
		return err
	}
	if err := s.write(topic, "kept", len(committedBefore)); err != nil {
		return err
	}
	client, err := s.client(s.groupOptions(topic)...)
	if err != nil {
		return err
	}
	records, err := s.take(client, len(committedBefore)*s.count)
	if err != nil {
		return err
	}
	var last []*kgo.Record // the last one of each partition that counts as done: its offset + 1 is committed
	for _, record := range records {
		if record.Offset+1 == committedBefore[record.Partition] {
			last = append(last, record)
		}
	}
	if err := client.CommitRecords(s.ctx, last...); err != nil {
		return err
	}
	client.Close()
	committed, err := s.committed(topic)
	s.tell("committed", details{"offsets": committed})
	return err
}

func (s *step) commitsAfter() error {
	topic := s.prefix + "-commits"
	committed, err := s.committed(topic)
	if err != nil {
		return err
	}
	s.tell("committed", details{"offsets": committed})
	client, err := s.client(s.groupOptions(topic)...)
	if err != nil {
		return err
	}
	defer client.Close()
	due := len(committedBefore) * s.count
	for _, offset := range committedBefore {
		due -= int(offset)
	}
	records, err := s.take(client, due)
	if err != nil {
		return err
	}
	first, read := map[string]int64{}, map[string]int{}
	for _, record := range records {
		partition := strconv.Itoa(int(record.Partition))
		if read[partition] == 0 {
			first[partition] = record.Offset
		}
		read[partition]++
	}
	s.tell("read", details{"first": first, "read": read})
	return nil
}
