'use strict';
/* A Node server that is a member of a cluster, of any generation, in a process of its
 * own; Member (lib/cluster.js) starts it and has it make calls.
 *
 *     node member.js '{"generation":"8.3","redis":PORT,"secret":"...","nsp":"/axr","path":"/notifications"}'
 *
 * prints "member ready PORT" when clients can connect.  A message { id, name, args } is a
 * call of CALLS; the answer is { id, value } or { id, error }. */
const http = require('http');
const { uidOf } = require('./reference');

/* make(redis port, options of the adapter) resolves to what the option adapter takes. */
const GENERATIONS = {
    5.4: { Server: () => require('s2'), make: (port, options) => require('a5')({ host: '127.0.0.1', port, ...options }) },
    6.1: { Server: () => require('s3').Server, make: (port, options) => require('a6').createAdapter({ host: '127.0.0.1', port, ...options }) },
    7.2: { Server: () => require('socket.io').Server, make: (port, options) => onRedis4(require('a7'), port, options) },
    8.3: { Server: () => require('socket.io').Server, make: (port, options) => onRedis4(require('@socket.io/redis-adapter'), port, options) },
};

async function onRedis4({ createAdapter }, port, options) {
    const { createClient } = require('redis');
    const pub = createClient({ socket: { port, host: '127.0.0.1' } });
    const sub = pub.duplicate();
    for (const client of [pub, sub]) {
        client.on('error', (error) => console.log(`redis: ${error.message}`));
        await client.connect();
    }
    return createAdapter(pub, sub, options);
}

let generation;
let nsp; /* the namespace */
let heard = []; /* of others' serverSideEmit() */

/* What can be sent and compared. */
const plain = (value) => (value instanceof Set ? [...value] : value);
const socketOf = ({ id, handshake, rooms, data }) => ({ id, handshake: JSON.parse(JSON.stringify(handshake)), rooms: [...rooms], data });
const outcome = (value) => {
    if (Array.isArray(value) && value[0] && value[0].handshake) return value.map(socketOf);
    const isData = !value || typeof value !== 'object' || Buffer.isBuffer(value) || [Object.prototype, Array.prototype, Set.prototype].includes(Object.getPrototypeOf(value));
    if (!isData) return 'itself'; /* the namespace, an operator, a socket */
    return plain(value);
};

/* nsp.local.in('a').socketsJoin('b') is [['local'], ['in', 'a'], ['socketsJoin', 'b']]. */
const take = (target, [name, ...args]) => (typeof target[name] === 'function' ? target[name](...args) : target[name]);
const follow = (steps) => steps.reduce(take, nsp);
/* Of calls with a callback (error, value), or those with a promise. */
const called = (call) => new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));

/* Rooms of a local or a remote client, which the call is for. */
const optsOf = ({ rooms = [], except = [] }) => ({ rooms: new Set(rooms), except: new Set(except) });
const ADAPTER_ARGS = {
    sockets: (rooms) => [new Set(rooms)],
    fetchSockets: (opts) => [optsOf(opts)],
    addSockets: (opts, rooms) => [optsOf(opts), rooms],
    delSockets: (opts, rooms) => [optsOf(opts), rooms],
    disconnectSockets: (opts, close) => [optsOf(opts), close],
};

/* Calls in the background until stop(): another one every so many ms, whether or not those
 * before it are over. */
class Stream {
    constructor({ calls, every }) {
        this.results = [];
        this.begun = [];
        let nth = 0;
        this.timer = setInterval(() => this.begun.push(this.make(calls[nth++ % calls.length])), every);
    }
    async make([name, ...args]) {
        const began = Date.now();
        const how = await CALLS[name](...args).then((value) => ({ value }), (error) => ({ error: error.message }));
        this.results.push({ name, began, ms: Date.now() - began, ...how });
    }
    async stop() {
        clearInterval(this.timer);
        await Promise.all(this.begun);
        return this.results.sort((one, other) => one.began - other.began);
    }
}
const streams = new Map();

