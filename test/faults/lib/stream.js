'use strict';
/* Clients that hear a stream of messages, in a process of their own, so that what the
 * test does meanwhile does not count: publishes ["seq", number, time, filler] at a rate,
 * and measures how late each is heard.
 *
 * argv[2]: JSON of { where, redisPort, token, count, rate, size }.  Says "streaming"
 * when all clients are in; USR2 begins a new measurement and prints that of before; TERM
 * ends it: publishes no more, waits until all is heard, prints the last and exits. */
const path = require('path');

const percentile = (sorted, share) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : 0);
const microseconds = () => Number(process.hrtime.bigint() / 1000n);

async function run({ where, redisPort, token, count, rate, size }) {
    const { createClient } = require('redis');
    const { Emitter } = require('e5');
    const { lights, Sequences } = require('./light');
    const redis = createClient({ socket: { port: redisPort, host: '127.0.0.1' } });
    await redis.connect();
    const emitter = new Emitter(redis, {}, '/axr');
    const filler = 'x'.repeat(size);
    const sent = []; /* when, by number */
    const sequences = new Sequences();
    let late = [];
    let lost = 0;
    const clients = await lights(where, count, () => token, (number, client) => {
        sequences.take(number, client);
        if (late.length < 2e6) late.push(microseconds() - sent[number]);
    });
    clients.forEach((client) => client.closed.then(() => lost++));
    const say = (what) => {
        late.sort((a, b) => a - b);
        const ms = (share) => percentile(late, share) / 1000;
        const kept = clients.filter((client) => !client.over);
        const behind = kept.filter((client) => sequences.next.get(client) !== sent.length).length;
        const state = { p50: ms(0.5), p99: ms(0.99), max: ms(1), heard: late.length, sent: sent.length, lost, behind, wrong: sequences.wrong };
        console.log(`${what} ${JSON.stringify(state)}`);
        late = [];
    };
    const began = microseconds();
    const timer = setInterval(() => {
        const due = ((microseconds() - began) * rate) / 1e6;
        for (let i = 0; sent.length < due && i < 100; i++) {
            sent.push(microseconds());
            emitter.emit('seq', sent.length - 1, filler);
        }
    }, Math.max(1, Math.min(10, 1000 / rate)));
    process.on('SIGUSR2', () => say('phase'));
    process.on('SIGTERM', async () => {
        clearInterval(timer);
        await redis.ping();
        const end = Date.now() + 10000;
        while (!sequences.complete(clients, sent.length) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
        say('result');
        process.exit(0);
    });
    console.log('streaming');
}

class Stream {
    static async start(context, daemon, redis, { count = 10, rate = 100, size = 100, uid = 'stream' } = {}) {
        const { Process } = require('../../e2e/lib/proc');
        const { within } = require('../../e2e/lib/time');
        const token = daemon.token(uid);
        const options = { where: daemon.addr, redisPort: redis.port, token, count, rate, size };
        const stream = new Stream();
        stream.within = within;
        stream.process = new Process(process.execPath, [__filename, JSON.stringify(options)], { cwd: path.resolve(__dirname, '../../e2e') });
        context.show(stream.process);
        context.after(async () => {
            stream.process.signal('SIGKILL');
            await stream.process.ended(within(2000));
        });
        await stream.process.line(/^streaming$/m, within(20000));
        return stream;
    }
    async ask(signal, what, ms) {
        const from = this.process.log.length;
        this.process.signal(signal);
        const [, json] = await this.process.line(new RegExp(`^${what} (.*)$`, 'm'), this.within(ms), from);
        return JSON.parse(json);
    }
    /* What was measured since the last call. */
    phase() {
        return this.ask('SIGUSR2', 'phase', 3000);
    }
    stop() {
        return this.ask('SIGTERM', 'result', 15000);
    }
}

if (require.main === module) {
    module.paths.unshift(path.resolve(__dirname, '../../e2e/node_modules'));
    run(JSON.parse(process.argv[2])).catch((error) => {
        console.log(error);
        process.exit(1);
    });
}
module.exports = { Stream };
