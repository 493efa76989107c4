package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	sessionMs   = 30_000
	rebalanceMs = 60_000
)

// liveClassic joins, syncs, and heartbeats, again whenever the group rebalances.
func (c *crowd) liveClassic(ctx context.Context, w *wire, number int) error {
	id := ""
	for ctx.Err() == nil {
		joined, err := c.joinOnce(ctx, w, &id)
		if err != nil {
			return err
		}
		if joined == nil {
			continue
		}
		share, again, err := c.sync(ctx, w, id, joined)
		if err != nil {
			return err
		}
		if again {
			continue
		}
		c.note(number, joined.Generation, share)
		if err := c.heartbeatUntilRebalance(ctx, w, id, joined.Generation, number); err != nil {
			return err
		}
	}
	return nil
}

// joinOnce is one JoinGroup; nil when it must be asked again, perhaps with the id that the answer gave.
func (c *crowd) joinOnce(ctx context.Context, w *wire, id *string) (*kmsg.JoinGroupResponse, error) {
	request := kmsg.NewPtrJoinGroupRequest()
	request.Version, request.Group, request.MemberID, request.ProtocolType = 7, c.group, *id, "consumer"
	request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = sessionMs, rebalanceMs
	metadata := kmsg.NewConsumerMemberMetadata()
	metadata.Topics = []string{c.topic}
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "range", metadata.AppendTo(nil)
	request.Protocols = append(request.Protocols, protocol)
	answer, err := c.ask(ctx, w, request)
	if err != nil {
		return nil, err
	}
	joined := answer.(*kmsg.JoinGroupResponse)
	switch err := kerr.ErrorForCode(joined.ErrorCode); {
	case err == nil:
		*id = joined.MemberID
		return joined, nil
	case err == kerr.MemberIDRequired:
		*id = joined.MemberID
		return nil, nil
	case err == kerr.UnknownMemberID:
		*id = ""
		return nil, nil
	case retriable(joined.ErrorCode):
		return nil, nil
	default:
		return nil, err
	}
}

// sync is how many partitions the member got; `again` when the group rebalances meanwhile.
func (c *crowd) sync(ctx context.Context, w *wire, id string, joined *kmsg.JoinGroupResponse) (int, bool, error) {
	request := kmsg.NewPtrSyncGroupRequest()
	request.Version, request.Group, request.MemberID, request.Generation = 5, c.group, id, joined.Generation
	protocolType := "consumer"
	request.ProtocolType, request.Protocol = &protocolType, joined.Protocol
	if joined.LeaderID == id {
		request.GroupAssignment = c.assignments(joined.Members)
	}
	answer, err := c.ask(ctx, w, request)
	if err != nil {
		return 0, false, err
	}
	synced := answer.(*kmsg.SyncGroupResponse)
	switch err := kerr.ErrorForCode(synced.ErrorCode); err {
	case nil:
	case kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID:
		return 0, true, nil
	default:
		return 0, false, err
	}
	var assignment kmsg.ConsumerMemberAssignment
	if err := assignment.ReadFrom(synced.MemberAssignment); err != nil {
		return 0, false, err
	}
	share := 0
	for _, topic := range assignment.Topics {
		share += len(topic.Partitions)
	}
	return share, false, nil
}

// assignments deals the partitions out in turn.
func (c *crowd) assignments(members []kmsg.JoinGroupResponseMember) []kmsg.SyncGroupRequestGroupAssignment {
	made := make([]kmsg.SyncGroupRequestGroupAssignment, 0, len(members))
	for at, member := range members {
		topic := kmsg.NewConsumerMemberAssignmentTopic()
		topic.Topic = c.topic
		for partition := at; partition < c.partitions; partition += len(members) {
			topic.Partitions = append(topic.Partitions, int32(partition))
		}
		assignment := kmsg.NewConsumerMemberAssignment()
		assignment.Topics = append(assignment.Topics, topic)
		each := kmsg.NewSyncGroupRequestGroupAssignment()
		each.MemberID, each.MemberAssignment = member.MemberID, assignment.AppendTo(nil)
		made = append(made, each)
	}
	return made
}

func (c *crowd) heartbeatUntilRebalance(ctx context.Context, w *wire, id string, generation int32, number int) error {
	pause(ctx, c.beginsLater(number))
	for ctx.Err() == nil {
		request := kmsg.NewPtrHeartbeatRequest()
		request.Version, request.Group, request.MemberID, request.Generation = 4, c.group, id, generation
		answer, err := c.ask(ctx, w, request)
		if err != nil {
			return err
		}
		switch err := kerr.ErrorForCode(answer.(*kmsg.HeartbeatResponse).ErrorCode); err {
		case nil:
			pause(ctx, c.heartbeat)
		case kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID:
			return nil
		default:
			return err
		}
	}
	return nil
}

// liveConsumer heartbeats as often as the broker wants, and at once when it has something to tell.
func (c *crowd) liveConsumer(ctx context.Context, w *wire, number int) error {
	request := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	request.Version, request.Group, request.MemberID, request.RebalanceTimeoutMillis = 1, c.group, newID(), rebalanceMs
	request.SubscribedTopicNames = []string{c.topic}
	request.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for ctx.Err() == nil {
		answer, err := c.ask(ctx, w, request)
		if err != nil {
			return err
		}
		told := answer.(*kmsg.ConsumerGroupHeartbeatResponse)
		if err := kerr.ErrorForCode(told.ErrorCode); err != nil && !retriable(told.ErrorCode) {
			return err
		} else if err != nil {
			continue
		}
		full := kmsg.NewPtrConsumerGroupHeartbeatRequest() // what does not change is not told again
		full.Version, full.Group, full.MemberID, full.MemberEpoch = 1, c.group, request.MemberID, told.MemberEpoch
		full.RebalanceTimeoutMillis = -1
		request = full
		if told.Assignment == nil {
			c.note(number, told.MemberEpoch, c.owned(number))
			pause(ctx, time.Duration(told.HeartbeatIntervalMillis)*time.Millisecond)
			continue
		}
		request.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		share := 0
		for _, topic := range told.Assignment.Topics {
			owned := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			owned.TopicID, owned.Partitions = topic.TopicID, topic.Partitions
			request.Topics = append(request.Topics, owned)
			share += len(topic.Partitions)
		}
		c.note(number, told.MemberEpoch, share)
	}
	return nil
}

// newID is a member id as clients make them: 16 random bytes.
func newID() string {
	bytes := make([]byte, 16)
	_, _ = rand.Read(bytes)
	return base64.RawURLEncoding.EncodeToString(bytes)
}
