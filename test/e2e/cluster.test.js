'use strict';
/* The same calls in two clusters at once: a Node server with another Node server, and a
 * Node server with this daemon.  Clients of every generation are on the second member,
 * and one on the first; what a call resolves to, what each client hears, why it goes, and
 * the rooms that it is in behind the call have to be the same, but for what lib/decided.js
 * says.  A cluster of its own for each generation of servers.
 *
 * STEP=pattern picks groups of steps, SHOW=1 prints what was seen; with NODES=1 both
 * clusters are of Node servers, and what differs is the test's own fault. */
const assert = require('assert');
const util = require('util');
const { test, mode } = require('./lib/suite');
const { GENERATIONS, Redis, Daemon, Member, counted, join, REQUESTS, NSP } = require('./lib/cluster');
const { Emitter: Emitter4 } = require('e4');
const { Emitter: Emitter5 } = require('e5');
const { SLOW, within, until } = require('./lib/time');
const { DECIDED, expected } = require('./lib/decided');

/* Requests that nobody answers are over by then. */
const REQUESTS_TIMEOUT_MS = 1200 * SLOW;
/* Of those who are asked all answer, long before; but for some, where it is waited for. */
const ASK_MS = 5000;
const SOME_MS = 1000 * SLOW;
const WAYS = { n: ['websocket'], w: ['websocket'], d: undefined /* polling, then an upgrade */ };

/* --- what is compared --- */

const keyOf = (value) => util.inspect(value, { depth: null });
const sorted = (list) => [...list].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));

/* Only what a daemon keeps; the rest of the query and all headers may hold secrets. */
function handshakeOf({ address, secure, xdomain, time, issued, query }) {
    return {
        address, secure, xdomain, time: !Number.isNaN(Date.parse(time)), issued: typeof issued,
        query: { EIO: query.EIO, transport: query.transport },
    };
}

