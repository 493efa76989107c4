// kafkajs as program.js describes; it reads with consumer groups only, so here it does not read.

import kafkajs from 'kafkajs'
import { expect, run, settles } from './program.js'

const { CompressionTypes, Kafka, logLevel } = kafkajs
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }

const connect = bootstrap => new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.ERROR })

async function withAdmin (bootstrap, use) {
  const admin = connect(bootstrap).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

// kafkajs takes headers as an object in which a name that comes twice has a list.
function headersOf (headers) {
  const byName = {}
  for (const [name, value] of headers) {
    (byName[name.toString('utf8')] ??= []).push(value)
  }
  return byName
}

async function write (bootstrap, topic, codec, records) {
  const producer = connect(bootstrap).producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    const messages = records.map(record => ({ ...record, partition: 0, headers: headersOf(record.headers) }))
    const [{ baseOffset }] = await producer.send({ topic, messages, compression: CODECS[codec] })
    return records.map((_, index) => Number(baseOffset) + index)
  } finally {
    await producer.disconnect()
  }
}

const offsets = (bootstrap, topic) =>
  withAdmin(bootstrap, async admin => {
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    return [`${low} ${high}`]
  })

const admin = (bootstrap, topic) =>
  withAdmin(bootstrap, async admin => {
    const partitions = async () => {
      if (!(await admin.listTopics()).includes(topic)) return 0
      return (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
    }
    const configEntries = [{ name: 'retention.ms', value: '123456' }]
    expect(await admin.createTopics({ topics: [{ topic, numPartitions: 3, configEntries }] }), 'created')
    expect(!(await admin.createTopics({ topics: [{ topic }] })), 'not created twice')
    await settles(partitions, 3)
    const described = await admin.describeConfigs({ resources: [{ type: 2, name: topic, configNames: ['retention.ms'] }] })
    expect(described.resources[0].configEntries[0].configValue === '123456', 'its config is described')
    expect((await admin.describeCluster()).brokers.length === 1, 'a cluster of one node')
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    await settles(partitions, 5)
    await admin.deleteTopics({ topics: [topic] })
    await settles(partitions, 0)
  })

await run({ write, offsets, admin })
