// @platformatic/kafka's calls for the steps of steps.js.

import { Admin, Consumer, Producer } from '@platformatic/kafka'
import './node20.js'
import { lastOnes, runSteps } from './steps.js'

const HEARTBEAT_MS = 200 // so that a member hears of a rebalance soon
const SESSION_MS = 10_000
const READ_UNCOMMITTED = 0
const READ_COMMITTED = 1
const WITHOUT_ID = { producerId: -1n, producerEpoch: -1 } // its own default, id 0, is refused for a known transactional id

const options = { clientId: 'platformatic', bootstrapBrokers: [process.argv[2]] }

async function closing (client, use) {
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

const encoded = messages => messages.map(({ value, ...message }) => ({ ...message, value: Buffer.from(value) }))

const createTopic = (topic, partitions) =>
  closing(new Admin(options), admin => admin.createTopics({ topics: [topic], partitions, replicas: 1 }))

const committed = (groupId, topic, partitions) =>
  closing(new Consumer({ ...options, groupId }), async consumer => {
    const offsets = await consumer.listCommittedOffsets({ topics: [{ topic, partitions }] })
    return Object.fromEntries(offsets.get(topic).map((offset, partition) => [partition, Number(offset)]))
  })

const write = (topic, messages) =>
  closing(new Producer({ ...options, idempotent: true }), producer => producer.send({ messages: encoded(messages), acks: -1 }))

async function producer (transactionalId) {
  const producer = new Producer({ ...options, transactionalId, idempotent: true, ...WITHOUT_ID })
  return {
    async begin () {
      const transaction = await producer.beginTransaction()
      return {
        send: messages => transaction.send({ messages: encoded(messages), acks: -1 }),
        async sendOffsets (member, records) {
          await transaction.addConsumer(member.consumer)
          for (const { message } of lastOnes(records)) await transaction.addOffset(message)
        },
        commit: () => transaction.commit(),
        abort: () => transaction.abort()
      }
    },
    close: () => producer.close()
  }
}

async function member (topic, group, { protocol = 'classic', isolation }) {
  const timing = protocol === 'classic' ? { sessionTimeout: SESSION_MS, rebalanceTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS } : {}
  const consumer = new Consumer({ ...options, groupId: group, groupProtocol: protocol, maxWaitTime: 100, ...timing })
  const stream = await consumer.consume({
    topics: [topic],
    autocommit: false,
    mode: 'committed',
    fallbackMode: 'earliest',
    isolationLevel: isolation === 'read_uncommitted' ? READ_UNCOMMITTED : READ_COMMITTED
  })
  const owned = () => (consumer.assignments ?? []).filter(each => each.topic === topic).flatMap(each => each.partitions)
  const member = { consumer, queue: [], failure: null, owned }
  stream.on('data', message => {
    const { partition, offset, value } = message
    // a fetch sent before a rebalance still brings records of partitions that were given away in it
    if (owned().includes(partition)) member.queue.push({ partition, offset: Number(offset), value: value.toString(), message })
  })
  stream.on('error', error => { member.failure = error })
  member.commit = records => consumer.commit({
    offsets: lastOnes(records).map(({ partition, offset, message }) => ({ topic, partition, offset: BigInt(offset + 1), leaderEpoch: message.leaderEpoch ?? 0 }))
  })
  member.close = async () => {
    await stream.close()
    await consumer.close()
  }
  return member
}

await runSteps({ createTopic, committed, write, producer, member })
