/* Produce requests to partitions that the connections share; what must come back is known of every one of them. */
#include "commands.h"
#include "lanes.h"
#include "samples.h"
#include "system.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

/* The partitions of one lane. */
struct share {
    int32_t first_partition, partition_step, own_partitions;
    int64_t *next_offset; /* at least this base offset is due, for each own partition */
};

static int32_t partition_of(const struct share *share, uint64_t request) {
    return share->first_partition + share->partition_step * (int32_t)(request % (uint64_t)share->own_partitions);
}

/* Connection i has the partitions i, i + connections, ...; with fewer partitions than connections they share them. */
static void share_partitions(struct share *share, int index, const struct options *o) {
    share->partition_step = o->connections;
    share->first_partition = index % o->partitions;
    share->own_partitions = (o->partitions - share->first_partition + o->connections - 1) / o->connections;
    share->next_offset = allocate((size_t)share->own_partitions * sizeof *share->next_offset);
}

static void record_tape(struct lane *lane, const struct share *share, const struct options *o, const uint8_t *batch,
                        size_t batch_size) {
    size_t room = batch_size + strlen(o->topic) + REQUEST_OVERHEAD;
    size_t own = (size_t)share->own_partitions;
    lane->tape_requests = own * tape_repeats(o, room, own);
    lane->tape = allocate(room * lane->tape_requests);
    uint8_t *at = lane->tape;
    for (size_t i = 0; i < lane->tape_requests; i++) {
        lane->request_size =
            write_produce(at, (int32_t)i, o->topic, partition_of(share, i), o->acks, batch, batch_size);
        at += lane->request_size;
    }
}

static void check(struct run *run, int index, struct reader answer, int32_t correlation_id) {
    struct share *share = (struct share *)run->load + index;
    uint64_t own = run->lanes[index].answered % (uint64_t)share->own_partitions;
    int64_t offset = read_produced(answer, correlation_id, run->options->topic, partition_of(share, own));
    if (offset < share->next_offset[own])
        fail("base offset %lld was assigned after %lld", (long long)offset, (long long)share->next_offset[own]);
    share->next_offset[own] = offset + run->options->records;
}

static void report(const struct run *run, size_t batch_size) {
    printf("{\"seconds\": %.6f, \"requests\": %llu, \"records\": %llu, \"bytes\": %llu, \"p50_ms\": %.4f, "
           "\"p99_ms\": %.4f, \"client_cpu_s\": %.4f}\n",
           run->elapsed_s, (unsigned long long)run->answered,
           (unsigned long long)run->answered * (unsigned long long)run->options->records,
           (unsigned long long)run->answered * (unsigned long long)batch_size,
           percentile_ms(&run->latencies, 0.5), percentile_ms(&run->latencies, 0.99), cpu_used_s());
}

void produce(const struct options *options) {
    size_t batch_size, connections = (size_t)options->connections;
    uint8_t *batch = read_file(options->batch_path, &batch_size);
    struct share *shares = allocate(connections * sizeof *shares);
    struct run run = {.options = options, .load = shares, .check = check};
    if (options->max_bytes > 0)
        run.request_limit = ((uint64_t)options->max_bytes + batch_size - 1) / batch_size;
    run.lanes = allocate(connections * sizeof *run.lanes);
    for (size_t i = 0; i < connections; i++) {
        share_partitions(&shares[i], (int)i, options);
        record_tape(&run.lanes[i], &shares[i], options, batch, batch_size);
        open_lane(&run.lanes[i], options);
    }
    run_lanes(&run);
    report(&run, batch_size);
}
