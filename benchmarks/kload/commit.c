/* Offset commits without membership: each connection has a group of its own, and commits an offset of every partition
 * in turn, one partition a request. The offsets of the last round are then asked for and compared. */
#include "commands.h"
#include "lanes.h"
#include "samples.h"
#include "system.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_NAME = 300,
    STEPS = 64, /* different offsets on a tape: a commit that changes nothing would be too easy */
};

static const char *group_of(const struct options *o, int lane, char *into) {
    snprintf(into, MAX_NAME, "%s-%d", o->topic, lane);
    return into;
}

static int32_t partition_of(const struct run *run, uint64_t request) {
    return (int32_t)(request % (uint64_t)run->options->partitions);
}

static int64_t offset_of(const struct lane *lane, uint64_t request) {
    return 1 + (int64_t)(request % lane->tape_requests);
}

static void record_tape(struct run *run, int index) {
    const struct options *o = run->options;
    struct lane *lane = &run->lanes[index];
    char group[MAX_NAME];
    size_t room = MAX_NAME + strlen(o->topic) + REQUEST_OVERHEAD, own = (size_t)o->partitions * STEPS;
    lane->tape_requests = own * tape_repeats(o, room, own);
    lane->tape = allocate(room * lane->tape_requests);
    uint8_t *at = lane->tape;
    for (size_t i = 0; i < lane->tape_requests; i++) {
        lane->request_size = write_offset_commit(at, (int32_t)i, group_of(o, index, group), o->topic,
                                                 partition_of(run, i), offset_of(lane, i));
        at += lane->request_size;
    }
}

static void check(struct run *run, int index, struct reader answer, int32_t correlation_id) {
    read_offset_committed(answer, correlation_id, run->options->topic,
                          partition_of(run, run->lanes[index].answered));
}

/* Asks on a connection of its own for what a lane committed last. */
static void verify_lane(const struct run *run, int index, uint8_t *buffer) {
    const struct options *o = run->options;
    const struct lane *lane = &run->lanes[index];
    char group[MAX_NAME];
    int socket = dial(o->host, o->port);
    uint64_t asked = lane->answered < (uint64_t)o->partitions ? lane->answered : (uint64_t)o->partitions;
    for (uint64_t request = lane->answered - asked; request < lane->answered; request++) {
        int32_t partition = partition_of(run, request);
        uint8_t frame[MAX_NAME + MAX_NAME + REQUEST_OVERHEAD];
        send_all(socket, frame, write_offset_fetch(frame, 1, group_of(o, index, group), o->topic, partition));
        size_t size = receive_frame(socket, buffer);
        int64_t found = read_offset_fetched((struct reader){buffer, buffer + size}, 1, o->topic, partition);
        if (found != offset_of(lane, request))
            fail("offset %lld of partition %d was committed last by %s, but %lld is there",
                 (long long)offset_of(lane, request), partition, group, (long long)found);
    }
}

void commit(const struct options *options) {
    struct run run = {.options = options, .check = check};
    run.lanes = allocate((size_t)options->connections * sizeof *run.lanes);
    for (int i = 0; i < options->connections; i++) {
        record_tape(&run, i);
        open_lane(&run.lanes[i], options);
    }
    run_lanes(&run);
    uint8_t *buffer = allocate(MAX_ANSWER);
    for (int i = 0; i < options->connections; i++)
        verify_lane(&run, i, buffer);
    printf("{\"seconds\": %.6f, \"requests\": %llu, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"client_cpu_s\": %.4f}\n",
           run.elapsed_s, (unsigned long long)run.answered, percentile_ms(&run.latencies, 0.5),
           percentile_ms(&run.latencies, 0.99), cpu_used_s());
}
