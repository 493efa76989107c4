/* Fetch requests, one in flight on each connection, one thread each. At the end of the partition it starts over. */
#include "commands.h"
#include "system.h"
#include "wire.h"

#include <pthread.h>
#include <stdio.h>

enum { MAX_WAIT_MS = 500, FIXED_REQUEST = 1024 };

struct reading {
    const struct options *options;
    int32_t partition;
    double from; /* which part of the log was read before the first lap, in [0, 1) */
    double end_s;
    uint64_t requests, records, bytes;
};

static int64_t read_batches(struct reading *reading, struct reader batches, int64_t offset) {
    int64_t next = -1;
    struct batch batch;
    while (next_batch(&batches, &batch)) {
        if (next < 0 ? batch.base_offset > offset : batch.base_offset != next)
            fail("a batch begins at offset %lld, expected %lld", (long long)batch.base_offset,
                 (long long)(next < 0 ? offset : next));
        next = batch.base_offset + batch.records;
        reading->records += (uint64_t)batch.records;
        reading->bytes += batch.size; /* whole batches: a cut one at the end is of no use */
    }
    if (next <= offset)
        fail("Fetch at offset %lld brought no whole batch that holds it", (long long)offset);
    return next;
}

static struct fetched fetch_once(struct reading *reading, int socket, uint8_t *buffer, int64_t offset) {
    const struct options *o = reading->options;
    uint8_t request[FIXED_REQUEST];
    size_t size = write_fetch(request, 1, o->topic, reading->partition, offset, o->fetch_bytes, MAX_WAIT_MS);
    send_all(socket, request, size);
    size = receive_frame(socket, buffer);
    return read_fetched((struct reader){buffer, buffer + size}, 1, o->topic, reading->partition);
}

static void *read_over_and_over(void *argument) {
    struct reading *reading = argument;
    uint8_t *buffer = allocate(MAX_ANSWER);
    int socket = dial(reading->options->host, reading->options->port);
    struct fetched found = fetch_once(reading, socket, buffer, 0);
    int64_t offset = (int64_t)(reading->from * (double)found.high_watermark);
    if (found.high_watermark == 0)
        fail("partition %d is empty", reading->partition);
    while (now_s() < reading->end_s) {
        found = fetch_once(reading, socket, buffer, offset);
        offset = read_batches(reading, found.batches, offset);
        if (offset >= found.high_watermark)
            offset = 0;
        reading->requests++;
    }
    return NULL;
}

void fetch(const struct options *options) {
    int connections = options->connections;
    pthread_t *threads = allocate((size_t)connections * sizeof *threads);
    struct reading *readings = allocate((size_t)connections * sizeof *readings);
    double started_s = now_s();
    for (int i = 0; i < connections; i++) {
        readings[i] = (struct reading){.options = options, .partition = i % options->partitions,
                                       .from = (double)i / connections, .end_s = started_s + options->seconds};
        if (pthread_create(&threads[i], NULL, read_over_and_over, &readings[i]) != 0)
            fail("no thread %d", i);
    }
    struct reading all = {0};
    for (int i = 0; i < connections; i++) {
        pthread_join(threads[i], NULL);
        all.requests += readings[i].requests;
        all.records += readings[i].records;
        all.bytes += readings[i].bytes;
    }
    printf("{\"seconds\": %.6f, \"requests\": %llu, \"records\": %llu, \"bytes\": %llu, \"client_cpu_s\": %.4f}\n",
           now_s() - started_s, (unsigned long long)all.requests, (unsigned long long)all.records,
           (unsigned long long)all.bytes, cpu_used_s());
}
