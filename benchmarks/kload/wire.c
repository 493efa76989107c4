#include "wire.h"

#include "system.h"

#include <endian.h>
#include <string.h>

#define CLIENT_ID "kload"

uint32_t load_u32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return be32toh(value);
}

/* -- writing -- */

static void put(struct writer *w, const void *bytes, size_t size) {
    memcpy(w->at, bytes, size);
    w->at += size;
}

static void put_i8(struct writer *w, int8_t value) { put(w, &value, 1); }

static void put_i16(struct writer *w, int16_t value) {
    uint16_t big = htobe16((uint16_t)value);
    put(w, &big, sizeof big);
}

static void put_i32(struct writer *w, int32_t value) {
    uint32_t big = htobe32((uint32_t)value);
    put(w, &big, sizeof big);
}

static void put_i64(struct writer *w, int64_t value) {
    uint64_t big = htobe64((uint64_t)value);
    put(w, &big, sizeof big);
}

static void put_string(struct writer *w, const char *text) {
    size_t size = strlen(text);
    put_i16(w, (int16_t)size);
    put(w, text, size);
}

static struct writer start_request(uint8_t *into, int16_t key, int16_t version, int32_t correlation_id) {
    struct writer w = {into, into};
    put_i32(&w, 0); /* the length; known at the end */
    put_i16(&w, key);
    put_i16(&w, version);
    put_i32(&w, correlation_id);
    put_string(&w, CLIENT_ID);
    return w;
}

static size_t end_request(struct writer *w) {
    size_t size = (size_t)(w->at - w->start);
    w->at = w->start;
    put_i32(w, (int32_t)(size - 4));
    return size;
}

size_t write_produce(uint8_t *into, int32_t correlation_id, const char *topic, int32_t partition, int16_t acks,
                     const uint8_t *batch, size_t batch_size) {
    struct writer w = start_request(into, PRODUCE, PRODUCE_VERSION, correlation_id);
    put_i16(&w, -1); /* no transactional id */
    put_i16(&w, acks);
    put_i32(&w, 30000); /* timeout_ms */
    put_i32(&w, 1);
    put_string(&w, topic);
    put_i32(&w, 1);
    put_i32(&w, partition);
    put_i32(&w, (int32_t)batch_size);
    put(&w, batch, batch_size);
    return end_request(&w);
}

size_t write_fetch(uint8_t *into, int32_t correlation_id, const char *topic, int32_t partition, int64_t offset,
                   int32_t partition_max_bytes, int32_t max_wait_ms) {
    struct writer w = start_request(into, FETCH, FETCH_VERSION, correlation_id);
    put_i32(&w, -1); /* not a replica */
    put_i32(&w, max_wait_ms);
    put_i32(&w, 1); /* min_bytes */
    put_i32(&w, 50 << 20); /* max_bytes: the partition's limit decides */
    put_i8(&w, 0); /* read uncommitted */
    put_i32(&w, 0); /* session id 0 and epoch -1: a full fetch without a session */
    put_i32(&w, -1);
    put_i32(&w, 1);
    put_string(&w, topic);
    put_i32(&w, 1);
    put_i32(&w, partition);
    put_i32(&w, -1); /* leader epoch unknown */
    put_i64(&w, offset);
    put_i64(&w, -1); /* log start offset: for replicas */
    put_i32(&w, partition_max_bytes);
    put_i32(&w, 0); /* no topics forgotten */
    put_string(&w, ""); /* rack */
    return end_request(&w);
}

size_t write_offset_commit(uint8_t *into, int32_t correlation_id, const char *group, const char *topic,
                           int32_t partition, int64_t offset) {
    struct writer w = start_request(into, OFFSET_COMMIT, OFFSET_COMMIT_VERSION, correlation_id);
    put_string(&w, group);
    put_i32(&w, -1);     /* no generation */
    put_string(&w, "");  /* no member id */
    put_i16(&w, -1);     /* no group instance id */
    put_i32(&w, 1);
    put_string(&w, topic);
    put_i32(&w, 1);
    put_i32(&w, partition);
    put_i64(&w, offset);
    put_i32(&w, -1);     /* leader epoch unknown */
    put_string(&w, "");  /* metadata */
    return end_request(&w);
}

size_t write_offset_fetch(uint8_t *into, int32_t correlation_id, const char *group, const char *topic,
                          int32_t partition) {
    struct writer w = start_request(into, OFFSET_FETCH, OFFSET_FETCH_VERSION, correlation_id);
    put_string(&w, group);
    put_i32(&w, 1);
    put_string(&w, topic);
    put_i32(&w, 1);
    put_i32(&w, partition);
    return end_request(&w);
}

/* -- reading -- */

