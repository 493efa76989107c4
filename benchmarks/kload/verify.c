/* Reads partitions back. Each batch must be the one that was sent, byte for byte but for what a broker sets (base
 * offset and leader epoch), and offsets must run from 0 without a gap. Of a partition larger than its share of
 * --max-bytes, the first and the last half of that share are read. */
#include "commands.h"
#include "system.h"
#include "wire.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { FIXED_REQUEST = 1024, FETCH_BYTES = 8 << 20 };

struct check {
    const struct options *options;
    const uint8_t *batch;
    size_t batch_size;
    int socket;
    uint8_t *buffer;
    uint64_t compared; /* bytes */
};

static struct fetched fetch_at(struct check *c, int32_t partition, int64_t offset) {
    uint8_t request[FIXED_REQUEST];
    send_all(c->socket, request, write_fetch(request, 3, c->options->topic, partition, offset, FETCH_BYTES, 0));
    size_t size = receive_frame(c->socket, c->buffer);
    return read_fetched((struct reader){c->buffer, c->buffer + size}, 3, c->options->topic, partition);
}

static void compare(struct check *c, const struct batch *batch, int64_t offset) {
    if (batch->base_offset != offset)
        fail("a batch begins at offset %lld, expected %lld", (long long)batch->base_offset, (long long)offset);
    if (batch->size != c->batch_size ||
        memcmp(batch->bytes + BATCH_SET_BY_BROKER, c->batch + BATCH_SET_BY_BROKER,
               c->batch_size - BATCH_SET_BY_BROKER) != 0)
        fail("the batch at offset %lld is not the one that was sent", (long long)offset);
    c->compared += batch->size;
}

/* Compares from `offset`, which begins a batch, at least to `end`. */
static void compare_range(struct check *c, int32_t partition, int64_t offset, int64_t end) {
    while (offset < end) {
        struct fetched found = fetch_at(c, partition, offset);
        struct batch batch;
        int64_t before = offset;
        while (next_batch(&found.batches, &batch)) {
            compare(c, &batch, offset);
            offset += batch.records;
        }
        if (offset == before)
            fail("Fetch at offset %lld of %lld brought no batch", (long long)offset, (long long)end);
    }
}

static int64_t check_partition(struct check *c, int32_t partition, uint64_t budget) {
    int64_t end = fetch_at(c, partition, 0).high_watermark;
    int64_t batches = end / c->options->records;
    int64_t half = (int64_t)(budget / 2 / c->batch_size) + 1;
    bool whole = batches <= 2 * half;
    if (end % c->options->records != 0)
        fail("partition %d ends at offset %lld, in the middle of a batch", partition, (long long)end);
    compare_range(c, partition, 0, (whole ? batches : half) * c->options->records);
    if (!whole)
        compare_range(c, partition, (batches - half) * c->options->records, end);
    return end;
}

void verify(const struct options *options) {
    struct check c = {.options = options, .buffer = allocate(MAX_ANSWER)};
    uint64_t budget = options->max_bytes > 0 ? (uint64_t)(options->max_bytes / options->partitions) : UINT64_MAX;
    uint64_t records = 0;
    c.batch = read_file(options->batch_path, &c.batch_size);
    c.socket = dial(options->host, options->port);
    for (int32_t i = 0; i < options->partitions; i++)
        records += (uint64_t)check_partition(&c, i, budget);
    printf("{\"records\": %llu, \"compared_bytes\": %llu}\n", (unsigned long long)records,
           (unsigned long long)c.compared);
}
