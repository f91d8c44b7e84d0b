'use strict';
/* Streams of numbers, and clients that check them: each number once and in order, over
 * any number of connections, where these are recovered. */
const { isDeepStrictEqual } = require('util');
const notepack = require('notepack.io');
const { Client } = require('./clients');
const { payloadOf: encoded } = require('./emitters');
const { SLOW, within } = require('./time');

const CHANNEL = 'socket.io#/axr#';
const REQUESTS = 'socket.io-request#/axr#';
const OFFSET = /^[\w-]{11}$/;
const TRANSPORTS = { default: ['polling', 'websocket'], websocket: ['websocket'], polling: ['polling'] };
/* Back as soon as it may. */
const AGAIN = { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 100, timeout: 1000 * SLOW };

/* What comes behind the number: with bytes, and with texts that look like an offset. */
function fillingOf(number) {
    switch (number & 3) {
        case 0: return [];
        case 1: return ['AAAAAAAAAAA'];
        case 2: return [Buffer.from([number & 255, 0, 255])];
        default: return [{ a: [Buffer.from(String(number))], b: null }, `filling ${number}`];
    }
}

class Numbers {
    /* streams: names of rooms; "all" is everybody. */
    constructor(redis, streams, { size = 0 } = {}) {
        Object.assign(this, { redis, size, whispers: 0, asks: 0 });
        this.said = new Map(streams.map((name) => [name, 0]));
    }
    /* What is said until the function that it returns is called may be lost for clients while
     * applies(client), and so may what was on its way: that is slack, the last numbers. */
    excuse(clients, slack = 0, applies = () => true) {
        const ranges = new Map([...this.said].map(([name, number]) => [name, [number - slack, Infinity]]));
        for (const client of clients) client.excuses.push({ ranges, applies });
        return () => ranges.forEach((one, name) => (one[1] = this.said.get(name)));
    }
    /* The next of a stream, or of each. */
    say(stream) {
        if (stream === undefined) {
            for (const name of this.said.keys()) this.say(name);
            return;
        }
        const number = this.said.get(stream);
        this.said.set(stream, number + 1);
        const opts = { rooms: stream === 'all' ? [] : [stream], except: [], flags: {} };
        const more = this.size ? ['x'.repeat(this.size)] : fillingOf(number);
        /* while redis is gone there is nobody to publish to */
        this.redis.publish(CHANNEL, encoded(opts, 'n', stream, number, ...more)).catch(() => {});
    }
    /* One that nobody has to get, and that is never sent again. */
    whisper() {
        this.redis.publish(CHANNEL, encoded({ rooms: [], except: [], flags: { volatile: true } }, 'volatile', ++this.whispers)).catch(() => {});
    }
    /* One that is to be acknowledged: it has no offset. */
    ask() {
        const packet = { type: 2, data: ['ask', ++this.asks], nsp: '/axr' };
        const request = { uid: 'numbers', requestId: `numbers ${this.asks}`, type: 7, packet, opts: { rooms: [], except: [], flags: { timeout: 1000 } } };
        this.redis.publish(REQUESTS, notepack.encode(request)).catch(() => {});
    }
    /* So many of each. */
    many(count) {
        for (let i = 0; i < count; i++) this.say();
    }
    /* One of each every ms, until the context ends or stop(), and noise in between. */
    start(context, ms) {
        let turns = 0;
        this.timer = setInterval(() => {
            this.say();
            if (++turns % 3 === 0) this.whisper();
            if (turns % 7 === 0) this.ask();
        }, ms);
        context.after(() => this.stop());
    }
    stop() {
        clearInterval(this.timer);
    }
}

/* addr: as a rule that of a cutter.  hears: the streams that it has to hear, from their
 * beginning, or, with late, from where they are.  offsets: what they look like, or null
 * where none come. */
