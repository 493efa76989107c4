/* Kafka's protocol as far as the load generator speaks it: Produce v7, Fetch v11, OffsetCommit v7 and OffsetFetch v5,
 * none of them a flexible version, and the header of record batch v2. Integers are big endian. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    PRODUCE = 0, PRODUCE_VERSION = 7,  /* the first that takes zstd */
    FETCH = 1, FETCH_VERSION = 11,
    OFFSET_COMMIT = 8, OFFSET_COMMIT_VERSION = 7,
    OFFSET_FETCH = 9, OFFSET_FETCH_VERSION = 5,
    BATCH_HEADER = 61,
    BATCH_SET_BY_BROKER = 16,          /* base offset, length and leader epoch: all before the magic byte */
    BATCH_PREFIX = 12,                 /* base offset and length: not counted by the length field */
    REQUEST_OVERHEAD = 512,            /* room for everything in a request but names and batch */
};

/* A request under construction; the caller has made room for it. */
struct writer {
    uint8_t *start, *at;
};

/* An answer being read; running over its end fails the program. */
struct reader {
    const uint8_t *at, *end;
};

/* One batch inside an answer. `bytes` is the whole of it, header included. */
struct batch {
    const uint8_t *bytes;
    size_t size;
    int64_t base_offset;
    int32_t records;
};

/* What Fetch said about the one partition asked for. Batches may end in the middle of one. */
struct fetched {
    int64_t high_watermark;
    struct reader batches;
};

/* All return the size of the frame written at `into`, its 4 bytes of length included. */
size_t write_produce(uint8_t *into, int32_t correlation_id, const char *topic, int32_t partition, int16_t acks,
                     const uint8_t *batch, size_t batch_size);
size_t write_fetch(uint8_t *into, int32_t correlation_id, const char *topic, int32_t partition, int64_t offset,
                   int32_t partition_max_bytes, int32_t max_wait_ms);

/* A commit by nobody: generation -1, no member id, as for a group that assigns partitions by hand. */
size_t write_offset_commit(uint8_t *into, int32_t correlation_id, const char *group, const char *topic,
                           int32_t partition, int64_t offset);
size_t write_offset_fetch(uint8_t *into, int32_t correlation_id, const char *group, const char *topic,
                          int32_t partition);

/* The base offset that Produce was answered with. Any error code, other topic or partition fails the program. */
int64_t read_produced(struct reader answer, int32_t correlation_id, const char *topic, int32_t partition);
struct fetched read_fetched(struct reader answer, int32_t correlation_id, const char *topic, int32_t partition);

void read_offset_committed(struct reader answer, int32_t correlation_id, const char *topic, int32_t partition);
int64_t read_offset_fetched(struct reader answer, int32_t correlation_id, const char *topic, int32_t partition);

/* Takes the next whole batch; 0 when there is none. A batch that is not version 2 fails the program. */
int next_batch(struct reader *batches, struct batch *found);

uint32_t load_u32(const uint8_t *from);
