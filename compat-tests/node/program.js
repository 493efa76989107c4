// What the two programs share: the command line of program_clients.py and its records.
//
//   PROGRAM BOOTSTRAP write TOPIC CODEC < records    writes to partition 0, prints the offset of each record
//   PROGRAM BOOTSTRAP read TOPIC COUNT               prints the first COUNT records of partition 0
//   PROGRAM BOOTSTRAP offsets TOPIC                  prints the first offset of partition 0 and the end
//   PROGRAM BOOTSTRAP admin TOPIC                    creates, describes, grows and deletes the topic
//
// A record is a line: timestamp, key, value, headers, with tabs between; base64, '-' for null, headers as name:value with
// commas between. Here it is {timestamp, key, value, headers}, headers a list of [name, value], all Buffers but the time.

import { readFileSync } from 'node:fs'

const PATIENCE_MS = 30_000

const fromBase64 = text => (text === '-' ? null : Buffer.from(text, 'base64'))
const toBase64 = bytes => (bytes === null || bytes === undefined ? '-' : bytes.toString('base64'))

export function parseRecords (text) {
  return text.split('\n').filter(line => line).map(line => {
    const [timestamp, key, value, headers] = line.split('\t')
    return {
      timestamp,
      key: fromBase64(key),
      value: fromBase64(value),
      headers: headers ? headers.split(',').map(header => header.split(':').map(fromBase64)) : []
    }
  })
}

export function formatRecord ({ timestamp, key, value, headers }) {
  const named = headers.map(header => header.map(toBase64).join(':'))
  return [timestamp, toBase64(key), toBase64(value), named.join(',')].join('\t')
}

export function expect (holds, what) {
  if (!holds) throw new Error(`not so: ${what}`)
}

// Waits until `count` gives `wanted`: the number of a topic's partitions, 0 when it is gone.
export async function settles (count, wanted) {
  const deadline = Date.now() + PATIENCE_MS
  while ((await count()) !== wanted) {
    expect(Date.now() < deadline, `${wanted} partitions`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

// Runs the command that was asked for; `commands` has a function for each that the client can do.
export async function run (commands) {
  const [bootstrap, command, topic, argument] = process.argv.slice(2)
  if (!commands[command]) throw new Error(`this client has no command ${command}`)
  const input = command === 'write' ? parseRecords(readFileSync(0, 'ascii')) : undefined
  const lines = await commands[command](bootstrap, topic, argument, input)
  process.stdout.write((lines ?? []).map(line => `${line}\n`).join(''))
}
