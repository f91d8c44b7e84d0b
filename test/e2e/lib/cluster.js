'use strict';
/* A cluster on one redis: Node servers of any generation (lib/member.js), the daemon, and
 * clients that answer what they are asked. */
const path = require('path');
const notepack = require('notepack.io');
const { Process } = require('./proc');
const { Redis } = require('./redis');
const { Daemon, SECRET } = require('./daemon');
const { Client } = require('./clients');
const { within, deadline, until } = require('./time');
const jwt = require('./jwt');

const NSP = '/axr';
const PATH = '/notifications';
const REQUESTS = `socket.io-request#${NSP}#`;
const RESPONSES = `socket.io-response#${NSP}#`;

/* Those with "uid" answer on the requester's own channel, where it asks for that. */
const GENERATIONS = {
    5.4: { server: 'socket.io 2.5', versions: [1, 2] },
    6.1: { server: 'socket.io 3.1', versions: [1, 2, 3, 4] },
    7.2: { server: 'socket.io 4.8', versions: [1, 2, 3, 4] },
    8.3: { server: 'socket.io 4.8', versions: [1, 2, 3, 4] },
    '8.3, own channel': { server: 'socket.io 4.8', versions: [1, 2, 3, 4], adapter: { publishOnSpecificResponseChannel: true } },
};

/* A Node server: calls are those of lib/member.js. */
class Member {
    static async start(context, redis, name, { adapter, ...options } = {}) {
        const member = new Member();
        const generation = name.split(',')[0];
        const how = {
            generation, redis: redis.port, secret: SECRET, nsp: NSP, path: PATH,
            adapter: { ...(GENERATIONS[name] || {}).adapter, ...adapter }, ...options,
        };
        member.generation = generation;
        member.process = new Process(process.execPath, [path.join(__dirname, 'member.js'), JSON.stringify(how)], { ipc: true });
        context.show(member.process);
        context.after(() => member.end());
        member.waiting = new Map();
        member.calls = 0;
        member.process.child.on('message', ({ id, value, error }) => {
            const { resolve, reject } = member.waiting.get(id);
            member.waiting.delete(id);
            if (error === undefined) resolve(value);
            else reject(new Error(error));
        });
        member.process.exited.then(({ code, signal }) => {
            for (const { reject } of member.waiting.values()) reject(new Error(`${member.process.title} has ended: ${code} ${signal}`));
        });
        const match = await member.process.line(/member ready (\d+)/, within(10000));
        member.addr = { host: '127.0.0.1', port: Number(match[1]) };
        return member;
    }
    call(name, ...args) {
        return this.callWithin(within(8000), name, ...args);
    }
    callWithin(ms, name, ...args) {
        const id = ++this.calls;
        const answered = new Promise((resolve, reject) => {
            this.waiting.set(id, { resolve, reject });
            this.process.child.send({ id, name, args });
        });
        return deadline(answered, ms, `${name} ${JSON.stringify(args)} of ${this.process.title}`);
    }
    /* nsp.in('a').socketsJoin('b') is follow(['in', 'a'], ['socketsJoin', 'b']). */
    follow(...steps) {
        return this.call('follow', steps);
    }
    async end() {
        this.process.signal('SIGKILL');
        await this.process.ended(within(2000));
    }
}

/* How many servers count as members. */
async function members(redis) {
    return Number((await redis.client.sendCommand(['PUBSUB', 'NUMSUB', REQUESTS]))[1]);
}
const counted = (redis, n) => until(async () => (await members(redis)) === n, within(4000), `${n} members`);

/* What a client says when it is asked, null for nothing; its name, where the event is not here. */
const ANSWERS = {
    ask: (client, args) => [`${client.name} heard ${JSON.stringify(args)}`, 'a second answer'],
    'ask for nothing': () => [],
    'ask for null': () => [null],
    'ask for a number': () => [-1.5e-7],
    'ask for a large number': () => [-1.5e300],
    'ask for values': (client) => [{ name: client.name, list: [1, true, null, 'é€😀', { '"': '\\' }] }],
    'ask for bytes': (client) => [Buffer.from(client.name)],
    'ask for bytes within': (client) => [{ a: [Buffer.from([1, 2, 3]), { b: Buffer.from(client.name) }], c: Buffer.alloc(0) }],
    'ask some': (client, [names]) => (names.includes(client.name) ? [client.name] : null),
    'ask nobody': () => null,
};

