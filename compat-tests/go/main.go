// franz-go behind the face that program_clients.py gives every client program:
//
//	program BOOTSTRAP write TOPIC CODEC < records    writes to partition 0, prints the offset of each record
//	program BOOTSTRAP read TOPIC COUNT               prints the first COUNT records of partition 0
//	program BOOTSTRAP offsets TOPIC                  prints the first offset of partition 0 and the end
//	program BOOTSTRAP admin TOPIC                    creates, describes, grows and deletes the topic
//	program BOOTSTRAP STEP PREFIX COUNT              a step of steps.go
//	program BOOTSTRAP writer ID FIRST_NUMBER ...     the endless writer of writer.go
//
// A record is a line: timestamp, key, value, headers, with tabs between; base64, "-" for null, headers as name:value with
// commas between.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const patience = 30 * time.Second

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func main() {
	log.SetFlags(0)
	bootstrap, command, topic := os.Args[1], os.Args[2], os.Args[3]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	switch command {
	case "write":
		err = write(ctx, bootstrap, topic, os.Args[4])
	case "read":
		err = read(ctx, bootstrap, topic, os.Args[4])
	case "offsets":
		err = offsets(ctx, bootstrap, topic)
	case "admin":
		err = admin(ctx, bootstrap, topic)
	case "writer":
		err = writeTransactions(bootstrap, topic, os.Args[4], os.Args[5], os.Args[6:])
	default:
		step, known := steps[command]
		if !known {
			log.Fatalf("unknown command %q", command)
		}
		err = runStep(bootstrap, command, topic, os.Args[4], step)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func write(ctx context.Context, bootstrap, topic, codec string) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[codec]),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		record, err := parse(lines.Text())
		if err != nil {
			return err
		}
		record.Topic = topic
		records = append(records, record)
	}
	results := client.ProduceSync(ctx, records...)
	if err := results.FirstErr(); err != nil {
		return err
	}
	for _, record := range records {
		fmt.Println(record.Offset)
	}
	return nil
}

func read(ctx context.Context, bootstrap, topic, count string) error {
	left, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d records are missing: %w", left, err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if left > 0 {
				fmt.Fprintln(out, format(record))
				left--
			}
		})
	}
	return nil
}

func offsets(ctx context.Context, bootstrap, topic string) error {
	client, err := kadmClient(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	starts, err := client.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	ends, err := client.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	start, _ := starts.Lookup(topic, 0)
	end, _ := ends.Lookup(topic, 0)
	if err := errors.Join(start.Err, end.Err); err != nil {
		return err
	}
	fmt.Println(start.Offset, end.Offset)
	return nil
}

func admin(ctx context.Context, bootstrap, topic string) error {
	client, err := kadmClient(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	retention := "123456"
	created, err := client.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": &retention}, topic)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if _, err := client.CreateTopic(ctx, 3, 1, nil, topic); !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("created twice: %v", err)
	}
	if err := settles(ctx, client, topic, 3); err != nil {
		return err
	}
	topics, err := client.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	if topics[topic].ID != created.ID {
		return fmt.Errorf("described as %v, created as %v", topics[topic].ID, created.ID)
	}
	configs, err := client.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return fmt.Errorf("describe configs: %w", err)
	}
	for _, config := range configs[0].Configs {
		if config.Key == "retention.ms" && config.MaybeValue() != retention {
			return fmt.Errorf("retention.ms is %s", config.MaybeValue())
		}
	}
	grown, err := client.UpdatePartitions(ctx, 5, topic)
	if err = errors.Join(err, grown.Error()); err != nil {
		return fmt.Errorf("create partitions: %w", err)
	}
	if err := settles(ctx, client, topic, 5); err != nil {
		return err
	}
	if _, err := client.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return settles(ctx, client, topic, 0)
}

func kadmClient(bootstrap string) (*kadm.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

// settles waits until the topic has so many partitions; 0 when it shall be gone.
func settles(ctx context.Context, client *kadm.Client, topic string, partitions int) error {
	for {
		topics, err := client.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		if len(topics[topic].Partitions) == partitions {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func parse(line string) (*kgo.Record, error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 4 {
		return nil, fmt.Errorf("not a record: %q", line)
	}
	millis, err := strconv.ParseInt(fields[0], 10, 64)
	key, keyErr := fromBase64(fields[1])
	value, valueErr := fromBase64(fields[2])
	record := &kgo.Record{Key: key, Value: value, Timestamp: time.UnixMilli(millis)}
	if fields[3] != "" {
		for _, header := range strings.Split(fields[3], ",") {
			name, text, _ := strings.Cut(header, ":")
			nameBytes, nameErr := fromBase64(name)
			valueBytes, headerErr := fromBase64(text)
			err = errors.Join(err, nameErr, headerErr)
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: string(nameBytes), Value: valueBytes})
		}
	}
	return record, errors.Join(err, keyErr, valueErr)
}

func format(record *kgo.Record) string {
	var headers []string
	for _, header := range record.Headers {
		headers = append(headers, toBase64([]byte(header.Key))+":"+toBase64(header.Value))
	}
	return strings.Join([]string{
		strconv.FormatInt(record.Timestamp.UnixMilli(), 10),
		toBase64(record.Key),
		toBase64(record.Value),
		strings.Join(headers, ","),
	}, "\t")
}

func fromBase64(text string) ([]byte, error) {
	if text == "-" {
		return nil, nil
	}
	bytes, err := base64.StdEncoding.DecodeString(text)
	if bytes == nil {
		bytes = []byte{}
	}
	return bytes, err
}

func toBase64(bytes []byte) string {
	if bytes == nil {
		return "-"
	}
	return base64.StdEncoding.EncodeToString(bytes)
}