/* ids: Map of each id that was ever seen to the client's name. */
function plain(value, ids) {
    if (value === undefined) return 'undefined';
    if (Buffer.isBuffer(value) || value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
    if (typeof value === 'string') return ids.has(value) ? `id of ${ids.get(value)}` : value;
    if (!value || typeof value !== 'object') return value;
    if (Array.isArray(value)) return value.map((one) => plain(one, ids));
    return Object.fromEntries(Object.entries(value).map(([key, one]) =>
        [key, key === 'handshake' ? handshakeOf(one) : key === 'rooms' ? plain(one, ids).sort() : plain(one, ids)]));
}
/* Answers, sockets and rooms come in any order. */
function resultOf(value, ids) {
    const result = plain(value, ids);
    if (Array.isArray(result)) return sorted(result);
    if (result && Array.isArray(result.answers)) result.answers = sorted(result.answers);
    return result;
}

/* --- the two clusters --- */

class World {
    static async make(t, generation, kind) {
        const world = new World();
        Object.assign(world, { t, generation, kind, names: [], clients: new Map(), ids: new Map(), marks: 0 });
        world.redis = await Redis.start(t);
        const adapter = { requestsTimeout: REQUESTS_TIMEOUT_MS };
        const { redis } = world;
        [world.first, world.second] = await Promise.all([
            Member.start(t, redis, generation, { adapter }),
            kind === 'node' ? Member.start(t, redis, generation, { adapter })
                : Daemon.start(t, { redis, config: { workers: 3 } }),
        ]);
        await counted(redis, 2);
        world.emitters = { 4: new Emitter4(redis.client, {}, NSP), 5: new Emitter5(redis.client, {}, NSP) };
        return world;
    }
    /* --- who is there --- */
    async open(name) {
        const version = Number(name[1]);
        const where = name[0] === 'n' ? this.first.addr : this.second.addr;
        const client = await join(this.t, name, version, where, {
            uid: name[0] === 'n' ? 'n' : `u${version}`, options: { transports: WAYS[name[0]] },
        });
        this.clients.set(name, client);
        this.ids.set(client.id, name);
    }
    /* Everybody anew: in the two rooms of the middleware only. */
    async fresh() {
        for (const client of this.clients.values()) client.close();
        this.clients.clear();
        await until(async () => (await this.first.call('adapter', 'allRooms')).length === 0, within(3000), 'no client any more');
        const { versions } = GENERATIONS[this.generation];
        const names = [`n${versions[versions.length - 1]}`, ...versions.flatMap((version) => [`w${version}`, `d${version}`])];
        this.names = names;
        await Promise.all(names.map((name) => this.open(name)));
    }
    /* Who has gone comes back. */
    async again() {
        await Promise.all([...this.clients].filter(([, client]) => client.isGone).map(([name]) => this.open(name)));
    }
    id(name) {
        return this.clients.get(name).id;
    }
    /* --- who calls --- */
    follow(...steps) {
        return this.first.follow(...steps);
    }
    emitter(version, ...steps) {
        return steps.reduce((target, [method, ...args]) => target[method](...args), this.emitters[version]);
    }
    /* 'member', or the version of an emitter. */
    by(actor, ...steps) {
        return actor === 'member' ? this.follow(...steps) : this.emitter(actor, ...steps);
    }
    /* Several in one go. */
    async sequence(actor, ...calls) {
        if (actor === 'member') await this.first.call('sequence', ...calls);
        else for (const steps of calls) this.emitter(actor, ...steps);
    }
    async raw(payload, channel = REQUESTS) {
        await this.redis.publish(channel, typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload));
    }
    async put(room, names) {
        if (this.generation !== '5.4') {
            this.emitter(5, ['in', names.map((name) => this.id(name))], ['socketsJoin', room]);
            return;
        }
        await Promise.all(names.map((name) => this.first.call('adapter', 'remoteJoin', this.id(name), room)));
    }
    /* Resolves when everybody has heard all that either publisher has said before, or has gone. */
    async sync() {
        const mark = ++this.marks;
        await this.follow(['emit', 'mark', mark, 'member']);
        await this.first.call('flush');
        this.emitter(5, ['emit', 'mark', mark, 'emitter']);
        const marks = (client) => client.events.filter(([name, nth]) => name === 'mark' && nth === mark).length;
        for (const client of this.clients.values())
            await client.when(() => marks(client) === 2 || client.isGone, within(3000), `mark ${mark}`);
    }
    /* The rooms of each, as the cluster says. */
    async rooms() {
        if (this.generation === '5.4') {
            const there = [...this.clients].filter(([, client]) => !client.isGone);
            const each = there.map(async ([name, { id }]) => [name, plain(await this.first.call('adapter', 'clientRooms', id), this.ids).sort()]);
            return Object.fromEntries(sorted(await Promise.all(each)));
        }
        const sockets = await this.first.call('adapter', 'fetchSockets', {});
        return Object.fromEntries(sorted(sockets.map(({ id, rooms }) => [this.ids.get(id) || id, plain(rooms, this.ids).sort()])));
    }
    /* All that there is to compare of one step. */
    async run(step) {
        const value = await Promise.resolve().then(() => step(this)).then(
            (result) => ({ value: resultOf(result, this.ids) }), (error) => ({ error: error.message }));
        await this.sync();
        const clients = {};
        for (const [name, client] of this.clients) {
            const { events, gone } = client.take();
            clients[name] = { events: plain(events.filter(([event]) => event !== 'mark'), this.ids), gone };
        }
        return { ...value, clients, rooms: await this.rooms() };
    }
}

/* --- the calls --- */

const is = (...generations) => (generation) => generations.includes(generation.split(',')[0]);
const CURRENT = is('7.2', '8.3');
/* The way of the answers makes no difference to what needs none. */
const ANSWERED = /who is there|asked|remote sockets/;
const isTold = (generation, group) => mode === 'long' || !generation.includes('own channel') || ANSWERED.test(group);
/* Emitters say the same whichever servers there are. */
const isSaid = (generation, [step]) => mode === 'long' || generation !== '7.2' || !/^[45]: /.test(step);
const ALL = () => true;
const lastOf = (world) => world.names[world.names.length - 1];