/* Hears and answers.  events has the arguments, "ack" last where it was asked. */
class Asked extends Client {
    hear() {
        if (this.version >= 3) {
            this.socket.onAny((...args) => this.got(args));
            return;
        }
        this.socket.onevent = ({ data, id }) => this.got(id === undefined ? data : [...data, this.socket.ack(id)]);
    }
    got(args) {
        const last = args[args.length - 1];
        if (typeof last !== 'function') {
            super.got(args);
            return;
        }
        const [event, ...rest] = args.slice(0, -1);
        const answer = event in ANSWERS ? ANSWERS[event](this, rest) : [this.name];
        super.got([event, ...rest, 'ack']);
        if (answer) last(...answer);
    }
    /* As servers know it: the client of 1.x knows only that of its session. */
    get id() {
        return this.version === 1 ? `${NSP}#${this.socket.id}` : this.socket.id;
    }
    get isGone() {
        return this.notes.some(({ what }) => what === 'disconnect');
    }
    /* What it was told since the last time. */
    take() {
        return { events: this.events.splice(0), gone: this.notes.filter(({ what }) => what === 'disconnect').map(({ detail }) => detail) };
    }
}

const tokenOf = (uid, claims = {}) => jwt.sign({ uid, ...claims }, SECRET);

/* A client that is in, until the end of the context. */
async function join(context, name, version, addr, { uid = name, options } = {}) {
    const client = new Asked(version, addr, { token: tokenOf(uid), options });
    client.name = name;
    context.after(() => client.close());
    await client.noted('connect');
    return client;
}

/* Publishes requests as a server would that is not counted itself, and hears all answers. */
class Asker {
    static async start(context, redis, pattern = 'socket.io-response#*') {
        const asker = new Asker();
        asker.redis = redis;
        asker.answers = []; /* { channel, payload } of all */
        asker.watchers = new Set();
        const sub = await redis.connect();
        context.after(() => sub.isOpen && sub.disconnect());
        await sub.pSubscribe(pattern, (payload, channel) => {
            asker.answers.push({ channel: channel.toString(), payload });
            for (const watcher of [...asker.watchers]) watcher();
        }, true);
        return asker;
    }
    /* Resolves to what find(answers) finds, once it does. */
    when(find, ms, what) {
        let watcher;
        const found = new Promise((resolve) => {
            watcher = () => {
                const value = find(this.answers);
                if (value) resolve(value);
            };
            this.watchers.add(watcher);
            watcher();
        });
        return deadline(found, ms, what).finally(() => this.watchers.delete(watcher));
    }
    /* An emit() with acknowledgements: resolves to { count, acks }, once that many have come
     * (which may be more by then) or ms is over. */
    async emit(args, { rooms = [], except = [], timeout = 1000, ms = within(2000) } = {}) {
        const requestId = `emit${(Asker.last = (Asker.last || 0) + 1)}`;
        const from = this.answers.length;
        const opts = { rooms, except, flags: { timeout } };
        await this.redis.publish(REQUESTS, notepack.encode({ uid: 'asker', requestId, type: 7, packet: { type: 2, data: args, nsp: NSP }, opts }));
        const mine = (all) => all.slice(from).map(({ payload }) => (payload[0] === 0x7b ? JSON.parse(payload) : notepack.decode(payload)))
            .filter((answer) => answer.requestId === requestId);
        const counts = (all) => mine(all).filter(({ type }) => type === 8);
        const acks = (all) => mine(all).filter(({ type }) => type === 9).map(({ packet }) => packet);
        const { clientCount } = await this.when((all) => counts(all)[0], ms, 'how many were asked');
        await this.when((all) => acks(all).length >= clientCount, ms, `${clientCount} acknowledgements`);
        return { count: clientCount, acks: () => acks(this.answers), counts: () => counts(this.answers).length };
    }
    /* The answers to a request, which gets an id: of all that count as members, their lists as one. */
    async ask(request, { channel = REQUESTS, ms = within(2000) } = {}) {
        const requestId = `ask${(Asker.last = (Asker.last || 0) + 1)}`;
        const from = this.answers.length;
        const [, count] = await this.redis.client.sendCommand(['PUBSUB', 'NUMSUB', channel]);
        await this.redis.publish(channel, JSON.stringify({ requestId, ...request }));
        const mine = (all) => all.slice(from).filter(({ payload }) => payload[0] === 0x7b).map(({ payload }) => JSON.parse(payload))
            .filter((answer) => answer.requestId === requestId);
        await this.when((all) => mine(all).length >= Number(count), ms, `${count} answers to ${JSON.stringify(request)}`);
        const join = (one, other) => (Array.isArray(one) ? [...one, ...other] : one);
        return mine(this.answers).reduce((all, one) => Object.fromEntries(Object.entries(all).map(([key, value]) => [key, join(value, one[key])])));
    }
}

module.exports = {
    NSP, PATH, REQUESTS, RESPONSES, GENERATIONS, Member, Asked, Redis, Daemon, members, counted, join, tokenOf, Asker,
};
