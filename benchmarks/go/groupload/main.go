// Command groupload measures consumer groups. Each command prints one line of JSON, and ends with status 1 if something
// went wrong.
//
//	groupload join       so many members of one group on few connections, by raw requests: seconds until all are stable
//	groupload firstpoll  a new group of one member, franz-go: ms from making the client to the first record, several times
//	groupload change     a second member joins, franz-go: ms until both have their new assignments, several times
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

// options of all commands; `protocol` is classic or consumer (KIP-848).
type options struct {
	broker, topic, group, protocol   string
	members, connections, partitions int
	times                            int
	heartbeat, timeout               time.Duration
}

var commands = map[string]func(context.Context, options) (any, error){
	"join":      func(ctx context.Context, o options) (any, error) { return join(ctx, o) },
	"firstpoll": func(ctx context.Context, o options) (any, error) { return several(ctx, o, firstPoll) },
	"change":    func(ctx context.Context, o options) (any, error) { return several(ctx, o, change) },
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("say which: join, firstpoll or change"))
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.broker, "broker", "127.0.0.1:9092", "address")
	flags.StringVar(&o.topic, "topic", "", "an existing topic; firstpoll needs a record in partition 0")
	flags.StringVar(&o.group, "group", "", "a group nobody used (default: the name of the topic)")
	flags.StringVar(&o.protocol, "protocol", "classic", "classic or consumer")
	flags.IntVar(&o.partitions, "partitions", 4, "of the topic; change, join")
	flags.IntVar(&o.members, "members", 1000, "join")
	flags.IntVar(&o.connections, "connections", 50, "join; a connection of the classic protocol is busy while its member joins")
	flags.IntVar(&o.times, "times", 5, "firstpoll, change")
	flags.DurationVar(&o.heartbeat, "heartbeat", 200*time.Millisecond, "heartbeat.interval.ms of the classic protocol")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up after")
	_ = flags.Parse(os.Args[2:])
	if o.protocol != "classic" && o.protocol != "consumer" {
		fail(fmt.Errorf("no protocol %q", o.protocol))
	}
	if o.group == "" {
		o.group = o.topic
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	outcome, err := commands[os.Args[1]](ctx, o)
	if err != nil {
		fail(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(outcome)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "groupload:", err)
	os.Exit(1)
}

type times struct {
	MedianMs float64 `json:"median_ms"`
	LeastMs  float64 `json:"least_ms"`
	MostMs   float64 `json:"most_ms"`
}

// several measures with a group of its own each time.
func several(ctx context.Context, o options, once func(context.Context, options) (time.Duration, error)) (times, error) {
	var took []float64
	group := o.group
	for i := range o.times {
		o.group = fmt.Sprintf("%s-%s-%d", group, o.protocol, i)
		each, err := once(ctx, o)
		if err != nil {
			return times{}, err
		}
		took = append(took, each.Seconds()*1e3)
	}
	slices.Sort(took)
	return times{took[len(took)/2], took[0], took[len(took)-1]}, nil
}