/* Who is meant.  In room r are w1, w2 and the last d, in s are w2 and n. */
const TARGETS = {
    all: () => [],
    'a room': () => [['in', 'r']],
    'two rooms': () => [['in', 'r'], ['to', 's']],
    'an array of rooms': () => [['in', ['r', 's', 'nobody']]],
    'all but a room': () => [['except', 'r']],
    'a room but another': () => [['in', 'r'], ['except', 's']],
    'a room but an array': () => [['in', 'r'], ['except', ['s', 'u1']]],
    'a user': () => [['in', 'u1']],
    allusers: () => [['in', 'allusers']],
    'all but everybody': () => [['except', 'allusers']],
    'a room that nobody is in': () => [['in', 'nobody']],
    'an id': (world) => [['in', world.id('w2')]],
    'an id and a room': (world) => [['in', world.id('d1')], ['in', 's']],
    'a room but an id': (world) => [['in', 'r'], ['except', world.id('w2')]],
    'an id of the other server': (world) => [['in', world.id(world.names[0])]],
};
const FEW = ['all', 'a room', 'a room but another', 'an id', 'a room that nobody is in'];
const each = (names, make) => names.flatMap((name) => make(name, TARGETS[name]));
const EVERY = Object.keys(TARGETS);
const optsOf = (steps) => ({
    rooms: steps.filter(([how]) => how !== 'except').flatMap(([, room]) => room),
    except: steps.filter(([how]) => how === 'except').flatMap(([, room]) => room),
});

async function prepare(world) {
    await world.fresh();
    await world.put('r', ['w1', 'w2', lastOf(world)]);
    await world.put('s', ['w2', world.names[0]]);
}
const back = ['they come back', async (world) => {
    await world.again();
    await world.put('r', ['w1', 'w2', lastOf(world)]);
    await world.put('s', ['w2', world.names[0]]);
}];
/* A user's message to each room that there may be. */
const emits = (actor, rooms = ['r', 's', 'j', 'k']) => async (world) => {
    for (const room of rooms) await world.by(actor, ['to', room], ['emit', 'to', room]);
};

