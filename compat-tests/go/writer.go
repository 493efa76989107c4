package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The writer of transactions that kills/transactional.py drives and kills; there is what it prints.
//
//	program BOOTSTRAP writer TRANSACTIONAL_ID FIRST_NUMBER TIMEOUT_MS TOPIC:PARTITION...

const (
	mostRecords = 10
	pause       = 20 * time.Millisecond // at most, between transactions
	aborted     = 0.15                  // of the transactions
	call        = 10 * time.Second      // how long a transaction waits for the broker to come back
)

type writer struct {
	bootstrap, id string
	timeout       time.Duration
	client        *kgo.Client // nil until the first transaction, and after a failure
}

func writeTransactions(bootstrap, id, first, timeoutMs string, places []string) error {
	number, err := strconv.Atoi(first)
	timeout, timeoutErr := strconv.Atoi(timeoutMs)
	if err = errors.Join(err, timeoutErr); err != nil {
		return err
	}
	w := &writer{bootstrap: bootstrap, id: id, timeout: time.Duration(timeout) * time.Millisecond}
	for ; ; number++ {
		chosen := make([]string, 1+rand.IntN(mostRecords))
		for at := range chosen {
			chosen[at] = places[rand.IntN(len(places))]
		}
		if w.client == nil {
			if err := w.connect(); err != nil {
				return err
			}
		}
		fmt.Println("begun", number, strings.Join(chosen, " "))
		ended, err := w.write(number, chosen)
		if err != nil {
			fmt.Println("failed", number, strings.ReplaceAll(err.Error(), "\n", " "))
			w.client.Close()
			w.client = nil
		} else {
			fmt.Println(ended, number)
		}
		time.Sleep(rand.N(pause))
	}
}

// connect fences the producer before this one, and aborts what it left open.
func (w *writer) connect() (err error) {
	w.client, err = kgo.NewClient(
		kgo.SeedBrokers(w.bootstrap),
		kgo.TransactionalID(w.id),
		kgo.TransactionTimeout(w.timeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(50*time.Millisecond),
	)
	return err
}

func (w *writer) write(number int, chosen []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), call)
	defer cancel()
	if err := w.client.BeginTransaction(); err != nil {
		return "", err
	}
	var records []*kgo.Record
	for place, where := range chosen {
		topic, partition, _ := strings.Cut(where, ":")
		at, err := strconv.Atoi(partition)
		if err != nil {
			return "", err
		}
		name := fmt.Sprintf("%s/%d", w.id, number)
		value := fmt.Sprintf("%s %d %s", name, place, strings.Repeat(name, (number*7+place*31)%150))
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(at), Value: []byte(value)})
	}
	if err := w.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return "", err
	}
	if rand.Float64() < aborted {
		return "aborted", w.client.EndTransaction(ctx, kgo.TryAbort)
	}
	fmt.Println("commit", number)
	return "committed", w.client.EndTransaction(ctx, kgo.TryCommit)
}