class Follower extends Client {
    constructor(version, addr, { hears = ['all'], transports = 'websocket', offsets = OFFSET, late = false, options, ...how } = {}) {
        super(version, addr, { ...how, options: { ...AGAIN, transports: TRANSPORTS[transports], ...options } });
        this.title = `client ${version}, ${transports}`;
        Object.assign(this, { hears, offsets, late });
        this.last = new Map(); /* number heard, by stream */
        this.mayMiss = new Set(); /* streams of which something may be missing */
        this.excuses = []; /* { ranges, applies }: what may be missing as well, by stream */
        this.connects = []; /* { recovered, id, pid } */
        this.forgets = () => false; /* who is not recovered may hear something again: its daemon is late */
        this.wrong = [];
        this.others = []; /* events that are no numbers */
        this.refreshed = 0; /* how often an $offset came */
    }
    note(what, detail) {
        if (what === 'connect') this.connected();
        super.note(what, detail);
    }
    connected() {
        const { recovered, id, _pid: pid } = this.socket;
        this.connects.push({ recovered: Boolean(recovered), id, pid });
        if (!recovered && this.forgets()) this.last.clear();
        if (!recovered && (this.late || this.connects.length > 1)) for (const stream of this.hears) this.mayMiss.add(stream);
    }
    got(args) {
        const last = args[args.length - 1];
        if (args[0] === 'n') this.number(args);
        else if (args[0] === '$offset') this.refreshed++;
        else if (typeof last === 'function') last('heard');
        else if (args[0] !== 'volatile') this.others.push(args);
        else if (this.offsets && !this.offsets.test(last)) this.wrong.push(`${this.title}: ${JSON.stringify(args)}`);
        this.wake();
    }
    number([, stream, number, ...more]) {
        const offset = this.offsets ? more.pop() : null;
        const last = this.last.get(stream);
        const complain = (what) => this.wrong.length < 20 &&
            this.wrong.push(`${this.title}: ${stream} ${number} behind ${last}: ${what}, connection ${this.connects.length}${this.socket.recovered ? ', recovered' : ''}`);
        if (this.offsets && !this.offsets.test(offset)) complain(`offset ${offset}`);
        if (!this.hears.includes(stream)) complain('of a stranger');
        else if (last !== undefined && number <= last) complain('again');
        else if (!this.mayMiss.has(stream) && this.isMissing(stream, last === undefined ? 0 : last + 1, number)) complain('something is missing');
        const isLong = typeof more[0] === 'string' && more[0].startsWith('xxx');
        if (!isLong && !isDeepStrictEqual(more, fillingOf(number))) complain(`with ${JSON.stringify(more)}`);
        this.mayMiss.delete(stream);
        this.last.set(stream, Math.max(number, last === undefined ? 0 : last));
    }
    isMissing(stream, from, to) {
        const here = this.excuses.filter(({ applies }) => applies(this)).map(({ ranges }) => ranges.get(stream));
        const isExcused = (number) => here.some(([first, end]) => number >= first && number < end);
        for (let number = from; number < to; number++) if (!isExcused(number)) return true;
        return false;
    }
    /* Resolves when it has heard the last number of each of its streams. */
    async heardAll(numbers, ms = within(5000)) {
        const isAt = () => this.hears.every((stream) => (this.last.has(stream) ? this.last.get(stream) : -1) === numbers.said.get(stream) - 1);
        const state = () => JSON.stringify(this.hears.map((stream) => [stream, this.last.get(stream), numbers.said.get(stream) - 1]));
        await this.when(() => this.wrong.length || isAt(), ms, 'all numbers').catch((error) => {
            error.message += `: ${this.title}: heard of said ${state()}, ${JSON.stringify(this.connects)}`;
            throw error;
        });
    }
    /* Resolves when it has connected more than count times. */
    connectedAgain(count, ms = within(5000)) {
        return this.when(() => this.connects.length > count && this.connects[this.connects.length - 1], ms, `connection ${count + 1} of ${this.title}`)
            .then(() => this.connects[count]);
    }
    /* Resolves when it knows that it is cut off. */
    lost(ms = within(5000)) {
        return this.when(() => !this.socket.connected, ms, `${this.title}: the loss of its connection`);
    }
    /* Those of its returns that were not recovered. */
    get refused() {
        return this.connects.slice(1).filter(({ recovered }) => !recovered).length;
    }
}

/* A follower that is in, until the end of the context. */
async function follow(context, version, addr, how) {
    const client = new Follower(version, addr, how);
    context.after(() => client.close());
    await client.noted('connect');
    return client;
}

module.exports = { Numbers, Follower, follow, fillingOf, AGAIN, CHANNEL, OFFSET };