/* name: { of, steps: [[name, what is done], ...] } */
const GROUPS = {
    'emits': {
        of: ALL,
        steps: ['member', 4, 5].flatMap((actor) => [
            ...each(actor === 4 ? FEW : EVERY, (name, to) => [[`${actor}: to ${name}`, (world) =>
                /* 2.x has no except, nor arrays */
                actor === 'member' && !CURRENT(world.generation) && to(world).some(([how, room]) => how === 'except' || Array.isArray(room))
                    ? 'not a call of it' : world.by(actor, ...to(world), ['emit', 'hello', 1, { a: 'b' }, Buffer.from([1, 2])])]]),
        ]),
    },
    'who is there': {
        of: CURRENT,
        steps: [
            ...each(EVERY, (name, to) => [[`fetchSockets: ${name}`, (world) => world.follow(...to(world), ['fetchSockets'])]]),
            ['allRooms', (world) => world.first.call('adapter', 'allRooms')],
            ['serverCount', (world) => world.first.call('adapter', 'serverCount')],
            ['allSockets', (world) => world.follow(['allSockets'])],
            ['local.fetchSockets', (world) => world.follow(['local'], ['fetchSockets'])],
            ['twenty at once', (world) => Promise.all(Array.from({ length: 20 }, () =>
                world.first.call('countSockets')))],
        ],
    },
    'who is there, by the adapter': {
        of: is('6.1', '7.2'),
        steps: [
            ...each(EVERY, (name, to) => [
                [`fetchSockets: ${name}`, (world) => world.first.call('adapter', 'fetchSockets', optsOf(to(world)))],
                [`sockets: ${name}`, (world) => world.first.call('adapter', 'sockets', optsOf(to(world)).rooms)],
            ]),
            ['allRooms', (world) => world.first.call('adapter', 'allRooms')],
            ['allSockets', (world) => world.follow(['allSockets'])],
        ],
    },
    'who is there, 2.x': {
        of: is('5.4'),
        steps: [
            ['clients', (world) => world.first.call('clients')],
            ...['r', 's', 'u1', 'allusers', 'nobody'].map((room) => [`clients of ${room}`, (world) => world.first.call('clients', room)]),
            ['clients of an id', (world) => world.first.call('clients', world.id('w1'))],
            ['allRooms', (world) => world.first.call('adapter', 'allRooms')],
            ['clientRooms', (world) => world.first.call('adapter', 'clientRooms', world.id('w2'))],
            ['clientRooms of nobody', (world) => world.first.call('adapter', 'clientRooms', `${NSP}#nobody`)],
            ['customRequest', (world) => world.first.call('adapter', 'customRequest', 'john')],
            ['customRequest, an object', (world) => world.first.call('adapter', 'customRequest', { a: [1, { b: null }], é: '😀' })],
        ],
    },
    'rooms': {
        of: CURRENT,
        steps: ['member', 4, 5].flatMap((actor) => [
            ...each(actor === 4 ? FEW : EVERY, (name, to) => [
                [`${actor}: join, ${name}`, (world) => world.by(actor, ...to(world), ['socketsJoin', 'j'])],
                [`${actor}: emits, ${name}`, emits(actor)],
                [`${actor}: leave, ${name}`, (world) => world.by(actor, ...to(world), ['socketsLeave', 'j'])],
                [`${actor}: all leave after ${name}`, (world) => world.by(actor, ['socketsLeave', ['j', 'k']])],
            ]),
            [`${actor}: join several`, (world) => world.by(actor, ['in', 'r'], ['socketsJoin', ['j', 'k', 'j', '']])],
            [`${actor}: emits to several`, emits(actor, ['j', 'k', ''])],
            [`${actor}: leave several`, (world) => world.by(actor, ['in', 'k'], ['socketsLeave', ['k', 'j', '', 'nobody']])],
            [`${actor}: join, emit, leave, emit`, (world) => world.sequence(actor,
                [['in', 'r'], ['socketsJoin', 'j']], [['to', 'j'], ['emit', 'in']],
                [['in', 'u1'], ['socketsLeave', 'j']], [['to', 'j'], ['emit', 'some out']],
                [['in', 'j'], ['socketsLeave', 'j']], [['to', 'j'], ['emit', 'out']])],
        ]),
    },
    'rooms, by emitters and the adapter': {
        of: is('6.1'),
        steps: [
            ...each(EVERY, (name, to) => [
                [`adapter: join, ${name}`, (world) => world.first.call('adapter', 'addSockets', optsOf(to(world)), ['j', 'k'])],
                [`adapter: emits, ${name}`, emits('member')],
                [`adapter: leave, ${name}`, (world) => world.first.call('adapter', 'delSockets', optsOf(to(world)), ['j'])],
            ]),
            ...[4, 5].flatMap((actor) => each(FEW, (name, to) => [
                [`${actor}: join, ${name}`, (world) => world.by(actor, ...to(world), ['socketsJoin', 'j'])],
                [`${actor}: emits, ${name}`, emits(actor)],
                [`${actor}: leave, ${name}`, (world) => world.by(actor, ...to(world), ['socketsLeave', 'j'])],
            ])),
        ],
    },
    'odd rooms': {
        of: CURRENT,
        steps: [
            ['the number 42', (world) => world.emitter(5, ['in', 'r'], ['socketsJoin', [42, '43']])],
            ['emit to 42', (world) => world.emitter(5, ['to', 42], ['emit', 'to the number 42'])],
            ['emit to "42"', (world) => world.emitter(5, ['to', '42'], ['emit', 'to the string 42'])],
            ['emit to 43', (world) => world.emitter(5, ['to', 43], ['emit', 'to the number 43'])],
            ['emit to "43"', (world) => world.emitter(5, ['to', ['43', 'nobody']], ['emit', 'to the string 43'])],
            ['emit to 42 and more', (world) => world.emitter(5, ['to', [42, 'nobody']], ['emit', 'to the number 42'])],
            ['leave "42"', (world) => world.emitter(5, ['socketsLeave', '42'])],
            ['leave 42', (world) => world.emitter(5, ['socketsLeave', 42])],
            ['a name with everything', (world) => world.emitter(5, ['in', 'r'], ['socketsJoin', 'é€😀 "\\\u0000#\n\u2028'])],
            ['emit to it', (world) => world.emitter(5, ['to', 'é€😀 "\\\u0000#\n\u2028'], ['emit', 'hello'])],
            ['leave allusers', (world) => world.emitter(5, ['in', 'r'], ['socketsLeave', 'allusers'])],
            ['emit to allusers', (world) => world.emitter(5, ['to', 'allusers'], ['emit', 'to allusers'])],
            ['emit to all', (world) => world.emitter(5, ['emit', 'to all'])],
            ['emit to all but allusers', (world) => world.emitter(5, ['except', 'allusers'], ['emit', 'to the rest'])],
            ['join allusers again', (world) => world.emitter(5, ['socketsJoin', 'allusers'])],
            ['leave the room of the user', (world) => world.emitter(5, ['in', 'u1'], ['socketsLeave', 'u1'])],
            ['emit to the user', (world) => world.emitter(5, ['to', 'u1'], ['emit', 'to u1'])],
            ['join the room of another user', (world) => world.emitter(5, ['in', 'u2'], ['socketsJoin', 'u1'])],
            ['emit to the user', (world) => world.emitter(5, ['to', 'u1'], ['emit', 'to u1'])],
            ['join the room of an id', (world) => world.emitter(5, ['in', 'u1'], ['socketsJoin', world.id('w1')])],
            ['emit to the id', (world) => world.emitter(5, ['to', world.id('w1')], ['emit', 'to w1'])],
            ['ask the id', (world) => world.first.call('ask', [['to', world.id('w1')]], ASK_MS, 'ask', 'w1')],
            ['leave the room of the id', (world) => world.emitter(5, ['in', 'u2'], ['socketsLeave', world.id('w1')])],
            ['leave their own ids', (world) => world.emitter(5, ['in', 'r'], ['socketsLeave', world.id('w1')])],
            ['emit to the id again', (world) => world.emitter(5, ['to', world.id('w1')], ['emit', 'to w1'])],
            ['emit to all again', (world) => world.emitter(5, ['emit', 'to all'])],
        ],
    },
    'disconnects': {
        of: CURRENT,
        steps: ['member', 4, 5].flatMap((actor) => [false, true].flatMap((close) => each(actor === 5 ? EVERY : FEW, (name, to) => [
            [`${actor}: disconnect, close ${close}, ${name}`, (world) =>
                world.sequence(actor, [...to(world), ['disconnectSockets', close]], [['emit', 'behind it']])],
            back,
        ]))),
    },
    'disconnects by emitters and the adapter': {
        of: is('6.1'),
        steps: ['adapter', 4, 5].flatMap((actor) => [false, true].flatMap((close) => each(FEW, (name, to) => [
            [`${actor}: disconnect, close ${close}, ${name}`, (world) =>
                (actor === 'adapter' ? world.first.call('adapter', 'disconnectSockets', optsOf(to(world)), close)
                    : world.by(actor, ...to(world), ['disconnectSockets', close]))],
            back,
        ]))),
    },
    'clients are asked': {
        of: CURRENT,
        steps: [
            ...each(EVERY, (name, to) => [[`ask ${name}`, (world) => world.first.call('ask', to(world), ASK_MS, 'ask', name)]]),
            ...['ask for nothing', 'ask for null', 'ask for a number', 'ask for a large number', 'ask for values', 'ask for bytes', 'ask for bytes within']
                .map((event) => [event, (world) => world.first.call('ask', [['in', 'allusers']], ASK_MS, event)]),
            ['bytes in the question', (world) => world.first.call('ask', [['in', 'r']], ASK_MS, 'ask', Buffer.from('abc'), { deep: [Buffer.alloc(3)] })],
            ['bytes both ways', (world) => world.first.call('ask', [], ASK_MS, 'ask for bytes within', Buffer.from('abc'))],
            ['some answer', (world) => world.first.call('ask', [], SOME_MS, 'ask some', ['w1', 'd2', 'w4', world.names[0]])],
            ['volatile', (world) => world.first.call('ask', [['volatile']], ASK_MS, 'ask')],
            ['without compression', (world) => world.first.call('ask', [['compress', false]], ASK_MS, 'ask')],
            ['local', (world) => world.first.call('ask', [['local']], ASK_MS, 'ask')],
            ['nobody answers', (world) => world.first.call('ask', [['in', 'r']], 300, 'ask nobody')],
            ['emitWithAck', (world) => world.follow(['in', 'r'], ['timeout', ASK_MS], ['emitWithAck', 'ask', 'é€😀'])],
            ['emitWithAck, nobody answers', (world) => world.follow(['in', 'r'], ['timeout', 300], ['emitWithAck', 'ask nobody'])],
            ['emitWithAck, nobody is there', (world) => world.follow(['in', 'nobody'], ['timeout', ASK_MS], ['emitWithAck', 'ask'])],
            ['ten at once', async (world) => (await Promise.all(Array.from({ length: 10 }, (_, i) =>
                world.first.call('ask', [], ASK_MS, 'ask', i)))).map((one) => resultOf(one, world.ids)).map(util.inspect)],
        ],
    },
    'servers are asked': {
        of: CURRENT,
        steps: [
            ['serverSideEmit', (world) => world.follow(['serverSideEmit', 'hello', 1, { a: [true, null] }])],
            ['with an acknowledgement', (world) => world.first.call('askServers', 'hello', 'é€😀')],
            ['five at once', (world) => Promise.all(Array.from({ length: 5 }, (_, i) => world.first.call('askServers', 'hello', i)))],
            ['serverSideEmitWithAck', (world) => world.follow(['serverSideEmitWithAck', 'hello'])],
            ...[4, 5].map((version) => [`${version}: serverSideEmit`, async (world) => {
                world.emitter(version, ['serverSideEmit', 'hello', version, Buffer.from([1, 2]), undefined, new Date(0)]);
                return until(async () => {
                    const heard = await world.first.call('heard');
                    return heard.length && heard;
                }, within(2000), 'the event');
            }]),
        ],
    },
    'remote sockets': {
        of: CURRENT,
        steps: ['w1', 'd2', 'w3', 'd4'].flatMap((name) => [
            [`${name}: join`, (world) => world.first.call('remote', world.id(name), 'join', 'j')],
            [`${name}: emits`, emits('member')],
            [`${name}: emit`, (world) => world.first.call('remote', world.id(name), 'emit', 'only', name)],
            [`${name}: ask`, (world) => world.first.call('remoteAsk', world.id(name), ASK_MS, 'ask', name)],
            [`${name}: ask, no answer`, (world) => world.first.call('remoteAsk', world.id(name), 200, 'ask nobody', name)],
            [`${name}: leave`, (world) => world.first.call('remote', world.id(name), 'leave', 'j')],
            [`${name}: disconnect`, (world) => world.first.call('remote', world.id(name), 'disconnect', name > 'w1')],
        ]),
    },
    'by id': {
        of: is('5.4', '6.1', '7.2'),
        steps: [
            ...['w1', 'd2'].flatMap((name) => [
                [`${name}: remoteJoin`, (world) => world.first.call('adapter', 'remoteJoin', world.id(name), 'j')],
                [`${name}: emits`, emits('member')],
                [`${name}: remoteLeave`, (world) => world.first.call('adapter', 'remoteLeave', world.id(name), 'j')],
                [`${name}: emits again`, emits('member')],
                [`${name}: remoteLeave of a room that it is not in`, (world) => world.first.call('adapter', 'remoteLeave', world.id(name), 'nobody')],
                [`${name}: remoteDisconnect`, (world) => world.first.call('adapter', 'remoteDisconnect', world.id(name), name === 'w1')],
            ]),
            ['of nobody, and of who has gone', (world) => Promise.all(['remoteJoin', 'remoteLeave', 'remoteDisconnect'].map((method) =>
                world.first.call('adapter', method, method === 'remoteJoin' ? `${NSP}#nobody` : world.id('w1'), 'j')
                    .catch((error) => error.message)))],
            ['on the first server', (world) => world.first.call('adapter', 'remoteJoin', world.id(world.names[0]), 'j')],
        ],
    },
    /* As emitters of other languages write them. */
    'other languages': {
        of: CURRENT,
        steps: [
            ['Java: one room as a string', (world) => world.raw('{"type":2,"opts":{"rooms":["r"],"except":[]},"rooms":"j"}')],
            ['emits', emits(5)],
            ['Go: except is missing', (world) => world.raw('{"type":3,"opts":{"rooms":["r"]},"rooms":["j"]}')],
            ['Go: rooms are missing', (world) => world.raw('{"type":2,"opts":{"except":["r"]},"rooms":["k"]}')],
            ['Go: everybody', (world) => world.raw('{"type":2,"opts":{},"rooms":["j"]}')],
            ['Python: null for what is empty', (world) => world.raw('{"type":3,"opts":{"rooms":null,"except":null},"rooms":["k"]}')],
            ['keys in another order', (world) => world.raw('{"rooms":["k"],"opts":{"except":["s"],"rooms":["r"]},"uid":"emitter","type":2}')],
            ['emits again', emits(5)],
            ['Go: close is missing', (world) => world.raw('{"type":4,"opts":{"rooms":["u1"]}}')],
            ['they come back', (world) => world.again()],
            ['close is false', (world) => world.raw('{"type":4,"opts":{"rooms":["u2"],"except":[]},"close":false}')],
            ['they come back again', (world) => world.again()],
            ['close is true', (world) => world.raw('{"type":4,"opts":{"rooms":["u2"],"except":[]},"close":true}')],
            ['another namespace', (world) => world.raw('{"type":4,"opts":{"rooms":[],"except":[]},"close":true}', 'socket.io-request#/ax#')],
            ['a longer namespace', (world) => world.raw('{"type":4,"opts":{"rooms":[],"except":[]},"close":true}', 'socket.io-request#/axr2#')],
            ['none of it is a request', async (world) => {
                for (const text of ['', 'x', '[]', 'null', '{', '{}', '{"type":2}', '{"type":99,"opts":{}}', '{"type":"2","opts":{},"rooms":["j"]}'])
                    await world.raw(text);
            }],
        ],
    },
};

