// SPDX-License-Identifier: MIT
// What queue-client does, for BullMQ: the same options, and the same JSON. Its connections are loops in one process,
// which share BullMQ's two connections to Redis, as they do where it is used.
import { parseArgs } from 'node:util'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'

const WARMUP_MS = 500
const { values: options } = parseArgs({
    options: {
        peer: { type: 'string' },
        socket: { type: 'string' },
        connections: { type: 'string', default: '1' },
        depth: { type: 'string', default: '1' },
        seconds: { type: 'string', default: '3' },
        payload: { type: 'string', default: '200' },
        lives: { type: 'boolean', default: false },
        json: { type: 'boolean', default: true },
    },
})
const loops = Number(options.connections) * Number(options.depth)
const payload = 'the quick brown fox '.repeat(Number(options.payload) / 20 + 1).slice(0, Number(options.payload))
const connect = () => new Redis(options.socket, { maxRetriesPerRequest: null })
const queue = new Queue('bench', { connection: connect(), defaultJobOptions: { removeOnComplete: true } })
const worker = new Worker('bench', null, { connection: connect(), autorun: false })

await queue.waitUntilReady()
await worker.waitUntilReady()

const begin = performance.now() + WARMUP_MS
const end = begin + 1000 * Number(options.seconds)
const latencies = []
let acknowledged = 0
let cpu

async function put() {
    await queue.add('t', { payload })
}

async function finish(token) {
    let job
    while (!(job = await worker.getNextJob(token, { block: false })));
    await job.moveToCompleted('ok', token, false)
}

async function loop(token) {
    for (let start = performance.now(); start < end; ) {
        await put()
        if (options.lives) await finish(token)
        const now = performance.now()
        acknowledged++
        if (now >= begin && now < end) {
            cpu ??= process.cpuUsage()
            latencies.push(Math.round(1000 * (now - start)))
        }
        start = now
    }
}

await Promise.all(Array.from({ length: loops }, (_, i) => loop(`t${i}`)))
const { user, system } = process.cpuUsage(cpu)
const seconds = Number(options.seconds)

latencies.sort((a, b) => a - b)
const percentile = (p) => latencies[Math.floor(((latencies.length - 1) * p) / 100)]
console.log(JSON.stringify({
    ops: latencies.length, seconds, p50us: percentile(50), p99us: percentile(99), acknowledged,
    cpu: (user + system) / 1e6 / seconds,
}))
process.exit(0)
