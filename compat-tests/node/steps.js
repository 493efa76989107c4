// The steps of a client program, told once for both Node.js clients: groups with rebalances, commits, transactions.
//
//   PROGRAM BOOTSTRAP STEP PREFIX COUNT
//
// step_programs.py says what each step does and prints. A client is an object of these calls:
//
//   createTopic(topic, partitions)
//   write(topic, messages)                              messages are {topic, partition, value}
//   producer(transactionalId)                           {begin() -> transaction, close()}
//     transaction                                       {send(messages), sendOffsets(member, records), commit(), abort()}
//   member(topic, group, {protocol, isolation})         {queue, failure, owned(), commit(records), close()}
//   committed(group, topic, partitions)                 {partition: offset}, asked by a stranger to the group
//
// A member's queue gets {partition, offset, value} as they come in; offsets are numbers. Committing records commits what
// is behind the last one of each partition.

const PATIENCE_MS = 40_000
const GROUP_PARTITIONS = 4
const TRANSACTION_PARTITIONS = 3
const COMMITTED = { 0: 3, 1: 7 } // what commits-before commits and commits-after goes on from, by partition

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const sum = numbers => numbers.reduce((total, number) => total + number, 0)

async function until (what, holds, members = []) {
  const deadline = Date.now() + PATIENCE_MS
  while (!holds()) {
    for (const { failure } of members) if (failure) throw failure
    if (Date.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS} ms`)
    await sleep(10)
  }
}

// The last record of each partition, which is what tells the offset to commit.
export function lastOnes (records) {
  const last = new Map()
  for (const record of records) last.set(record.partition, record)
  return [...last.values()]
}

async function take (member, count) {
  await until(`${count} records`, () => member.queue.length >= count, [member])
  return member.queue.splice(0, count)
}

export async function runSteps (client) {
  const [step, prefix, count] = process.argv.slice(3)
  try {
    await new Steps(client, step, prefix, Number(count)).run()
  } catch (error) {
    print(step, 'failed', false, { error: errorText(error) })
    process.exit(1)
  }
  process.exit(0)
}

function print (step, phase, ok, details) {
  console.log(JSON.stringify({ step, phase, ok, details }))
}

// What an error says, and what those inside of it say: the reason is at the bottom.
function errorText (error) {
  const inner = [error.cause, ...(error.errors ?? [])].filter(each => each)
  return [`${error.name} ${error.apiId ?? error.type ?? ''} ${error.message}`, ...inner.map(errorText)].join('; ')
}

class Steps {
  constructor (client, step, prefix, count) {
    Object.assign(this, { client, step, prefix, count, name: `${prefix}-${step}` })
  }

  tell (phase, details) {
    print(this.step, phase, true, details)
  }

  async run () {
    await {
      group: () => this.group('classic'),
      group848: () => this.group('consumer'),
      'commits-before': () => this.commitsBefore(),
      'commits-after': () => this.commitsAfter(),
      transactions: () => this.transactions(),
      ctp: () => this.consumeTransformProduce()
    }[this.step]()
  }

  messages (topic, word, partitions) {
    const made = []
    for (let partition = 0; partition < partitions; partition++) {
      for (let number = 0; number < this.count; number++) {
        made.push({ topic, partition, value: `${word}-${partition}-${number}` })
      }
    }
    return made
  }

  // -- groups ---------------------------------------------------------------------------------------------------------

  async group (protocol) {
    await this.client.createTopic(this.name, GROUP_PARTITIONS)
    const first = this.work(await this.client.member(this.name, this.name, { protocol }))
    await this.phase('alone', [first])
    const second = this.work(await this.client.member(this.name, this.name, { protocol }))
    await this.phase('shared', [first, second])
    await second.close()
    await this.phase('alone again', [first])
    await first.close()
    const read = [first, second].flatMap(member => member.read.map(({ partition, offset }) => `${partition} ${offset}`))
    const committed = await this.client.committed(this.name, this.name, [...Array(GROUP_PARTITIONS).keys()])
    this.tell('sum', { read: read.length, distinct: new Set(read).size, committed })
  }

  // A member at work: what comes into its queue is committed and then counts as read.
  work (member) {
    member.read = []
    let working = true
    const worked = (async () => {
      while (working) {
        const batch = member.queue.splice(0)
        if (batch.length > 0) {
          await member.commit(batch)
          member.read.push(...batch)
        }
        await sleep(10)
      }
    })().catch(error => { member.failure = error })
    const close = member.close
    member.close = async () => {
      working = false
      await worked
      await close()
    }
    return member
  }

  // Waits for a settled assignment, writes, and waits until all of it was read and committed.
  async phase (phase, members) {
    const owned = () => members.map(member => member.owned().toSorted())
    await until(`${phase}: assignment`, () => {
      const all = owned()
      return all.every(each => each.length > 0) && new Set(all.flat()).size === GROUP_PARTITIONS && all.flat().length === GROUP_PARTITIONS
    }, members)
    const before = members.map(member => member.read.length)
    await this.client.write(this.name, this.messages(this.name, phase, GROUP_PARTITIONS))
    const due = sum(before) + GROUP_PARTITIONS * this.count
    await until(`${phase}: records`, () => sum(members.map(member => member.read.length)) >= due, members)
    this.tell(phase, { owned: owned(), read: members.map((member, at) => member.read.length - before[at]) })
  }

  // -- commits --------------------------------------------------------------------------------------------------------

  async commitsBefore () {
    const topic = `${this.prefix}-commits`
    const partitions = Object.keys(COMMITTED).map(Number)
    await this.client.createTopic(topic, partitions.length)
    await this.client.write(topic, this.messages(topic, 'kept', partitions.length))
    const member = await this.client.member(topic, topic, {})
    const records = await take(member, partitions.length * this.count)
    await member.commit(records.filter(({ partition, offset }) => offset + 1 === COMMITTED[partition]))
    await member.close()
    this.tell('committed', { offsets: await this.client.committed(topic, topic, partitions) })
  }

  async commitsAfter () {
    const topic = `${this.prefix}-commits`
    const partitions = Object.keys(COMMITTED).map(Number)
    this.tell('committed', { offsets: await this.client.committed(topic, topic, partitions) })
    const member = await this.client.member(topic, topic, {})
    const first = {}
    const read = {}
    for (const { partition, offset } of await take(member, partitions.length * this.count - sum(Object.values(COMMITTED)))) {
      first[partition] ??= offset
      read[partition] = (read[partition] ?? 0) + 1
    }
    this.tell('read', { first, read })
    await member.close()
  }

  // -- transactions ---------------------------------------------------------------------------------------------------

  async transactions () {
    await this.client.createTopic(this.name, TRANSACTION_PARTITIONS)
    const producer = await this.client.producer(this.name)
    for (const word of ['committed', 'aborted', 'later']) {
      const transaction = await producer.begin()
      await transaction.send(this.messages(this.name, word, TRANSACTION_PARTITIONS))
      await (word === 'aborted' ? transaction.abort() : transaction.commit())
    }
    await producer.close()
    for (const isolation of ['read_committed', 'read_uncommitted']) {
      this.tell(isolation, await this.words(isolation))
    }
  }

  // How many records of each word are read until those of the last transaction are all there.
  async words (isolation) {
    const words = { committed: 0, aborted: 0, later: 0 }
    const reader = await this.client.member(this.name, `${this.name}-${isolation}`, { isolation })
    await until(`${isolation}`, () => {
      for (const { value } of reader.queue.splice(0)) words[value.split('-')[0]]++
      return words.later >= TRANSACTION_PARTITIONS * this.count
    }, [reader])
    await reader.close()
    return words
  }

  // The first worker is left in the middle of a transaction; the second has its transactional id and goes on.
  async consumeTransformProduce () {
    const output = `${this.name}-out`
    await this.client.createTopic(this.name, 2)
    await this.client.createTopic(output, 2)
    await this.client.write(this.name, this.messages(this.name, 'in', 2))

    const first = await this.client.producer(this.name)
    let member = await this.client.member(this.name, this.name, { isolation: 'read_committed' })
    const done = await first.begin()
    await this.transform(done, member, await take(member, this.count), output)
    await done.commit()
    this.tell('first', { processed: this.count })
    const left = await first.begin()
    await this.transform(left, member, await take(member, Math.floor(this.count / 2)), output)

    const second = await this.client.producer(this.name)
    let transaction = await second.begin()
    this.tell('fenced', { error: await left.commit().then(() => '', errorText) })
    await member.close()

    member = await this.client.member(this.name, this.name, { isolation: 'read_committed' })
    const half = Math.floor(this.count / 2)
    for (const count of [half, this.count - half]) {
      transaction ??= await second.begin()
      await this.transform(transaction, member, await take(member, count), output)
      await transaction.commit()
      transaction = null
    }
    await member.close()
    await second.close()
    this.tell('committed', { offsets: await this.client.committed(this.name, this.name, [0, 1]) })
    await this.output(output)
  }

  async transform (transaction, member, batch, output) {
    await transaction.send(batch.map(({ partition, value }) => ({ topic: output, partition, value: `out of ${value}` })))
    await transaction.sendOffsets(member, lastOnes(batch))
  }

  // How many values there are, read until some time after the last one that is due.
  async output (topic) {
    const reader = await this.client.member(topic, `${topic}-reader`, { isolation: 'read_committed' })
    const values = (await take(reader, 2 * this.count)).map(({ value }) => value)
    await sleep(1000)
    values.push(...reader.queue.map(({ value }) => value))
    await reader.close()
    this.tell('output', { read: values.length, distinct: new Set(values).size })
  }
}