/* --- the runs --- */

const titleOf = (generation) => `${GENERATIONS[generation].server} with its adapter ${generation}`;

/* Where two of what run() returns differ, as lines. */
function unlike(ours, node, path = '') {
    const isTree = (value) => value && typeof value === 'object';
    if (!isTree(ours) || !isTree(node) || Array.isArray(ours) !== Array.isArray(node))
        return keyOf(ours) === keyOf(node) ? [] : [`  ${path}: ${keyOf(ours)} with the daemon, ${keyOf(node)} with Node servers`.replace(/\s+/g, ' ')];
    return [...new Set([...Object.keys(ours), ...Object.keys(node)])].flatMap((key) => unlike(ours[key], node[key], `${path}.${key}`));
}

async function compare(worlds, group, [name, step], differences) {
    const where = `${group}: ${name}`;
    const [node, ours] = await Promise.all(worlds.map((world) => world.run(step)));
    if (process.env.SHOW) console.log(where, util.inspect(node, { depth: 8, breakLength: 200 }));
    const lines = unlike(ours, expected(node, worlds[0].generation, where));
    if (lines.length) differences.push([where, ...lines.slice(0, 12)].join('\n').slice(0, 3000));
}

/* The oldest and the latest. */
const QUICK = ['5.4', '8.3, own channel'];
const STEP = new RegExp(process.env.STEP || '');

