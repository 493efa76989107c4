/* Produce requests, a fixed number of them in flight on each connection; one thread, one poll loop.
 *
 * The requests of a connection are encoded once, one behind the other, on a tape. Sending is writing the tape over and
 * over; how far it may be written follows from the number of answers. Small requests therefore leave in large writes. */
#include "commands.h"
#include "samples.h"
#include "system.h"
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INBOX = 1 << 18,           /* bytes; answers are small */
    SMALL_REQUEST = 4096,      /* bytes; below this a tape holds several rounds of the partitions */
    MAX_SAMPLES = 4000000,
    DRAIN_S = 30,              /* for the last answers, after the end of the time */
};

struct lane {
    int socket;
    uint8_t *tape;
    size_t tape_requests, request_size;
    uint64_t bytes_sent, answered, begun; /* requests begun: those of which a byte was sent */
    bool blocked;                         /* the socket took less than it was given */
    int32_t first_partition, partition_step, own_partitions;
    int64_t *next_offset;                 /* at least this base offset is due, for each own partition */
    double *begun_at;                     /* ring of `depth` times */
    uint8_t *inbox;
    size_t inbox_used;
};

struct run {
    const struct options *options;
    struct lane *lanes;
    size_t batch_size;
    uint64_t request_limit; /* begun by all lanes; UINT64_MAX: no bound */
    uint64_t begun, answered;
    bool stopping;
    double last_answer_s;
    struct samples latencies;
};

static int32_t partition_of(const struct lane *lane, uint64_t request) {
    return lane->first_partition + lane->partition_step * (int32_t)(request % (uint64_t)lane->own_partitions);
}

/* Connection i has the partitions i, i + connections, ...; with fewer partitions than connections they share them. */
static void share_partitions(struct lane *lane, int index, const struct options *o) {
    lane->partition_step = o->connections;
    lane->first_partition = index % o->partitions;
    lane->own_partitions = (o->partitions - lane->first_partition + o->connections - 1) / o->connections;
    lane->next_offset = allocate((size_t)lane->own_partitions * sizeof *lane->next_offset);
}

static void record_tape(struct lane *lane, const struct options *o, const uint8_t *batch, size_t batch_size) {
    size_t room = batch_size + strlen(o->topic) + REQUEST_OVERHEAD;
    size_t own = (size_t)lane->own_partitions;
    size_t repeats = room < SMALL_REQUEST ? ((size_t)o->depth + own - 1) / own : 1;
    lane->tape_requests = own * repeats;
    lane->tape = allocate(room * lane->tape_requests);
    uint8_t *at = lane->tape;
    for (size_t i = 0; i < lane->tape_requests; i++) {
        lane->request_size =
            write_produce(at, (int32_t)i, o->topic, partition_of(lane, i), o->acks, batch, batch_size);
        at += lane->request_size;
    }
}

static void open_lane(struct lane *lane, int index, const struct options *o, const uint8_t *batch, size_t batch_size) {
    share_partitions(lane, index, o);
    record_tape(lane, o, batch, batch_size);
    lane->begun_at = allocate((size_t)o->depth * sizeof *lane->begun_at);
    lane->inbox = allocate(INBOX);
    lane->socket = dial(o->host, o->port);
    set_nonblocking(lane->socket);
}

/* Bytes that may be sent now: up to `depth` requests beyond the answers, and a request once begun is completed. */
static size_t allowance(const struct run *run, const struct lane *lane) {
    uint64_t until = lane->answered + (uint64_t)run->options->depth;
    if (run->stopping)
        until = lane->begun;
    else if (run->request_limit != UINT64_MAX && until > lane->begun + (run->request_limit - run->begun))
        until = lane->begun + (run->request_limit - run->begun);
    return (size_t)(until * lane->request_size - lane->bytes_sent);
}

static void note_begun(struct run *run, struct lane *lane, double at_s) {
    uint64_t begun = (lane->bytes_sent + lane->request_size - 1) / lane->request_size;
    for (; lane->begun < begun; lane->begun++, run->begun++)
        lane->begun_at[lane->begun % (uint64_t)run->options->depth] = at_s;
    if (run->begun >= run->request_limit)
        run->stopping = true;
}

static void send_some(struct run *run, struct lane *lane) {
    size_t tape_size = lane->tape_requests * lane->request_size, allowed;
    lane->blocked = false;
    while ((allowed = allowance(run, lane)) > 0) {
        size_t position = lane->bytes_sent % tape_size;
        size_t wanted = allowed < tape_size - position ? allowed : tape_size - position;
        double started_s = now_s();
        ssize_t sent = write(lane->socket, lane->tape + position, wanted);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            fail("sending: %s", strerror(errno));
        if (sent > 0) {
            lane->bytes_sent += (uint64_t)sent;
            note_begun(run, lane, started_s);
        }
        if (sent < 0 || (size_t)sent < wanted) {
            lane->blocked = true;
            return;
        }
    }
}

