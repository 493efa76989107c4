// kafkajs's calls for the steps of steps.js.

import kafkajs from 'kafkajs'
import { lastOnes, runSteps } from './steps.js'

const { Kafka, logLevel } = kafkajs
const HEARTBEAT_MS = 200 // so that a member hears of a rebalance soon

const kafka = new Kafka({ clientId: 'kafkajs', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })

function byTopic (messages) {
  const topics = new Map()
  for (const { topic, ...message } of messages) {
    if (!topics.has(topic)) topics.set(topic, [])
    topics.get(topic).push(message)
  }
  return [...topics].map(([topic, messages]) => ({ topic, messages }))
}

async function withAdmin (use) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

const createTopic = (topic, numPartitions) =>
  withAdmin(admin => admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: true }))

const committed = (groupId, topic, partitions) =>
  withAdmin(async admin => {
    const [found] = await admin.fetchOffsets({ groupId, topics: [topic] })
    return Object.fromEntries(found.partitions.filter(({ partition }) => partitions.includes(partition)).map(({ partition, offset }) => [partition, Number(offset)]))
  })

async function write (topic, messages) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  await producer.sendBatch({ topicMessages: byTopic(messages) })
  await producer.disconnect()
}

async function producer (transactionalId) {
  const producer = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  return {
    async begin () {
      const transaction = await producer.transaction()
      return {
        send: messages => transaction.sendBatch({ topicMessages: byTopic(messages) }),
        sendOffsets: (member, records) => transaction.sendOffsets({
          consumerGroupId: member.group,
          topics: [{ topic: member.topic, partitions: member.offsets(records).map(({ partition, offset }) => ({ partition, offset })) }]
        }),
        commit: () => transaction.commit(),
        abort: () => transaction.abort()
      }
    },
    close: () => producer.disconnect()
  }
}

async function member (topic, group, { isolation }) {
  const consumer = kafka.consumer({
    groupId: group,
    heartbeatInterval: HEARTBEAT_MS,
    maxWaitTimeInMs: 100,
    readUncommitted: isolation === 'read_uncommitted',
    retry: { restartOnFailure: async () => false }
  })
  let owned = []
  const member = { topic, group, queue: [], failure: null, owned: () => owned }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => { owned = payload.memberAssignment[topic] ?? [] })
  consumer.on(consumer.events.REBALANCING, () => { owned = [] })
  consumer.on(consumer.events.CRASH, ({ payload }) => { member.failure = payload.error })
  member.offsets = records => lastOnes(records).map(({ partition, offset }) => ({ topic, partition, offset: String(offset + 1) }))
  member.commit = records => consumer.commitOffsets(member.offsets(records))
  member.close = () => consumer.disconnect()
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      member.queue.push({ partition, offset: Number(message.offset), value: message.value.toString() })
    }
  })
  return member
}

await runSteps({ createTopic, committed, write, producer, member })
