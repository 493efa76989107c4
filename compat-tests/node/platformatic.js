// @platformatic/kafka as program.js describes. Its consumer streams with groups only; reading is by its `fetch` call.

import { Admin, Consumer, Producer } from '@platformatic/kafka'
import './node20.js'
import { expect, formatRecord, run, settles } from './program.js'

const PARTITION_MAX_BYTES = 1 << 20

const options = bootstrap => ({ clientId: 'platformatic', bootstrapBrokers: [bootstrap] })

async function closing (client, use) {
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

const write = (bootstrap, topic, codec, records) =>
  closing(new Producer({ ...options(bootstrap), idempotent: true, autocreateTopics: true }), async producer => {
    const messages = records.map(({ timestamp, key, value, headers }) => ({
      topic,
      partition: 0,
      timestamp: BigInt(timestamp),
      key: key ?? undefined,
      value: value ?? undefined,
      headers: new Map(headers)
    }))
    const { offsets } = await producer.send({ messages, compression: codec, acks: -1 })
    return records.map((_, index) => offsets[0].offset + BigInt(index))
  })

const read = (bootstrap, topic, count) =>
  closing(new Consumer({ ...options(bootstrap), groupId: 'unused' }), async consumer => {
    const metadata = await consumer.metadata({ topics: [topic] })
    const { id, partitions } = metadata.topics.get(topic)
    const lines = []
    let fetchOffset = 0n
    while (lines.length < count) {
      const wanted = { partition: 0, currentLeaderEpoch: -1, fetchOffset, lastFetchedEpoch: -1, partitionMaxBytes: PARTITION_MAX_BYTES }
      const answer = await consumer.fetch({
        node: partitions[0].leader,
        topics: [{ topicId: id, partitions: [wanted] }],
        maxWaitTime: 30_000
      })
      const batches = answer.responses[0]?.partitions[0]?.records ?? []
      expect(batches.length > 0, `more than ${lines.length} of ${count} records`)
      for (const batch of batches) {
        for (const record of batch.records) {
          const timestamp = batch.firstTimestamp + record.timestampDelta
          if (batch.firstOffset + BigInt(record.offsetDelta) >= fetchOffset) {
            lines.push(formatRecord({ ...record, timestamp, headers: record.headers }))
          }
        }
        fetchOffset = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n
      }
    }
    return lines.slice(0, count)
  })

const offsets = (bootstrap, topic) =>
  closing(new Consumer({ ...options(bootstrap), groupId: 'unused' }), async consumer => {
    const low = await consumer.listOffsets({ topics: [topic], timestamp: -2n })
    const high = await consumer.listOffsets({ topics: [topic], timestamp: -1n })
    return [`${low.get(topic)[0]} ${high.get(topic)[0]}`]
  })

const admin = (bootstrap, topic) =>
  closing(new Admin(options(bootstrap)), async admin => {
    const partitions = async () => {
      if (!(await admin.listTopics()).includes(topic)) return 0
      return (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic).partitionsCount
    }
    const configs = [{ name: 'retention.ms', value: '123456' }]
    const [created] = await admin.createTopics({ topics: [topic], partitions: 3, replicas: 1, configs })
    expect(created.partitions === 3, 'created with 3 partitions')
    const again = await admin.createTopics({ topics: [topic], partitions: 3, replicas: 1 }).catch(error => error)
    expect(again instanceof Error, 'not created twice')
    await settles(partitions, 3)
    await admin.createPartitions({ topics: [{ name: topic, count: 5 }] })
    await settles(partitions, 5)
    await admin.deleteTopics({ topics: [topic] })
    await settles(partitions, 0)
  })

await run({ write, read, offsets, admin })
