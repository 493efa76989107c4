/* End to end: one thread produces a record now and then, another waits for it in a long poll.
 *
 * Times of sending are written before the record is, and read after it has arrived, so that the two threads need no
 * lock: the sockets order them. The first tenth warms up and is not counted. */
#include "commands.h"
#include "samples.h"
#include "system.h"
#include "wire.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WAIT_MS = 500, FIXED_REQUEST = 1024, WARM_UP_PART = 10 };

struct meeting {
    const struct options *options;
    uint8_t *buffer;     /* the consumer's */
    int consumer;        /* its socket */
    int64_t first;       /* offset of the first record sent */
    double *sent_s, *arrived_s, *acked_s;
};

static struct fetched poll_once(struct meeting *m, int64_t offset, int32_t max_wait_ms) {
    uint8_t request[FIXED_REQUEST];
    const struct options *o = m->options;
    send_all(m->consumer, request, write_fetch(request, 1, o->topic, 0, offset, o->fetch_bytes, max_wait_ms));
    size_t size = receive_frame(m->consumer, m->buffer);
    return read_fetched((struct reader){m->buffer, m->buffer + size}, 1, o->topic, 0);
}

static void *consume(void *argument) {
    struct meeting *m = argument;
    int64_t offset = m->first, end = m->first + m->options->count;
    while (offset < end) {
        struct fetched found = poll_once(m, offset, MAX_WAIT_MS);
        double at_s = now_s();
        struct batch batch;
        while (next_batch(&found.batches, &batch)) {
            if (batch.base_offset != offset || batch.records != 1)
                fail("offset %lld came where %lld was due", (long long)batch.base_offset, (long long)offset);
            if (offset < end)
                m->arrived_s[offset - m->first] = at_s;
            offset++;
        }
    }
    return NULL;
}

static void produce_at_intervals(struct meeting *m) {
    const struct options *o = m->options;
    size_t batch_size;
    uint8_t *batch = read_file(o->batch_path, &batch_size);
    uint8_t *request = allocate(batch_size + strlen(o->topic) + REQUEST_OVERHEAD), *answer = allocate(MAX_ANSWER);
    size_t size = write_produce(request, 7, o->topic, 0, o->acks, batch, batch_size);
    int socket = dial(o->host, o->port);
    double due_s = now_s();
    for (int i = 0; i < o->count; i++) {
        sleep_until(due_s);
        m->sent_s[i] = now_s();
        send_all(socket, request, size);
        size_t got = receive_frame(socket, answer);
        m->acked_s[i] = now_s();
        int64_t offset = read_produced((struct reader){answer, answer + got}, 7, o->topic, 0);
        if (offset != m->first + i)
            fail("record %d got offset %lld", i, (long long)offset);
        due_s += o->interval_ms / 1e3;
        if (due_s < m->acked_s[i])
            due_s = m->acked_s[i];
    }
}

static void print_percentiles(const struct meeting *m) {
    struct samples arrivals, acks;
    samples_open(&arrivals, (size_t)m->options->count);
    samples_open(&acks, (size_t)m->options->count);
    for (int i = m->options->count / WARM_UP_PART; i < m->options->count; i++) {
        samples_add(&arrivals, m->arrived_s[i] - m->sent_s[i]);
        samples_add(&acks, m->acked_s[i] - m->sent_s[i]);
    }
    samples_sort(&arrivals);
    samples_sort(&acks);
    printf("{\"records\": %zu, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"max_ms\": %.4f, \"ack_p50_ms\": %.4f, "
           "\"ack_p99_ms\": %.4f}\n",
           arrivals.count, percentile_ms(&arrivals, 0.5), percentile_ms(&arrivals, 0.99), percentile_ms(&arrivals, 1),
           percentile_ms(&acks, 0.5), percentile_ms(&acks, 0.99));
}

void latency(const struct options *options) {
    size_t times = (size_t)options->count * sizeof(double);
    struct meeting m = {.options = options, .buffer = allocate(MAX_ANSWER), .sent_s = allocate(times),
                        .arrived_s = allocate(times), .acked_s = allocate(times)};
    if (options->records != 1)
        fail("latency needs a batch of one record");
    m.consumer = dial(options->host, options->port);
    m.first = poll_once(&m, 0, 0).high_watermark;
    pthread_t consumer;
    if (pthread_create(&consumer, NULL, consume, &m) != 0)
        fail("no thread");
    produce_at_intervals(&m);
    pthread_join(consumer, NULL);
    print_percentiles(&m);
}
