// Command realclient measures a real client, franz-go with its defaults (idempotent, acks=all, linger 10 ms), against
// one partition: `realclient produce` sends records that name their own position, `realclient consume` reads them back
// and checks each. Prints one line of JSON; ends with status 1 if anything was lost, refused, or changed.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type options struct {
	broker, topic string
	records, size int
	timeout       time.Duration
}

type outcome struct {
	Seconds float64 `json:"seconds"`
	Records int     `json:"records"`
	Bytes   int     `json:"bytes"`
}

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("say which: produce or consume"))
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.broker, "broker", "127.0.0.1:9092", "address")
	flags.StringVar(&o.topic, "topic", "", "an existing topic; partition 0 is used")
	flags.IntVar(&o.records, "records", 100_000, "how many")
	flags.IntVar(&o.size, "size", 1024, "bytes in a value, at least 8")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up after")
	_ = flags.Parse(os.Args[2:])
	if o.size < 8 {
		fail(errors.New("a value needs 8 bytes for its position"))
	}
	run, known := map[string]func(context.Context, options) error{"produce": produce, "consume": consume}[os.Args[1]]
	if !known {
		fail(fmt.Errorf("no command %s", os.Args[1]))
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	started := time.Now()
	if err := run(ctx, o); err != nil {
		fail(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(outcome{time.Since(started).Seconds(), o.records, o.records * o.size})
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "realclient:", err)
	os.Exit(1)
}

// value is the record at a position: the position itself, then bytes that follow from it.
func value(position, size int) []byte {
	bytes := make([]byte, size)
	binary.BigEndian.PutUint64(bytes, uint64(position))
	for i := 8; i < size; i++ {
		bytes[i] = byte(position + i)
	}
	return bytes
}

func produce(ctx context.Context, o options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.broker), kgo.DefaultProduceTopic(o.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	for i := range o.records {
		client.Produce(ctx, &kgo.Record{Value: value(i, o.size)}, func(record *kgo.Record, err error) {
			if err == nil && record.Offset != int64(i) {
				err = fmt.Errorf("record %d was given offset %d", i, record.Offset)
			}
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func consume(ctx context.Context, o options) error {
	start := map[string]map[int32]kgo.Offset{o.topic: {0: kgo.NewOffset().At(0)}}
	client, err := kgo.NewClient(kgo.SeedBrokers(o.broker), kgo.ConsumePartitions(start))
	if err != nil {
		return err
	}
	defer client.Close()
	for seen := 0; seen < o.records; {
		fetches := client.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("fetching at %d: %w", seen, errs[0].Err)
		}
		for records := fetches.RecordIter(); !records.Done(); seen++ {
			if err := check(records.Next(), seen, o.size); err != nil {
				return err
			}
		}
	}
	return nil
}

// check compares position, length and last byte: enough to notice loss, reordering and cut values at little cost.
func check(record *kgo.Record, position, size int) error {
	if record.Offset != int64(position) || len(record.Value) != size ||
		binary.BigEndian.Uint64(record.Value) != uint64(position) ||
		(size > 8 && record.Value[size-1] != byte(position+size-1)) {
		return fmt.Errorf("offset %d does not hold record %d", record.Offset, position)
	}
	return nil
}