for (const generation of Object.keys(GENERATIONS)) {
    test(`${titleOf(generation)}: two Node servers, and a Node server and the daemon`, async (t) => {
        const kinds = process.env.NODES ? ['node', 'node'] : ['node', 'daemon'];
        const worlds = await Promise.all(kinds.map((kind) => World.make(t, generation, kind)));
        const differences = [];
        let steps = 0;
        for (const [group, { of, steps: list }] of Object.entries(GROUPS)) {
            if (!of(generation) || !STEP.test(group) || !isTold(generation, group)) continue;
            await Promise.all(worlds.map(prepare));
            await Promise.all(worlds.map((world) => world.run(() => {})));
            const told = list.filter((step) => isSaid(generation, step));
            for (const step of told) await compare(worlds, group, step, differences);
            steps += told.length;
        }
        console.log(`# ${generation}: ${steps} steps compared`);
        assert.ok(!differences.length, `${differences.length} of ${steps} steps differ:\n${differences.slice(0, 20).join('\n')}`);
    }, { timeout: 180000, quick: QUICK.includes(generation) });
}

test('each of what is decided otherwise made a difference', (t) => {
    if (process.env.STEP || process.env.AXR_ONLY || mode === 'quick') t.skip('not all was run');
    else assert.deepStrictEqual(DECIDED.filter(({ isUsed }) => !isUsed).map(({ why }) => why), []);
});
