package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is one connection, shared by members: requests are answered in the order in which they were sent.
type wire struct {
	socket net.Conn
	mutex  sync.Mutex // guards what follows, and that requests and `waiting` have the same order
	next   int32
	queue  chan waiting
	format *kmsg.RequestFormatter
}

type waiting struct {
	correlation int32
	request     kmsg.Request
	answered    chan error
	response    kmsg.Response
}

func dial(broker string) (*wire, error) {
	socket, err := net.Dial("tcp", broker)
	if err != nil {
		return nil, err
	}
	w := &wire{socket: socket, queue: make(chan waiting, 4096), format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("groupload"))}
	go w.receive()
	return w, nil
}

func (w *wire) receive() {
	in := bufio.NewReader(w.socket)
	for due := range w.queue {
		due.answered <- readAnswer(in, due)
	}
}

func readAnswer(in io.Reader, due waiting) error {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(in, frame); err != nil {
		return err
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != due.correlation {
		return fmt.Errorf("answer %d where %d is due", got, due.correlation)
	}
	body := frame[4:]
	if due.response.IsFlexible() {
		body = body[1:] // no tagged fields in the header
	}
	return due.response.ReadFrom(body)
}

// ask sends a request, and waits for its answer.
func (w *wire) ask(ctx context.Context, request kmsg.Request) (kmsg.Response, error) {
	due := waiting{request: request, answered: make(chan error, 1), response: request.ResponseKind()}
	due.response.SetVersion(request.GetVersion())
	w.mutex.Lock()
	due.correlation = w.next
	w.next++
	frame := w.format.AppendRequest(nil, request, due.correlation)
	w.queue <- due
	_, err := w.socket.Write(frame)
	w.mutex.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case err := <-due.answered:
		return due.response, err
	case <-ctx.Done():
		return nil, fmt.Errorf("%s was not answered: %w", kmsg.NameForKey(request.Key()), ctx.Err())
	}
}

type joined struct {
	Seconds  float64 `json:"seconds"`
	Members  int     `json:"members"`
	Requests int64   `json:"requests"`
	Epoch    int32   `json:"epoch"` // or generation, in which all are stable
}

// crowd is what members share: how many requests they sent, and where each of them is.
type crowd struct {
	options
	requests atomic.Int64

	mutex    sync.Mutex
	epochs   map[int]int32 // by member: the generation or epoch in which it has its assignment
	assigned map[int]int   // by member: how many partitions that is
	stable   chan int32
	stop     context.CancelFunc
	failures []error
}

// note is called by members; it tells when all are in the same generation or epoch, and each has its fair share.
func (c *crowd) note(member int, epoch int32, partitions int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.epochs[member], c.assigned[member] = epoch, partitions
	if len(c.epochs) < c.members {
		return
	}
	total, least, most, same := 0, c.partitions, 0, true
	for member, each := range c.epochs {
		share := c.assigned[member]
		total, least, most = total+share, min(least, share), max(most, share)
		same = same && each == epoch
	}
	if same && total == c.partitions && most-least <= 1 {
		select {
		case c.stable <- epoch:
		default: // told already
		}
	}
}

// owned is what the member was assigned last.
func (c *crowd) owned(member int) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.assigned[member]
}

func (c *crowd) fail(err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.failures = append(c.failures, err)
	c.stop()
}

func join(ctx context.Context, o options) (joined, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := &crowd{options: o, epochs: map[int]int32{}, assigned: map[int]int{}, stable: make(chan int32, 1), stop: stop}
	wires := make([]*wire, o.connections)
	for i := range wires {
		w, err := dial(o.broker)
		if err != nil {
			return joined{}, err
		}
		defer w.socket.Close()
		wires[i] = w
	}
	if err := c.prepare(ctx, wires[0]); err != nil {
		return joined{}, err
	}
	live := c.liveClassic
	if o.protocol == "consumer" {
		live = c.liveConsumer
	}
	started := time.Now()
	for i := range o.members {
		go func() {
			if err := live(ctx, wires[i%len(wires)], i); err != nil && ctx.Err() == nil {
				c.fail(fmt.Errorf("member %d: %w", i, err))
			}
		}()
	}
	select {
	case epoch := <-c.stable:
		return joined{time.Since(started).Seconds(), o.members, c.requests.Load(), epoch}, nil
	case <-ctx.Done():
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if len(c.failures) > 0 {
			return joined{}, c.failures[0]
		}
		return joined{}, fmt.Errorf("%d of %d members have an assignment: %w", len(c.epochs), o.members, ctx.Err())
	}
}

// prepare has the coordinator found, which may make its topic, and looks whether the topic is there.
func (c *crowd) prepare(ctx context.Context, w *wire) error {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, c.group
	for {
		answer, err := w.ask(ctx, find)
		if err != nil {
			return err
		}
		code := answer.(*kmsg.FindCoordinatorResponse).ErrorCode
		if code == 0 {
			break
		}
		if !errors.Is(kerr.ErrorForCode(code), kerr.CoordinatorNotAvailable) {
			return kerr.ErrorForCode(code)
		}
		time.Sleep(50 * time.Millisecond)
	}
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version = 12
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &c.topic
	metadata.Topics = append(metadata.Topics, topic)
	answer, err := w.ask(ctx, metadata)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.(*kmsg.MetadataResponse).Topics[0].ErrorCode)
}

func (c *crowd) ask(ctx context.Context, w *wire, request kmsg.Request) (kmsg.Response, error) {
	c.requests.Add(1)
	return w.ask(ctx, request)
}

// beginsLater spreads the members' heartbeats over the interval.
func (c *crowd) beginsLater(member int) time.Duration {
	return c.heartbeat * time.Duration(member) / time.Duration(c.members)
}

func pause(ctx context.Context, length time.Duration) {
	select {
	case <-time.After(length):
	case <-ctx.Done():
	}
}

// retriable is what a coordinator that still loads says.
func retriable(code int16) bool {
	err := kerr.ErrorForCode(code)
	return slices.Contains([]error{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator}, err)
}
