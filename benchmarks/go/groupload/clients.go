package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a franz-go consumer in a group; changed gets a value whenever its assignment did.
type member struct {
	client  *kgo.Client
	changed chan struct{}

	mutex sync.Mutex
	owned map[int32]bool
}

func (o options) member(changed chan struct{}) (*member, error) {
	m := &member{changed: changed, owned: map[int32]bool{}}
	owns := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.mutex.Lock()
			for _, partition := range partitions[o.topic] {
				if owned {
					m.owned[partition] = true
				} else {
					delete(m.owned, partition)
				}
			}
			m.mutex.Unlock()
			select {
			case changed <- struct{}{}:
			default: // somebody will look anyway
			}
		}
	}
	settings := []kgo.Opt{
		kgo.SeedBrokers(o.broker), kgo.ConsumerGroup(o.group), kgo.ConsumeTopics(o.topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(o.heartbeat),
		kgo.OnPartitionsAssigned(owns(true)), kgo.OnPartitionsRevoked(owns(false)), kgo.OnPartitionsLost(owns(false)),
	}
	if o.protocol == "consumer" {
		settings = append(settings, kgo.ServerSideBalancer())
	}
	var err error
	m.client, err = kgo.NewClient(settings...)
	return m, err
}

func (m *member) owns() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.owned)
}

// firstPoll is how long a new group's only member waits for its first record, connecting included.
func firstPoll(ctx context.Context, o options) (time.Duration, error) {
	started := time.Now()
	m, err := o.member(make(chan struct{}, 1))
	if err != nil {
		return 0, err
	}
	defer m.client.Close()
	for {
		fetches := m.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, err
		}
		if fetches.NumRecords() > 0 {
			return time.Since(started), nil
		}
	}
}

// change is how long it takes from making the second member until both own half.
func change(ctx context.Context, o options) (time.Duration, error) {
	changed := make(chan struct{}, 1)
	first, err := o.member(changed)
	if err != nil {
		return 0, err
	}
	defer first.client.Close()
	if err := until(ctx, changed, func() bool { return first.owns() == o.partitions }); err != nil {
		return 0, fmt.Errorf("the first member: %w", err)
	}
	// somewhere within the time between two heartbeats, not always right behind one
	time.Sleep(time.Duration(time.Now().UnixNano() % int64(o.heartbeat)))
	started := time.Now()
	second, err := o.member(changed)
	if err != nil {
		return 0, err
	}
	defer second.client.Close()
	halves := func() bool { return first.owns() == o.partitions/2 && second.owns() == o.partitions/2 }
	if err := until(ctx, changed, halves); err != nil {
		return 0, fmt.Errorf("both members: %w", err)
	}
	return time.Since(started), nil
}

func until(ctx context.Context, changed <-chan struct{}, holds func() bool) error {
	for !holds() {
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