const CALLS = {
    follow: async (steps) => outcome(await follow(steps)),
    /* Several in one go: nothing of redis is read between them. */
    sequence: async (...calls) => void calls.map(follow),
    /* emit() with a callback, which gets what those of the room said. */
    ask: (steps, ms, ...args) =>
        new Promise((resolve) => {
            follow([...steps, ['timeout', ms]]).emit(...args, (error, answers) => resolve({ error: error && error.message, answers }));
        }),
    askServers: (...args) =>
        new Promise((resolve) => {
            nsp.serverSideEmit(...args, (error, answers) => resolve({ error: error && error.message, answers }));
        }),
    async adapter(method, ...args) {
        const { adapter } = nsp;
        if (generation === '5.4') return called((done) => adapter[method](...args, done));
        return outcome(await adapter[method](...(ADAPTER_ARGS[method] ? ADAPTER_ARGS[method](...args) : args)));
    },
    /* nsp.clients(), and nsp.in(room).clients(): 2.x. */
    clients: (room) => called((done) => (room === undefined ? nsp : nsp.in(room)).clients(done)),
    /* What RemoteSocket has: of the client with this id. */
    async remote(id, method, ...args) {
        const [socket] = await nsp.in(id).fetchSockets();
        return outcome(await socket[method](...args));
    },
    async remoteAsk(id, ms, ...args) {
        const [socket] = await nsp.in(id).fetchSockets();
        return socket.timeout(ms).emitWithAck(...args).catch((error) => ({ error: error.message }));
    },
    /* Ids of all, how often each, as few bytes as will do for 100,000. */
    async countSockets(steps = []) {
        const sockets = await follow([...steps, ['fetchSockets']]);
        const ids = new Set(sockets.map(({ id }) => id));
        return { sockets: sockets.length, ids: ids.size, withHeaders: sockets.filter(({ handshake }) => Object.keys(handshake.query).length).length };
    },
    async countAnswers(steps, ms, ...args) {
        const { error, answers } = await CALLS.ask(steps, ms, ...args);
        return { error, answers: answers.length, different: new Set(answers.map((one) => JSON.stringify(one))).size };
    },
    /* Resolves when redis has taken everything that was published before. */
    async flush() {
        const { pubClient } = nsp.adapter;
        if (pubClient.pSubscribe) await pubClient.ping();
        else await called((done) => pubClient.ping(done));
    },
    heard: async () => heard.splice(0),
    async start(name, options) {
        streams.set(name, new Stream(options));
    },
    async progress(name) {
        return streams.get(name).results.length;
    },
    async stop(name) {
        return streams.get(name).stop();
    },
    async close() {
        setImmediate(() => nsp.server.close(() => process.exit(0)));
    },
};

function answer({ id, name, args }) {
    const send = (message) => process.send({ id, ...message }, () => {}); /* who asked may have gone */
    Promise.resolve().then(() => CALLS[name](...args))
        .then((value) => send({ value }), (error) => send({ error: error.message }));
}

async function serve({ redis, secret, path, adapter = {}, ...options }) {
    const { Server, make } = GENERATIONS[options.generation];
    ({ generation } = options);
    const httpServer = http.createServer();
    const io = new (Server())(httpServer, { path, allowEIO3: true, serveClient: false, adapter: await make(redis, adapter) });
    nsp = io.of(options.nsp);
    nsp.adapter.on('error', (error) => console.log(`adapter: ${error.message}`));
    nsp.use((socket, next) => {
        const { auth = {}, query } = socket.handshake;
        const uid = uidOf((auth && auth.token) || query.token, secret);
        if (!uid) return next(new Error('not authorized'));
        socket.data = { uid };
        socket.join(['allusers', uid]);
        return next();
    });
    if (nsp.serverSideEmit) /* whatever its name; an acknowledgement as from a server that has nothing to say */
        nsp._onServerSideEmit = (args) => {
            const done = typeof args[args.length - 1] === 'function' ? args.pop() : null;
            heard.push(args);
            if (done) done(null);
        };
    process.on('message', answer);
    process.on('disconnect', () => process.exit(0));
    httpServer.listen(0, '127.0.0.1', () => console.log(`member ready ${httpServer.address().port}`));
}

if (require.main === module) serve(JSON.parse(process.argv[2]));
module.exports = { GENERATIONS };
