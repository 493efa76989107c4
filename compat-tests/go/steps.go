package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The steps that step_programs.py describes: groups with rebalances, commits, transactions.
//
//	program BOOTSTRAP STEP PREFIX COUNT
//
// Each phase of a step prints a line of JSON.
var steps = map[string]func(*step) error{
	"group":          func(s *step) error { return s.group() },
	"group848":       func(s *step) error { return s.group(kgo.ServerSideBalancer()) },
	"commits-before": (*step).commitsBefore,
	"commits-after":  (*step).commitsAfter,
	"transactions":   (*step).transactions,
	"ctp":            (*step).consumeTransformProduce,
}

const heartbeat = 200 * time.Millisecond // so that a member hears of a rebalance soon

// step is one run of a step. name is the topic's, the group's and the transactional id; count how many records a
// partition gets at a time.
type step struct {
	ctx       context.Context
	bootstrap string
	command   string
	prefix    string
	name      string
	count     int
}

type details map[string]any

func runStep(bootstrap, command, prefix, count string, run func(*step) error) error {
	number, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	s := &step{ctx, bootstrap, command, prefix, prefix + "-" + command, number}
	if err = run(s); err != nil {
		s.print("failed", false, details{"error": err.Error()})
	}
	return err
}

// tell prints what a phase found; the judge is outside.
func (s *step) tell(phase string, told details) { s.print(phase, true, told) }

func (s *step) print(phase string, ok bool, told details) {
	line, err := json.Marshal(map[string]any{"step": s.command, "phase": phase, "ok": ok, "details": told})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func (s *step) client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(s.common(), options...)...)
}

func (s *step) common() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(s.bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.FetchMaxWait(100 * time.Millisecond),
	}
}

func (s *step) createTopic(topic string, partitions int) error {
	client, err := kadmClient(s.bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.CreateTopic(s.ctx, int32(partitions), 1, nil, topic); err != nil {
		return err
	}
	return settles(s.ctx, client, topic, partitions)
}

// committed asks as a stranger to the group.
func (s *step) committed(group string) (map[string]int64, error) {
	client, err := kadmClient(s.bootstrap)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	answers, err := client.FetchOffsets(s.ctx, group)
	if err != nil {
		return nil, err
	}
	found := map[string]int64{}
	answers.Each(func(each kadm.OffsetResponse) {
		if each.Topic == group {
			found[strconv.Itoa(int(each.Partition))] = each.At
		}
	})
	return found, answers.Error()
}

// records are `count` for each partition, named after the word.
func (s *step) records(topic, word string, partitions int) []*kgo.Record {
	var made []*kgo.Record
	for partition := range partitions {
		for number := range s.count {
			value := fmt.Sprintf("%s-%d-%d", word, partition, number)
			made = append(made, &kgo.Record{Topic: topic, Partition: int32(partition), Value: []byte(value)})
		}
	}
	return made
}

func (s *step) write(topic, word string, partitions int) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(s.ctx, s.records(topic, word, partitions)...).FirstErr()
}

// poller is a client or a transactional session.
type poller interface {
	PollRecords(ctx context.Context, most int) kgo.Fetches
}

// take polls exactly so many records.
func (s *step) take(from poller, count int) ([]*kgo.Record, error) {
	var taken []*kgo.Record
	for len(taken) < count {
		fetches := from.PollRecords(s.ctx, count-len(taken))
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%d of %d records: %w", len(taken), count, err)
		}
		taken = append(taken, fetches.Records()...)
	}
	return taken, nil
}

func word(record *kgo.Record) string {
	first, _, _ := strings.Cut(string(record.Value), "-")
	return first
}