static void take_answer(struct run *run, struct lane *lane, struct reader answer, double at_s) {
    if (lane->answered == lane->begun)
        fail("an answer came that nothing asked for");
    uint64_t own = lane->answered % (uint64_t)lane->own_partitions;
    int32_t correlation_id = (int32_t)(lane->answered % lane->tape_requests);
    int64_t offset = read_produced(answer, correlation_id, run->options->topic, partition_of(lane, own));
    if (offset < lane->next_offset[own])
        fail("base offset %lld was assigned after %lld", (long long)offset, (long long)lane->next_offset[own]);
    lane->next_offset[own] = offset + run->options->records;
    samples_add(&run->latencies, at_s - lane->begun_at[lane->answered % (uint64_t)run->options->depth]);
    lane->answered++;
    run->answered++;
    run->last_answer_s = at_s;
}

static void receive_some(struct run *run, struct lane *lane) {
    ssize_t got = read(lane->socket, lane->inbox + lane->inbox_used, INBOX - lane->inbox_used);
    if (got == 0)
        fail("the broker closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        fail("receiving: %s", strerror(errno));
    if (got <= 0)
        return;
    lane->inbox_used += (size_t)got;
    size_t at = 0;
    double at_s = now_s();
    while (lane->inbox_used - at >= 4) {
        size_t size = load_u32(lane->inbox + at);
        if (size > INBOX - 4)
            fail("an answer of %zu bytes to Produce", size);
        if (lane->inbox_used - at < 4 + size)
            break;
        const uint8_t *frame = lane->inbox + at + 4;
        take_answer(run, lane, (struct reader){frame, frame + size}, at_s);
        at += 4 + size;
    }
    memmove(lane->inbox, lane->inbox + at, lane->inbox_used - at);
    lane->inbox_used -= at;
}

static bool finished(const struct run *run) {
    if (!run->stopping)
        return false;
    for (int i = 0; i < run->options->connections; i++)
        if (run->lanes[i].answered < run->lanes[i].begun)
            return false;
    return true;
}

static void serve_lanes(struct run *run, struct pollfd *polled) {
    int connections = run->options->connections;
    for (int i = 0; i < connections; i++)
        polled[i].events = (short)(POLLIN | (run->lanes[i].blocked ? POLLOUT : 0));
    if (poll(polled, (nfds_t)connections, 100) < 0 && errno != EINTR)
        fail("poll: %s", strerror(errno));
    for (int i = 0; i < connections; i++) {
        if (polled[i].revents & (POLLIN | POLLERR | POLLHUP))
            receive_some(run, &run->lanes[i]);
        send_some(run, &run->lanes[i]);
    }
}

static void report(struct run *run, double elapsed_s) {
    uint64_t sent_bytes = run->answered * run->batch_size;
    samples_sort(&run->latencies);
    printf("{\"seconds\": %.6f, \"requests\": %llu, \"records\": %llu, \"bytes\": %llu, \"p50_ms\": %.4f, "
           "\"p99_ms\": %.4f, \"client_cpu_s\": %.4f}\n",
           elapsed_s, (unsigned long long)run->answered,
           (unsigned long long)run->answered * (unsigned long long)run->options->records,
           (unsigned long long)sent_bytes, percentile_ms(&run->latencies, 0.5), percentile_ms(&run->latencies, 0.99),
           cpu_used_s());
}

void produce(const struct options *options) {
    struct run run = {.options = options, .request_limit = UINT64_MAX};
    uint8_t *batch = read_file(options->batch_path, &run.batch_size);
    if (options->max_bytes > 0)
        run.request_limit = ((uint64_t)options->max_bytes + run.batch_size - 1) / run.batch_size;
    run.lanes = allocate((size_t)options->connections * sizeof *run.lanes);
    struct pollfd *polled = allocate((size_t)options->connections * sizeof *polled);
    samples_open(&run.latencies, MAX_SAMPLES);
    for (int i = 0; i < options->connections; i++) {
        open_lane(&run.lanes[i], i, options, batch, run.batch_size);
        polled[i].fd = run.lanes[i].socket;
    }
    double started_s = now_s(), end_s = started_s + options->seconds;
    for (int i = 0; i < options->connections; i++)
        send_some(&run, &run.lanes[i]);
    while (!finished(&run)) {
        serve_lanes(&run, polled);
        double t = now_s();
        if (t >= end_s)
            run.stopping = true;
        if (t >= end_s + DRAIN_S)
            fail("requests were not answered within %d s", DRAIN_S);
    }
    report(&run, run.last_answer_s - started_s);
}
