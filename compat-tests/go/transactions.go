package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const transactionPartitions = 3

func (s *step) transactions() error {
	if err := s.createTopic(s.name, transactionPartitions); err != nil {
		return err
	}
	producer, err := s.client(kgo.TransactionalID(s.name))
	if err != nil {
		return err
	}
	defer producer.Close()
	for _, each := range []struct {
		word string
		end  kgo.TransactionEndTry
	}{{"committed", kgo.TryCommit}, {"aborted", kgo.TryAbort}, {"later", kgo.TryCommit}} {
		if err := producer.BeginTransaction(); err != nil {
			return err
		}
		records := s.records(s.name, each.word, transactionPartitions)
		if err := producer.ProduceSync(s.ctx, records...).FirstErr(); err != nil {
			return fmt.Errorf("%s: %w", each.word, err)
		}
		if err := producer.EndTransaction(s.ctx, each.end); err != nil {
			return fmt.Errorf("%s: %w", each.word, err)
		}
	}
	return errors.Join(
		s.words("read_committed", kgo.ReadCommitted()),
		s.words("read_uncommitted", kgo.ReadUncommitted()),
	)
}

// words tells how many records of each word are read until those of the last transaction are all there.
func (s *step) words(name string, isolation kgo.IsolationLevel) error {
	reader, err := s.client(kgo.ConsumeTopics(s.name), kgo.FetchIsolationLevel(isolation))
	if err != nil {
		return err
	}
	defer reader.Close()
	counted := map[string]int{"committed": 0, "aborted": 0, "later": 0}
	for counted["later"] < transactionPartitions*s.count {
		fetches := reader.PollFetches(s.ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%s: %v: %w", name, counted, err)
		}
		fetches.EachRecord(func(record *kgo.Record) { counted[word(record)]++ })
	}
	s.tell(name, details{"committed": counted["committed"], "aborted": counted["aborted"], "later": counted["later"]})
	return nil
}

// consumeTransformProduce leaves the first worker in the middle of a transaction; the second, with the same transactional
// id, fences it and goes on. franz-go sends the offsets when a transaction ends: there the first one meets the fence.
func (s *step) consumeTransformProduce() error {
	output := s.name + "-out"
	if err := errors.Join(s.createTopic(s.name, 2), s.createTopic(output, 2), s.write(s.name, "in", 2)); err != nil {
		return err
	}
	first, err := s.session()
	if err != nil {
		return err
	}
	if err := s.transform(first, s.count, output); err != nil {
		return err
	}
	if err := s.end(first); err != nil {
		return err
	}
	s.tell("first", details{"processed": s.count})
	if err := s.transform(first, s.count/2, output); err != nil {
		return err
	}
	if err := s.fence(first); err != nil {
		return err
	}
	second, err := s.session()
	if err != nil {
		return err
	}
	for _, count := range []int{s.count / 2, s.count - s.count/2} {
		if err := errors.Join(s.transform(second, count, output), s.end(second)); err != nil {
			return err
		}
	}
	second.Close()
	committed, err := s.committed(s.name)
	if err != nil {
		return err
	}
	s.tell("committed", details{"offsets": committed})
	return s.output(output)
}

func (s *step) session() (*kgo.GroupTransactSession, error) {
	options := append(s.common(), s.groupOptions(s.name)...)
	return kgo.NewGroupTransactSession(append(options,
		kgo.TransactionalID(s.name), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets())...)
}

// transform begins a transaction with the transformed records of a batch, and does not end it.
func (s *step) transform(session *kgo.GroupTransactSession, count int, output string) error {
	batch, err := s.take(session, count)
	if err != nil {
		return err
	}
	if err := session.Begin(); err != nil {
		return err
	}
	var made []*kgo.Record
	for _, record := range batch {
		value := append([]byte("out of "), record.Value...)
		made = append(made, &kgo.Record{Topic: output, Partition: record.Partition, Value: value})
	}
	return session.ProduceSync(s.ctx, made...).FirstErr()
}

func (s *step) end(session *kgo.GroupTransactSession) error {
	committed, err := session.End(s.ctx, kgo.TryCommit)
	if err == nil && !committed {
		return errors.New("the transaction was aborted, not committed")
	}
	return err
}

func (s *step) fence(first *kgo.GroupTransactSession) error {
	fencing, err := s.client(kgo.TransactionalID(s.name))
	if err != nil {
		return err
	}
	defer fencing.Close()
	if _, _, err := fencing.ProducerID(s.ctx); err != nil {
		return err
	}
	told := ""
	if err := s.end(first); err != nil {
		told = err.Error()
	}
	s.tell("fenced", details{"error": told})
	first.Close()
	return nil
}

// output tells how many values there are, read until some time after the last one that is due.
func (s *step) output(topic string) error {
	reader, err := s.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer reader.Close()
	records, err := s.take(reader, 2*s.count)
	if err != nil {
		return err
	}
	longer, cancel := context.WithTimeout(s.ctx, time.Second)
	defer cancel()
	records = append(records, reader.PollFetches(longer).Records()...)
	distinct := map[string]bool{}
	for _, record := range records {
		distinct[string(record.Value)] = true
	}
	s.tell("output", details{"read": len(records), "distinct": len(distinct)})
	return nil
}