static const uint8_t *take(struct reader *r, size_t size) {
    if ((size_t)(r->end - r->at) < size)
        fail("an answer ends %zu bytes too early", size - (size_t)(r->end - r->at));
    const uint8_t *bytes = r->at;
    r->at += size;
    return bytes;
}

static int16_t take_i16(struct reader *r) {
    uint16_t value;
    memcpy(&value, take(r, sizeof value), sizeof value);
    return (int16_t)be16toh(value);
}

static int32_t take_i32(struct reader *r) { return (int32_t)load_u32(take(r, 4)); }

static int64_t take_i64(struct reader *r) {
    uint64_t value;
    memcpy(&value, take(r, sizeof value), sizeof value);
    return (int64_t)be64toh(value);
}

static void expect_i32(struct reader *r, int32_t expected, const char *what) {
    int32_t found = take_i32(r);
    if (found != expected)
        fail("%s is %d in an answer, expected %d", what, found, expected);
}

static void expect_string(struct reader *r, const char *expected) {
    int16_t size = take_i16(r);
    const uint8_t *text = take(r, size < 0 ? 0 : (size_t)size);
    if ((size_t)size != strlen(expected) || memcmp(text, expected, (size_t)size) != 0)
        fail("an answer is about topic %.*s, expected %s", size < 0 ? 0 : size, (const char *)text, expected);
}

static void expect_no_error(struct reader *r, const char *api) {
    int16_t error_code = take_i16(r);
    if (error_code != 0)
        fail("%s was answered with error code %d", api, error_code);
}

int64_t read_produced(struct reader answer, int32_t correlation_id, const char *topic, int32_t partition) {
    expect_i32(&answer, correlation_id, "the correlation id");
    expect_i32(&answer, 1, "the number of topics");
    expect_string(&answer, topic);
    expect_i32(&answer, 1, "the number of partitions");
    expect_i32(&answer, partition, "the partition");
    expect_no_error(&answer, "Produce");
    return take_i64(&answer);
}

/* The beginning that answers about offsets share: throttle time, then one partition of one topic. */
static void expect_partition(struct reader *answer, int32_t correlation_id, const char *topic, int32_t partition) {
    expect_i32(answer, correlation_id, "the correlation id");
    take_i32(answer); /* throttle time */
    expect_i32(answer, 1, "the number of topics");
    expect_string(answer, topic);
    expect_i32(answer, 1, "the number of partitions");
    expect_i32(answer, partition, "the partition");
}

void read_offset_committed(struct reader answer, int32_t correlation_id, const char *topic, int32_t partition) {
    expect_partition(&answer, correlation_id, topic, partition);
    expect_no_error(&answer, "OffsetCommit");
}

int64_t read_offset_fetched(struct reader answer, int32_t correlation_id, const char *topic, int32_t partition) {
    expect_partition(&answer, correlation_id, topic, partition);
    int64_t offset = take_i64(&answer);
    take_i32(&answer); /* leader epoch */
    int16_t metadata = take_i16(&answer);
    take(&answer, metadata > 0 ? (size_t)metadata : 0);
    expect_no_error(&answer, "OffsetFetch of the partition");
    expect_no_error(&answer, "OffsetFetch");
    return offset;
}

struct fetched read_fetched(struct reader answer, int32_t correlation_id, const char *topic, int32_t partition) {
    struct fetched found;
    expect_i32(&answer, correlation_id, "the correlation id");
    take_i32(&answer); /* throttle time */
    expect_no_error(&answer, "Fetch");
    take_i32(&answer); /* session id: the broker may offer one */
    expect_i32(&answer, 1, "the number of topics");
    expect_string(&answer, topic);
    expect_i32(&answer, 1, "the number of partitions");
    expect_i32(&answer, partition, "the partition");
    expect_no_error(&answer, "Fetch of the partition");
    found.high_watermark = take_i64(&answer);
    take(&answer, 16); /* last stable offset, log start offset */
    int32_t aborted = take_i32(&answer);
    take(&answer, aborted > 0 ? 16 * (size_t)aborted : 0);
    take_i32(&answer); /* preferred read replica */
    int32_t size = take_i32(&answer);
    found.batches.at = take(&answer, size > 0 ? (size_t)size : 0);
    found.batches.end = answer.at;
    return found;
}

int next_batch(struct reader *batches, struct batch *found) {
    size_t left = (size_t)(batches->end - batches->at);
    if (left < BATCH_HEADER)
        return 0;
    size_t size = BATCH_PREFIX + (size_t)load_u32(batches->at + 8);
    if (batches->at[16] != 2 || size < BATCH_HEADER)
        fail("magic %d or size %zu is not that of a record batch", batches->at[16], size);
    if (size > left)
        return 0;
    struct reader header = *batches;
    found->base_offset = take_i64(&header);
    found->records = (int32_t)load_u32(batches->at + 57);
    found->bytes = batches->at;
    found->size = size;
    batches->at += size;
    return 1;
}
