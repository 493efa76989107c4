// Command txnload measures transactions: franz-go producers with a transactional id each, side by side, end one
// transaction after the other. Then a read_committed consumer counts what is there. Prints one line of JSON; ends with
// status 1 if a transaction failed, or if the topic holds other records than the committed ones.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type options struct {
	broker, topic                                string
	producers, transactions, records, warm, size int
	partitions                                   int
	timeout                                      time.Duration
}

type outcome struct {
	Seconds      float64 `json:"seconds"`
	Transactions int     `json:"transactions"`
	Records      int     `json:"records"`
}

func main() {
	var o options
	flag.StringVar(&o.broker, "broker", "127.0.0.1:9092", "address")
	flag.StringVar(&o.topic, "topic", "", "an existing, empty topic; its name begins the transactional ids")
	flag.IntVar(&o.partitions, "partitions", 16, "of the topic")
	flag.IntVar(&o.producers, "producers", 16, "side by side; producer i writes to partition i modulo partitions")
	flag.IntVar(&o.transactions, "transactions", 100, "of each producer")
	flag.IntVar(&o.records, "records", 1, "in each transaction")
	flag.IntVar(&o.warm, "warm", 5, "transactions of each producer before the clock starts")
	flag.IntVar(&o.size, "size", 100, "bytes in a value")
	flag.DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up after")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	seconds, err := load(ctx, o)
	if err == nil {
		err = verify(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "txnload:", err)
		os.Exit(1)
	}
	ended := o.producers * o.transactions
	_ = json.NewEncoder(os.Stdout).Encode(outcome{seconds, ended, ended * o.records})
}

// load is the seconds from when all producers are warm to the end of the last one's last transaction.
func load(ctx context.Context, o options) (float64, error) {
	var warm, done sync.WaitGroup
	begin, failures := make(chan struct{}), make([]error, o.producers)
	for i := range o.producers {
		client, err := kgo.NewClient(kgo.SeedBrokers(o.broker), kgo.DefaultProduceTopic(o.topic), kgo.ProducerLinger(0),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(fmt.Sprintf("%s-%d", o.topic, i)))
		if err != nil {
			return 0, err
		}
		defer client.Close()
		warm.Add(1)
		done.Go(func() {
			failures[i] = transact(ctx, client, o, i, o.warm)
			warm.Done()
			<-begin
			if failures[i] == nil {
				failures[i] = transact(ctx, client, o, i, o.transactions)
			}
		})
	}
	warm.Wait()
	started := time.Now()
	close(begin)
	done.Wait()
	return time.Since(started).Seconds(), errors.Join(failures...)
}

func transact(ctx context.Context, client *kgo.Client, o options, producer, count int) error {
	records := make([]*kgo.Record, o.records)
	for range count {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		for i := range records {
			records[i] = &kgo.Record{Partition: int32(producer % o.partitions), Value: make([]byte, o.size)}
		}
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return fmt.Errorf("producer %d: %w", producer, err)
		}
		if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return fmt.Errorf("ending a transaction of producer %d: %w", producer, err)
		}
	}
	return nil
}

// verify reads all that is committed, and then for a little longer.
func verify(ctx context.Context, o options) error {
	reader, err := kgo.NewClient(kgo.SeedBrokers(o.broker), kgo.ConsumeTopics(o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer reader.Close()
	due, read := o.producers*(o.transactions+o.warm)*o.records, 0
	for read < due {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d of %d committed records: %w", read, due, err)
		}
		read += fetches.NumRecords()
	}
	longer, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	read += reader.PollFetches(longer).NumRecords()
	if read != due {
		return fmt.Errorf("%d records are committed, %d should be", read, due)
	}
	return nil
}
